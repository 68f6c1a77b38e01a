"""Start of HiFiC's training, ablated.

python -m experiments.ablation_hific_start.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import ablate

# What each variant changes; the first is what size=small does, whose bytes the classical codecs are matched to.
VARIANTS = {
    "linear": ["model.model.normalization=none", "model.model.start=linear"],
    "blocks": ["model.model.normalization=none", "model.model.start=linear", "callbacks.start.steps=0"],
    "random": ["model.model.normalization=none", "model.model.start=random"],
    "channel_norm": ["model.model.normalization=channel", "model.model.start=random"],
    "one_learning_rate": [
        "model.model.normalization=none",
        "model.model.start=linear",
        "model.hyperprior_lr_factor=1.0",
    ],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate(__doc__, "ablation_hific_start", "Start", VARIANTS, arguments)


if __name__ == "__main__":
    main()
