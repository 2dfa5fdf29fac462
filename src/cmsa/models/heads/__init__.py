"""What is made of the maps of a backbone."""
