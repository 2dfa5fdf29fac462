"""Files that are whole or not there, and folders that one process at a time works in."""
