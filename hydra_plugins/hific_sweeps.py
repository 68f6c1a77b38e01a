"""The names by which Hydra finds the suite's own launcher and sweeper: it takes them from this namespace alone, and
imports it at every start, so that nothing heavy stands here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """`launcher=ray`: hific/cli/ray_launcher.py."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hific.cli.ray_launcher import connect_launcher

        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        connect_launcher(self.options["address"])

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from hific.cli.ray_launcher import Points

        points = Points(self.hydra_context, self.config, self.task_function)
        return points.run(job_overrides, initial_job_idx, **self.options)


class LocalJobs(Launcher):
    """`launcher=local`: hific/cli/submitit_launcher.py around Hydra's plugin."""

    plugin_class = "LocalLauncher"

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra_plugins.hydra_submitit_launcher import submitit_launcher

        self.plugin = getattr(submitit_launcher, self.plugin_class)(**self.options)
        self.plugin.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from hific.cli.submitit_launcher import run_points

        return run_points(self.plugin, job_overrides, initial_job_idx)


class SlurmJobs(LocalJobs):
    """`launcher=slurm`."""

    plugin_class = "SlurmLauncher"


class OnePoint(Sweeper):
    """Of another rank than the first: the point that it helps to train (hific/cli/point_ranks.py), and no file."""

    def __init__(self, **options: Any) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        self.launcher.launch([arguments], initial_job_idx=0)


class OptunaSweeper(Sweeper):
    """`sweep=optuna`: hific/cli/optuna_sweep.py."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> None:
        from hific.cli.optuna_sweep import OptunaSweep

        OptunaSweep(self.hydra_context, self.task_function, self.config).run(arguments, self.validate_batch_is_legal)
