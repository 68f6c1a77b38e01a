"""Means over the rows of a system. A mean is over the images that have the value, and says how many those are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hific.evaluation.measurement import Measurement, systems


@dataclass(frozen=True)
class Mean:
    """`n`: of how many images; `value` is None where n is 0, and `reasons` say why values are absent."""

    value: float | None
    n: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class SystemSummary:
    """The rows of one system. `set_row`: its row for the whole set, where there is one."""

    system: str
    rows: tuple[Measurement, ...]
    set_row: Measurement | None

    @property
    def num_images(self) -> int:
        return len(self.rows)

    def mean(self, quantity: Callable[[Measurement], float | None]) -> float | None:
        """Over the images for which the quantity is not None."""
        return _mean([value for row in self.rows if (value := quantity(row)) is not None])

    def metric(self, name: str) -> Mean:
        """The mean over images, or the set's own value for a metric of sets (n is then the size of the set)."""
        if self.set_row is not None and (name in self.set_row.metrics or name in self.set_row.absent):
            reasons = tuple(reason for key, reason in self.set_row.absent.items() if key == name)
            value = self.set_row.metrics.get(name)
            return Mean(value, self.set_row.num_images if value is not None else 0, reasons)
        values = [row.metrics[name] for row in self.rows if name in row.metrics]
        reasons = tuple(dict.fromkeys(row.absent[name] for row in self.rows if name in row.absent))
        return Mean(_mean(values), len(values), reasons)

    @property
    def notes(self) -> tuple[str, ...]:
        """Each note once, with the number of images where it does not hold for all, and always with that of a rate
        search, whose notes are of single images."""
        searched = any(row.max_bytes is not None for row in self.rows)
        found = [note for row in self.rows for note in row.note.split("; ") if note]
        return tuple(
            note
            if found.count(note) == self.num_images and not searched
            else f"{note} ({found.count(note)} of {self.num_images})"
            for note in dict.fromkeys(found)
        )


def series_of(summary: SystemSummary) -> str:
    """What differs in rate alone: a classical codec, or a model and its coding (a rate search gives each image another
    setting, a model has one)."""
    first = summary.rows[0]
    return ", ".join(filter(None, (first.codec, first.setting, first.note) if first.fingerprint else (first.codec,)))


def summarize(rows: Sequence[Measurement]) -> list[SystemSummary]:
    """In the order of the systems' first rows."""
    return [
        SystemSummary(
            system,
            rows=tuple(row for row in rows if row.system == system and not row.is_set),
            set_row=next((row for row in rows if row.system == system and row.is_set), None),
        )
        for system in systems(rows)
    ]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
