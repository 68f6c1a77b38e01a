"""Densities to train with, integer tables to code with, and what lies between them."""
