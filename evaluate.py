"""Measures checkpoints and classical codecs over a data set. `python evaluate.py --help` lists the options."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig, MissingMandatoryValue

from hific.cli.hydra_app import exit_on_wrong_option, run_app


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    from hific.cli.evaluation import evaluate  # seconds of libraries, when the options are known to be right

    with exit_on_wrong_option(MissingMandatoryValue):
        evaluate(config)


if __name__ == "__main__":
    run_app(main, Path(__file__).parent / "conf")
