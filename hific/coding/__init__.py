"""Integers to bytes: frequency and symbol tables, range coder, base-5 packing, the `.hfc` container. Without torch."""
