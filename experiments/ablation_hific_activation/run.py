"""Activation of HiFiC, ablated.

python -m experiments.ablation_hific_activation.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import ablate

# What each variant changes; the first is HiFiC itself, whose bytes the classical codecs are matched to.
VARIANTS = {
    "hific": [],
    "leaky_g": ["model.model.activation=leaky_relu"],
    "relu_d": ["model.adversary.discriminator.activation=relu"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate(__doc__, "ablation_hific_activation", "Activation", VARIANTS, arguments)


if __name__ == "__main__":
    main()
