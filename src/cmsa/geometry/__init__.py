"""Affine maps, crop conventions, rotations."""
