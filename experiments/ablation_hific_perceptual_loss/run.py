"""Perceptual loss of HiFiC, ablated.

python -m experiments.ablation_hific_perceptual_loss.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import ablate

# What each variant changes; the first is HiFiC itself, whose bytes the classical codecs are matched to.
VARIANTS = {
    "lpips_alex": [],
    "none": ["size.hific.perceptual=none"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate(__doc__, "ablation_hific_perceptual_loss", "Perceptual loss", VARIANTS, arguments)


if __name__ == "__main__":
    main()
