"""Figure 8: CompressNet and its relatives against classical codecs at the same bytes.

python -m experiments.fig8_benchmark.run size=small data=folder data.root=photos --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import evaluate, parse, train

SYSTEMS = [("sae", "low"), ("sae", "high"), ("swwae", "high"), ("sae_spn", "high"), ("gc", "high")]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(__doc__, "outputs/fig8_benchmark", arguments)
    checkpoints = [train(options, f"{model}_{rate}", f"model={model}", f"rate={rate}") for model, rate in SYSTEMS]
    # The reference for equal bytes is CompressNet itself.
    order = [3, 0, 1, 2, 4]
    names = ",".join(f"{SYSTEMS[i][0]}_{SYSTEMS[i][1]}" for i in order)
    evaluate(
        options,
        [checkpoints[i] for i in order],
        f"names=[{names}]",
        "codings=[context]",
        "controls=false",
        "title='Figure 8: benchmark'",
    )


if __name__ == "__main__":
    main()
