"""Tensors in, typed outputs out; differentiable; no bytes."""
