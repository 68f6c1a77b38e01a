"""Training strategy of HiFiC, ablated.

python -m experiments.ablation_hific_strategy.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import ablate

# What each variant changes; the first is HiFiC itself, whose bytes the classical codecs are matched to.
VARIANTS = {
    "two_stages": [],
    "one_stage": [
        "model.stage1_steps=0",
        "model.stage2_steps='${add:${size.hific.stage1_steps},${size.hific.stage2_steps}}'",
    ],
    "frozen_encoder": ["model.freeze_analysis=true"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate(__doc__, "ablation_hific_strategy", "Training strategy", VARIANTS, arguments)


if __name__ == "__main__":
    main()
