"""The metrics of one evaluation, applied to pairs of images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hific.evaluation.systems import Pixels
from hific.metrics.absent import Absent
from hific.metrics.image_metric import ImageMetric, SetMetric


@dataclass(frozen=True)
class Measured:
    """`values`: numbers, none of them NaN; `absent`: for each metric without a number, why."""

    values: Mapping[str, float]
    absent: Mapping[str, str]


def split_absent(results: Mapping[str, float | Absent]) -> Measured:
    """Values and reasons; NaN is no value."""
    absent = {name: result.reason for name, result in results.items() if isinstance(result, Absent)}
    values = {name: float(result) for name, result in results.items() if not isinstance(result, Absent)}
    absent |= {name: "not a number" for name, value in values.items() if math.isnan(value)}
    return Measured({name: value for name, value in values.items() if name not in absent}, absent)


@dataclass(frozen=True)
class Metrics:
    """`of_set` makes a new list for each system: set metrics collect what they are shown.

    A pair that was measured is not measured again: three codings of one latent decode to the same pixels.
    """

    of_image: Sequence[ImageMetric]
    of_set: Callable[[], Sequence[SetMetric]] = tuple
    _known: dict[bytes, Measured] = field(default_factory=dict, repr=False, compare=False)

    def measure(self, image: Pixels, reconstruction: Pixels) -> Measured:
        """Of uint8 [H, W, 3] each, both of one size."""
        digest = hashlib.sha256(str(image.shape).encode())
        for pixels in (image, reconstruction):
            digest.update(pixels.tobytes())
        key = digest.digest()
        if key not in self._known:
            self._known[key] = split_absent({metric.name: metric(image, reconstruction) for metric in self.of_image})
        return self._known[key]
