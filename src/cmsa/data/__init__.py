"""Official data set layouts to batches of crops."""
