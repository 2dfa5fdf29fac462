"""What each task asks of a network: encode, loss, decode, metrics."""
