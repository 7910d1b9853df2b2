"""The contracts: all that two parts of tidegate must agree on, and nothing else."""
