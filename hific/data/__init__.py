"""Photos to batches: where each set's files are, which split is which, crops, and a resumable order."""
