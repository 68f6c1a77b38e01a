"""One analysis or synthesis transform, or discriminator, a class."""
