"""bfloat16 on a processor that cannot multiply it."""

from __future__ import annotations

import logging

import torch
from lightning import Trainer

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
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    x86 = capabilities.get("architecture") == "x86_64"
    return x86 and not any(capabilities.get(name, False) for name in INSTRUCTIONS)
