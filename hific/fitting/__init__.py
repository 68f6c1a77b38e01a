"""What is fitted to photos beside training: context models, post-filters."""
