"""Overrides of train.py that make a run a matter of seconds, shared by the tests that train."""

from __future__ import annotations

TINY = [
    "size.crop=32",
    "size.batch_size=2",
    "size.compressnet.widths=[4,6,8,10,12]",
    "size.compressnet.residual_blocks=1",
    "size.compressnet.discriminator_widths=[4,8]",
    "size.compressnet.perceptual=none",
    "size.compressnet.adversarial_start=0",
    "data.num_workers=0",
    "data.eval_crop=64",
    "weights.download=false",
]
