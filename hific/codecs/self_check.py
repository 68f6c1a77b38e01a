"""What an encoder raises when its own check of the bytes fails."""

from __future__ import annotations


class SelfCheckError(RuntimeError):
    """What was encoded does not decode to itself. Never the input's fault; the bytes are not to be kept."""
