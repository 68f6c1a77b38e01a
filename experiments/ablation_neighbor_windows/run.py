"""How much the neighbor predictor gains from windows, the paper's Y: so many of each training photo.

python -m experiments.ablation_neighbor_windows.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak

--base RUN/last.ckpt takes a HiFiC that is trained already.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.neighbor_ablation import ablate_neighbor

VARIANTS = {
    **{f"y_{number}": [f"neighbor.xgboost.windows_per_photo={number}"] for number in (120, 240, 480, 960)},
    "y_all": ["neighbor.xgboost.windows_per_photo=null"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate_neighbor(__doc__, "ablation_neighbor_windows", "Windows a photo", VARIANTS, arguments)


if __name__ == "__main__":
    main()
