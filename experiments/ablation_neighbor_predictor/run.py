"""What predicts latents best: adaptive tables, nearest neighbors or boosted trees.

python -m experiments.ablation_neighbor_predictor.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak

--base RUN/last.ckpt takes a HiFiC that is trained already.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.neighbor_ablation import ablate_neighbor

VARIANTS = {
    "table": ["model.coding=table", "model.name=hific_table"],
    "knn": ["model=hific_knn"],
    "xgboost": [],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate_neighbor(__doc__, "ablation_neighbor_predictor", "Predictor", VARIANTS, arguments)


if __name__ == "__main__":
    main()
