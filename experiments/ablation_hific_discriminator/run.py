"""Discriminator of HiFiC, ablated.

python -m experiments.ablation_hific_discriminator.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import ablate

# What each variant changes; the first is HiFiC itself, whose bytes the classical codecs are matched to.
VARIANTS = {
    "hific": [],
    "unconditional": ["model.adversary.discriminator.conditional=false"],
    "instance_norm": ["model.adversary.discriminator.normalization=instance"],
    "two_scales": ["model.adversary.discriminator.scales=2"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate(__doc__, "ablation_hific_discriminator", "Discriminator", VARIANTS, arguments)


if __name__ == "__main__":
    main()
