"""`launcher=ray`: the points of a sweep as tasks of a Ray cluster. (Hydra's own plugin pins a Ray of years ago.)"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hific.cli.points import compose_point, record_death
from hific.cli.ray_cluster import check_room, connect
from hific.errors import OptionError, in_a_line

log = logging.getLogger(__name__)
# After Ctrl-C, for points to save what they have.
SECONDS_TO_STOP = 60.0


def connect_launcher(address: str) -> None:
    """In the main thread: Ray's processes end with the thread that started them. OptionError where there is no
    cluster."""
    connect(address, "hydra.launcher.address", tell_workers=True)


@dataclass(frozen=True)
class Points:
    """What all points of a sweep have in common."""

    hydra_context: HydraContext
    config: DictConfig
    task_function: TaskFunction

    def run(
        self,
        job_overrides: Sequence[Sequence[str]],
        first: int,
        *,
        address: str,
        num_cpus: float,
        num_gpus: float,
        memory: float | None,
        resources: Mapping[str, float] | None,
        max_retries: int,
        runtime_env: Mapping[str, Any] | None,
    ) -> Sequence[JobReturn]:
        """All points of a batch, as many at a time as the cluster has room for. One whose process dies more than
        `max_retries` times is a failed run in its folder, and ends nothing. OptionError where there is no room."""
        import ray
        from ray.exceptions import RayError

        check_room(address, {"CPU": num_cpus}, "hydra.launcher.num_cpus")
        check_room(address, {"GPU": num_gpus}, "hydra.launcher.num_gpus")
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        setup_globals()
        wanted: dict[str, Any] = {
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "memory": memory,
            "max_retries": max_retries,
        }
        wanted |= {"resources": _plain(resources), "runtime_env": _plain(runtime_env)}
        try:
            # A process for each point, as by any launcher.
            as_task: Any = ray.remote(max_calls=1, **{name: one for name, one in wanted.items() if one is not None})
            task = as_task(run_point)
        except (ValueError, TypeError) as error:
            raise OptionError(f"hydra.launcher: {in_a_line(error)}") from error
        shared = ray.put((os.getcwd(), self, Singleton.get_state()))
        running = {}
        for number, overrides in enumerate(job_overrides, first):
            log.info("#%d : %s", number, " ".join(filter_overrides(overrides)))
            running[task.remote(shared, list(overrides), number)] = list(overrides)
        try:
            while running:
                (ended,), _ = ray.wait(list(running), num_returns=1)
                overrides = running.pop(ended)
                try:
                    ray.get(ended)
                except RayError as error:
                    self._failed(overrides, error)
        except BaseException:
            _stop(list(running))
            raise
        return [_returned() for _ in job_overrides]

    def job(self, overrides: Sequence[str], number: int) -> DictConfig:
        return compose_point(self.hydra_context, self.config, overrides, number)

    def _failed(self, overrides: Sequence[str], error: Exception) -> None:
        what = in_a_line(str(error).splitlines()[0] if str(error) else error)  # type: ignore[arg-type]
        record_death(self.job(overrides, 0), overrides, f"its process on Ray died: {what}")


def run_point(shared: tuple[str, Points, Mapping[Any, Any]], overrides: Sequence[str], number: int) -> None:
    """In a process of Ray's."""
    folder, points, singletons = shared
    os.chdir(folder)
    setup_globals()
    Singleton.set_state(singletons)
    config = points.job(overrides, number)
    HydraConfig.instance().set_config(config)
    try:
        run_job(
            hydra_context=points.hydra_context,
            config=config,
            task_function=points.task_function,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except SystemExit:
        # By which an interrupted run ends, having said so in its folder: the process has not died.
        log.warning("interrupted")


def _stop(running: Sequence[Any]) -> None:
    """As Ctrl-C in each of them; they save what they have."""
    import ray

    for one in running:
        ray.cancel(one, force=False)
    deadline = time.monotonic() + SECONDS_TO_STOP
    if running:
        ray.wait(list(running), num_returns=len(running), timeout=max(0.0, deadline - time.monotonic()))


def _returned() -> JobReturn:
    """What became of a point stands in its folder."""
    returned = JobReturn()
    returned.return_value, returned.status = None, JobStatus.COMPLETED
    return returned


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
