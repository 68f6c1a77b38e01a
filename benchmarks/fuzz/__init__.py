"""Damaged files, checkpoints, images and command lines, by seed: each ends in a result, or in an error of one line."""
