"""SAE-SPN and SAE at size=small, C=8, an hour on two cores each, measured on photos they never saw.

    python -m experiments.compressnet_small.run data=folder data.root=photos weights.dir=weights \
        --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import evaluate, parse, train


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(__doc__, "outputs/compressnet_small", arguments)
    checkpoints = [train(options, model, f"model={model}", "rate=high", "size=small") for model in ("sae_spn", "sae")]
    evaluate(options, checkpoints, "title='CompressNet, small size'")


if __name__ == "__main__":
    main()
