"""Weights and data -> scores."""
