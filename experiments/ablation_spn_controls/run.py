"""Does the Switch Prediction Network help? sae_spn with predicted, top-left, random and true switches, beside sae.

python -m experiments.ablation_spn_controls.run size=small data=folder data.root=photos
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import evaluate, parse, train


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(__doc__, "outputs/ablation_spn_controls", arguments)
    checkpoints = [train(options, model, f"model={model}", "rate=high") for model in ("sae_spn", "sae")]
    evaluate(options, checkpoints, "codings=[context]", "classical=[]", "title='Switch prediction and its controls'")


if __name__ == "__main__":
    main()
