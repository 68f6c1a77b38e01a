"""Rate target of HiFiC, ablated.

python -m experiments.ablation_hific_rate_target.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import ablate

# What each variant changes; the first is HiFiC itself, whose bytes the classical codecs are matched to.
VARIANTS = {
    "target": [],
    "fixed_weight": ["model.rate_target.enabled=false"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate(__doc__, "ablation_hific_rate_target", "Rate target", VARIANTS, arguments)


if __name__ == "__main__":
    main()
