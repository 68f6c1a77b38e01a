"""Overrides of train.py that make a run a matter of seconds, shared by the tests that train."""

from __future__ import annotations

TINY = [
    "data.crop=32",
    "data.batch_size=2",
    "size.compressnet.widths=[4,6,8,10,12]",
    "size.compressnet.residual_blocks=1",
    "size.compressnet.discriminator_widths=[4,8]",
    "size.compressnet.perceptual=none",
    "size.compressnet.adversarial_start=0",
    "size.hific.widths=[6,8,10,12,16]",
    "size.hific.latent_channels=4",
    "size.hific.hyper_channels=4",
    "size.hific.residual_blocks=1",
    "size.hific.discriminator_widths=[4,8]",
    "size.hific.perceptual=none",
    "size.hific.stage1_steps=2",
    "size.hific.stage2_steps=2",
    "callbacks.start.steps=3",
    "data.num_workers=0",
    "data.eval_crop=64",
    "weights.download=false",
]
