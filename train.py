"""Trains one model: compose, instantiate, fit, test. `python train.py --help` lists the options."""

from __future__ import annotations

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from hific.cli import INTERRUPTED
from hific.cli.hydra_app import exit_on_wrong_option, run_app
from hific.cli.run_folder import Outcome, run_in_folder
from hific.cli.sweep import Sweep
from hific.cli.train_options import with_choices_of_base
from hific.errors import exit_on_user_error

SCRIPT = Path(__file__)
CONF = SCRIPT.parent / "conf"


def train(config: DictConfig) -> Outcome:
    """Runs the composed configuration."""
    from hific.cli import training  # seconds of libraries, when the options are known to be right

    return training.train(config, SCRIPT)


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> None:
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    with exit_on_wrong_option(MisconfigurationException):
        outcome = run_in_folder(config, train)
    if outcome.state == "interrupted":
        sys.exit(INTERRUPTED)  # a script that trains and then goes on stops here


if __name__ == "__main__":
    with exit_on_user_error():
        sys.argv[1:] = with_choices_of_base(sys.argv[1:])
        sweep = Sweep.of(sys.argv[1:])
    if sweep is None:
        run_app(main, CONF)
    else:
        sys.argv[1:] = sweep.arguments
        with sweep.summarized():
            run_app(main, CONF)
