"""Micro-batches to probabilities: an int8 engine for CPUs, torch for GPUs, a file each."""
