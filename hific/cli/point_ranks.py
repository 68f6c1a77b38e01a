"""A point of a sweep on several devices of one machine.

Lightning starts the other ranks by the command line of this process. In a sweep that is the whole sweep's, or that of a
launcher's worker; here it is the point's alone, while the point trains.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig

from hific.cli.hydra_app import RANKS_OF
from hific.cli.run_folder import is_point

# What Lightning leaves in the environment, by which it would take the next point's ranks as started.
_LEFT = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def ranks_of_a_point(script: Path) -> Iterator[None]:
    """Around all that a trainer does with several devices. Elsewhere than in a sweep, and where torchrun, srun or the
    first rank has started this process, nothing is changed."""
    if not is_point() or "LOCAL_RANK" in os.environ or any(sign in os.environ for sign, _ in RANKS_OF.values()):
        yield
        return
    hydra, main = HydraConfig.get(), sys.modules["__main__"]
    folder = Path(hydra.runtime.output_dir)
    one = ["hydra.sweeper._target_=hydra_plugins.hific_sweeps.OnePoint", f"hydra.sweep.dir='{folder.parent}'"]
    argv, spec, environment = sys.argv, main.__spec__, {name: os.environ.get(name) for name in _LEFT}
    sys.argv = [str(script), "-m", *hydra.overrides.task, *one, f"hydra.sweep.subdir='{folder.name}'"]
    main.__spec__ = None  # or a worker's module would be started, not the script
    try:
        yield
    finally:
        sys.argv, main.__spec__ = argv, spec
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if dist.is_initialized():
            dist.destroy_process_group()
