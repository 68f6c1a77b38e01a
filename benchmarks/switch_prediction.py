"""CPU seconds of CompressNet's two networks with and without switch prediction, one after the other in one run.

    PYTHONPATH=. python benchmarks/switch_prediction.py --csv benchmarks/results/switch_prediction.csv

An image of 768x512 through `sae` and `sae_spn` in turn, untrained (their time does not depend on weights), one thread;
the least of the repeats. `sae_spn` expands its last scale by switches, which it predicts from the features before it,
where `sae` has a sub-pixel convolution.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate

from benchmarks.rows import write_rows
from hific.codecs.memory import keep_freed_memory
from hific.models.compressnet import CompressNet

CONF = Path(__file__).resolve().parents[1] / "conf"
MODELS = ("sae", "sae_spn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["small", "paper"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = [row for size in options.sizes for row in measured(size, options.repeats)]
    print("| size | model | parameters | analysis, s | synthesis, s |\n|---|---|--:|--:|--:|")
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    if options.csv:
        write_rows(rows, options.csv)


def measured(size: str, repeats: int) -> list[dict[str, object]]:
    models = {name: network(name, size) for name in MODELS}
    image = torch.rand(1, 3, 512, 768).mul(2).sub(1).contiguous(memory_format=torch.channels_last)
    times: dict[tuple[str, str], list[float]] = {}
    with torch.no_grad():
        for repeat in range(repeats + 1):
            for name, model in models.items():
                latent_hat = model.quantize(model.analyze(image).latent).latent_hat
                passes: dict[str, Callable[[], object]] = {
                    "analysis": lambda model=model: model.analyze(image),  # type: ignore[misc]
                    "synthesis": lambda model=model, latent=latent_hat: model.synthesize(latent),  # type: ignore[misc]
                }
                for what, work in passes.items():
                    start = time.process_time()
                    work()
                    if repeat:  # the first is the warm-up
                        times.setdefault((name, what), []).append(time.process_time() - start)
    return [
        {
            "size": size,
            "model": name,
            "parameters": sum(one.numel() for one in model.parameters()),
            "analysis_s": round(min(times[name, "analysis"]), 4),
            "synthesis_s": round(min(times[name, "synthesis"]), 4),
        }
        for name, model in models.items()
    ]


def network(name: str, size: str) -> CompressNet:
    overrides = [f"model={name}", f"size={size}", "rate=high", "recipe.perceptual=none", "output_dir=outputs"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    model: CompressNet = instantiate(config.model.model)
    return model.eval().to(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
