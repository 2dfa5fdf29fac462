"""Data sets in their official layouts, one reader each."""
