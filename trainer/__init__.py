"""Comments with labels in, a bundle out. Runs and ends."""
