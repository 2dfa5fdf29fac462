"""Pictures -> values."""
