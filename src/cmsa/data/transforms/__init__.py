"""Batched augmentation on tensors, the same code on CPU and GPU."""
