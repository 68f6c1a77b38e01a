"""`launcher=slurm` and `launcher=local`: the points of a sweep as jobs of Submitit.

Hydra's plugin does it but for two things. It raises what has become of the first job that dies, and so ends a sweep
whose other jobs run on. And SLURM takes a job that was told to end, and did, for one that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from omegaconf import DictConfig

from hific.cli import INTERRUPTED
from hific.cli.points import compose_point, log, record_death
from hific.errors import in_a_line

if TYPE_CHECKING:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

# After srun. What preemption or the end of its time has stopped, and has saved itself, is to be queued again.
AGAIN = [f"code=$?; [ $code != {INTERRUPTED} ] || scontrol requeue $SLURM_JOB_ID; exit $code"]


def run_points(plugin: BaseSubmititLauncher, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Until all have ended; one that dies is a failed run in its folder. A study asks for one point at a time, and
    tries a dead one again itself: there it is raised.

    Raises:
        submitit.core.utils.FailedJobError, UncompletedJobError: of a study's point.
    """
    from submitit.core.utils import FailedJobError, UncompletedJobError

    config = plugin.config
    assert config is not None and plugin.hydra_context is not None
    for number, overrides in enumerate(job_overrides, first):
        log.info("#%d : %s", number, " ".join(filter_overrides(overrides)))
    given = [
        (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
        for number, overrides in enumerate(job_overrides, first)
    ]
    jobs = make_executor(plugin._EXECUTOR, plugin.params).map_array(plugin, *zip(*given, strict=True))
    returned = []
    for number, (job, overrides) in enumerate(zip(jobs, job_overrides, strict=True), first):
        try:
            returned.append(job.results()[0])
        except (FailedJobError, UncompletedJobError) as error:
            if _is_of_study(config):
                raise
            point = compose_point(plugin.hydra_context, config, overrides, number)
            problem = f"its job {job.job_id} died: {in_a_line(str(error).splitlines()[0])}"  # type: ignore[arg-type]
            record_death(point, overrides, problem, said=("done", "interrupted"))
            returned.append(JobReturn(status=JobStatus.COMPLETED))
    return returned


def make_executor(cluster: str, options: dict[str, Any]) -> Any:
    """Submitit's, of the options of conf/hydra/launcher."""
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from submitit import AutoExecutor

    options = dict(options)
    folder, at_start = options.pop("submitit_folder"), {}
    if "max_num_timeout" in options:
        at_start[f"{cluster}_max_num_timeout"] = options.pop("max_num_timeout")
    executor = AutoExecutor(folder=folder, cluster=cluster, **at_start)
    of_all = {one.name for one in fields(BaseQueueConf)}
    named = {name if name in of_all else f"{cluster}_{name}": value for name, value in options.items()}
    if cluster == "slurm":
        named["slurm_teardown"] = AGAIN
    executor.update_parameters(**named)
    return executor


def _is_of_study(config: DictConfig) -> bool:
    return str(config.hydra.sweeper["_target_"]).endswith("OptunaSweeper")
