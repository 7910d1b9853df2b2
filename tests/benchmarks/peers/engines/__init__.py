"""Whatever scores comments, a file each: `load(folder, **options)` gives texts -> probabilities."""
