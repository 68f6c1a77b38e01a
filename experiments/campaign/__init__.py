"""Training of the small models that are published, and how they are judged on the way."""
