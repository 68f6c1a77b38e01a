"""Lightning callbacks of the training runs."""
