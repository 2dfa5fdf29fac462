"""Running sums of errors, one file for each measure."""
