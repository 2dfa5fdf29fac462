"""A recipe -> weights."""
