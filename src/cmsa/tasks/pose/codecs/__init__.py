"""Keypoints as what a network can put out, and back."""
