"""Overrides of train.py that make a run a matter of seconds, shared by the tests that train."""

from __future__ import annotations

from collections.abc import Iterable

TINY = [
    "recipe.crop=32",
    "recipe.batch_size=2",
    "recipe.widths=[6,8,10,12,16]",
    "recipe.residual_blocks=1",
    "recipe.discriminator_widths=[4,8]",
    "recipe.perceptual=none",
    "data.num_workers=0",
    "data.eval_crop=64",
    "weights.download=false",
]
"""Of any model."""
TINY_COMPRESSNET = [*TINY, "recipe.adversarial_start=0"]
TINY_HIFIC = [
    *TINY,
    "recipe.latent_channels=4",
    "recipe.hyper_channels=4",
    "recipe.initialization_steps=3",
    "recipe.stage1_steps=2",
    "recipe.stage2_steps=2",
]


def tiny(overrides: Iterable[str] = ()) -> list[str]:
    """For the model that `overrides` choose."""
    given = list(overrides)
    if any(one.startswith("model=hific") for one in given):
        return TINY_HIFIC
    # Without the context model that is theirs by default: a second for each training.
    return TINY_COMPRESSNET + ([] if any(one.startswith("context_model=") for one in given) else ["context_model=none"])
