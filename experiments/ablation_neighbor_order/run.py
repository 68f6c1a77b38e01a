"""In which order, and in how many groups of channels, symbols are best predicted from one another.

python -m experiments.ablation_neighbor_order.run size=small data=folder data.root=photos weights.dir=weights \
    --evaluate data=kodak data.root=kodak

--base RUN/last.ckpt takes a HiFiC that is trained already.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.neighbor_ablation import ablate_neighbor

VARIANTS = {
    **{
        f"phases_{groups}": ["neighbor.xgboost.order=phases", f"neighbor.xgboost.num_groups={groups}"]
        for groups in (1, 4, 8)
    },
    "channels_4": ["neighbor.xgboost.order=channels", "neighbor.xgboost.num_groups=4"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    ablate_neighbor(__doc__, "ablation_neighbor_order", "Coding order", VARIANTS, arguments)


if __name__ == "__main__":
    main()
