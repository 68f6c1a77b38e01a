"""Integers to bytes: frequency tables, range coder, base-5 packing, the `.hfc` container. numpy only, no torch."""
