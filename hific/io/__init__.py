"""Images in, files out whole, checkpoint files."""
