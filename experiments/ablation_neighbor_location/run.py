"""Whether the neighbor predictor should know the place in the image, the paper's s.

python -m experiments.ablation_neighbor_location.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak

--base RUN/last.ckpt takes a HiFiC that is trained already.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.neighbor_ablation import ablate_neighbor

VARIANTS = {
    "location": ["neighbor.xgboost.location=true"],
    "no_location": ["neighbor.xgboost.location=false"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate_neighbor(__doc__, "ablation_neighbor_location", "Location", VARIANTS, arguments)


if __name__ == "__main__":
    main()
