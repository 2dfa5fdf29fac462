"""Values and crops -> pictures."""
