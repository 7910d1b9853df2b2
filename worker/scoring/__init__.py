"""Micro-batches to probabilities: an int8 engine for CPUs, torch without and with padding.

The way without: pieces end to end (flat_inputs) through an encoder (flat_encoder, its weights from
flat_weights) with an attention (varlen), on a GPU recorded once (cuda_graphs), as torch_flat.
"""
