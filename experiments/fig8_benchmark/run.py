"""Figure 8: CompressNet and its relatives against classical codecs at the same bytes.

python -m experiments.fig8_benchmark.run size=small data=folder data.root=photos --evaluate data=kodak data.root=kodak
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import evaluate, parse, train

# CompressNet itself comes first: its bytes are those that the classical codecs are matched to.
SYSTEMS = [("sae_spn", "high"), ("sae", "low"), ("sae", "high"), ("swwae", "high"), ("gc", "high")]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(__doc__, "outputs/fig8_benchmark", arguments)
    checkpoints = [train(options, f"{model}_{rate}", f"model={model}", f"rate={rate}") for model, rate in SYSTEMS]
    names = ",".join(f"{model}_{rate}" for model, rate in SYSTEMS)
    evaluate(
        options,
        checkpoints,
        f"names=[{names}]",
        "codings=[context]",
        "controls=false",
        "title='Figure 8: benchmark'",
    )


if __name__ == "__main__":
    main()
