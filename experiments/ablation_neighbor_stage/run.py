"""What is gained by predicting latents, by refining decoded images, and by both.

python -m experiments.ablation_neighbor_stage.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak

--base RUN/last.ckpt takes a HiFiC that is trained already.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.neighbor_ablation import ablate_neighbor

# Elsewhere fewer do without a neighbor predictor; here all variants learn from as many.
SAME_PHOTOS = "coding_photos.none=${coding_photos.xgboost}"
VARIANTS = {
    "entropy": ["model.coding=xgboost"],
    "reconstruction": ["model.coding=none", "model.refine=xgboost", SAME_PHOTOS],
    "both": ["model.coding=xgboost", "model.refine=xgboost"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate_neighbor(__doc__, "ablation_neighbor_stage", "Stage", VARIANTS, arguments)


if __name__ == "__main__":
    main()
