"""Stateless tensor functions: quantization, padding, bounds; pictures to arrays."""
