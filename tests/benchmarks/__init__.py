"""Figures, each with its goal, from one run: `make bench`."""
