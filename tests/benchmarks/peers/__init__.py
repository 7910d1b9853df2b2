"""tidegate beside its peers: the same comments, weights and machine, turn by turn in one run."""
