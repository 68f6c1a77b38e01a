"""Quality metrics, one a file, each over a library and checked against a second source."""
