"""Normalization layer of HiFiC, ablated.

python -m experiments.ablation_hific_normalization.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import ablate

# All from random weights, the one start that a normalization leaves; the first is the paper's HiFiC, whose bytes the
# classical codecs are matched to.
VARIANTS = {
    kind: [f"model.model.normalization={kind}", "model.model.start=random"]
    for kind in ("channel", "instance", "batch", "none")
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate(__doc__, "ablation_hific_normalization", "Normalization layer", VARIANTS, arguments)


if __name__ == "__main__":
    main()
