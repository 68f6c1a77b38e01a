"""Messages: those of libraries that frighten and mean nothing here, and ours of a precision that is emulated."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from lightning import Trainer


def silence_known_messages() -> None:
    """Hides advice on paid services and warnings of what is intended: the run's folder exists, since Hydra made it."""
    for message in (
        ".*exists and is not empty.*",
        ".*treespec.*",
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*torch.distributed.nn.functional.all_gather is deprecated.*",
        ".*The dirpath has changed.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip" not in record.getMessage()
    )


log = logging.getLogger(__name__)

# Any of these multiplies bfloat16; named as `torch.cpu.get_capabilities` names them.
INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "avx_ne_convert")


def warn_of_slow_precision(trainer: Trainer) -> None:
    """Says so where bfloat16 would be emulated: a step of CompressNet at size=small took 35 times float32's."""
    if trainer.precision.startswith("bf16") and trainer.strategy.root_device.type == "cpu" and emulates_bfloat16():
        log.warning(
            "this processor has no bfloat16 instructions: trainer.precision=%s is many times slower on it than "
            "32-true (Ctrl-C stops the run)",
            trainer.precision,
        )


def emulates_bfloat16() -> bool:
    """False also where nothing is known of the processor."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    x86 = capabilities.get("architecture") == "x86_64"
    return x86 and not any(capabilities.get(name, False) for name in INSTRUCTIONS)
