"""A Ray cluster, this machine's own or one that runs already. Ray is the extra `ray`; it is imported here alone, and in
what runs on it."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from hific.errors import OptionError, in_a_line

LOCAL = "local"
# Of a cluster of one machine: only paths and small results pass through it, and the default is a third of the memory.
OBJECT_STORE_BYTES = 256 << 20
SECONDS_TO_ANSWER = 20.0


def check_installed(what: str) -> None:
    """OptionError without Ray. what: the option that asks for it."""
    if find_spec("ray") is None:
        raise OptionError(f"{what} needs Ray: pip install 'hific[ray]'")


def connect(address: str, option: str, *, num_cpus: int | None = None, tell_workers: bool) -> None:
    """To a cluster, once a process; `ray.shutdown`, or the end of the process, ends a local one.

    Args:
        address: LOCAL starts one here; `auto` finds one that was started on this machine; else HOST:PORT or
            ray://HOST:PORT.
        option: under which the user gave the address, for the message.
        num_cpus: that a local one has; default: the machine's.
        tell_workers: print what workers print.

    Raises:
        OptionError: no Ray, or no cluster at the address.
    """
    check_installed(option)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # or lines of several workers are one
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it survives is no user's concern
    import ray

    options: dict[str, Any] = {"log_to_driver": tell_workers, "logging_level": logging.ERROR}
    if address == LOCAL:
        os.environ.setdefault("RAY_worker_niceness", "0")  # it is what the user started, not something beside
        options |= {"num_cpus": num_cpus, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    with _lock:
        if ray.is_initialized():
            return
        try:
            _knock(address)
            ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise OptionError(f"{option}={address}: no Ray cluster there ({in_a_line(error)})") from error


def _knock(address: str) -> None:
    """OSError where nobody is at HOST:PORT: Ray would try for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_ANSWER).close()


def check_room(address: str, needed: Mapping[str, float], option: str) -> None:
    """OptionError where a cluster of this machine alone can never do it, and Ray would wait for ever. needed: CPU, GPU
    and so on, of one worker."""
    import ray

    there = ray.cluster_resources() if address == LOCAL else dict(needed)  # other clusters may grow
    for name, amount in needed.items():
        if amount > there.get(name, 0):
            raise OptionError(f"{option}={amount:g}: this machine has {there.get(name, 0):g} {name}")


_lock = threading.Lock()
