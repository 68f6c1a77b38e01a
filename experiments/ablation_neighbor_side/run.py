"""How large a window the neighbor predictor should see, the paper's x.

python -m experiments.ablation_neighbor_side.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak

--base RUN/last.ckpt takes a HiFiC that is trained already.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.neighbor_ablation import ablate_neighbor

VARIANTS = {f"side_{side}": [f"neighbor.xgboost.side={side}"] for side in (3, 5, 7, 9)}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate_neighbor(__doc__, "ablation_neighbor_side", "Side of the window", VARIANTS, arguments)


if __name__ == "__main__":
    main()
