"""Systems over images, to rows: the only place where anything is measured.

    pixels ─ compress ─ bytes ─ store and read back ─ decompress ─ reconstruction ─ metrics ─ row

Every system goes this way, so that none is measured on anything but the bytes of its file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hific.evaluation.codecs_under_test import CodecUnderTest, EncodeSpec, Pixels
from hific.evaluation.measurement import WHOLE_SET, Measurement, Provenance
from hific.evaluation.metrics_of import Measured, Metrics
from hific.evaluation.rate_search import FormatLimitError
from hific.evaluation.round_trip import KeptTrips, RoundTrip, Store, reconstruct, round_trip
from hific.evaluation.search_ahead import SearchAhead

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationImage:
    """`name`: unique, fit for a file name; `read` gives the reference, uint8 [H, W, 3]; `preprocessing` is what was
    done to it."""

    name: str
    read: Callable[[], Pixels]
    preprocessing: str = ""


def evaluate_system(
    system: CodecUnderTest,
    images: Sequence[EvaluationImage],
    metrics: Metrics,
    store: Store,
    provenance: Provenance | None = None,
    ahead: SearchAhead | None = None,
    kept: KeptTrips | None = None,
) -> list[Measurement]:
    """A row for each image, and one for the set where there are set metrics. `ahead`: searches settings of the images
    to come meanwhile. `kept`: has those that were done.

    Whatever a codec raises ends the evaluation: a mean over the images that went well would flatter the codec. Only an
    image that the format itself has no file of is left out of its rows, and a warning says so.
    ValueError on a reconstruction of another size.
    """
    provenance = provenance or Provenance()
    of_set = metrics.new_set()
    rows = []
    specs = ahead.specs(system, images) if ahead else None
    for image in images:
        pixels = image.read()
        try:
            spec = next(specs)() if specs else system.spec(image.name, pixels)
        except FormatLimitError as error:
            log.warning("absent: %s of %s, whose means are over the other images: %s", image.name, system.name, error)
            continue
        trip = round_trip(spec, pixels, system.name, image.name, store, kept)
        of_set.update(pixels, trip.reconstruction, partial(_pair_again, image, spec, trip.data))
        rows.append(_image_row(system.name, image, spec, trip, metrics, pixels, provenance))
    measured = of_set.compute()
    return [*rows, _set_row(rows, measured)] if rows and (measured.values or measured.absent) else rows


def _pair_again(image: EvaluationImage, spec: EncodeSpec, data: bytes) -> tuple[Pixels, Pixels]:
    pixels = image.read()
    return pixels, reconstruct(spec, pixels, data)


def _image_row(
    system: str,
    image: EvaluationImage,
    spec: EncodeSpec,
    trip: RoundTrip,
    metrics: Metrics,
    pixels: Pixels,
    provenance: Provenance,
) -> Measurement:
    measured = metrics.measure(pixels, trip.reconstruction)
    height, width = pixels.shape[:2]
    return Measurement(
        system=system,
        codec=spec.codec.name,
        setting=spec.setting or spec.codec.setting,
        image=image.name,
        width=width,
        height=height,
        num_pixels=width * height,
        num_bytes=len(trip.data),
        metrics={**measured.values, **trip.extra},
        absent=measured.absent,
        encode_seconds=trip.encode_seconds,
        decode_seconds=trip.decode_seconds,
        max_bytes=spec.max_bytes,
        scale=spec.scale,
        preprocessing=image.preprocessing,
        note=spec.note,
        codec_version=spec.version,
        fingerprint=spec.fingerprint,
        provenance=provenance,
    )


def _set_row(rows: Sequence[Measurement], measured: Measured) -> Measurement:
    first = rows[0]
    return Measurement(
        system=first.system,
        codec=first.codec,
        setting=first.setting if all(row.setting == first.setting for row in rows) else "",
        image=WHOLE_SET,
        width=0,
        height=0,
        num_pixels=sum(row.num_pixels for row in rows),
        num_bytes=sum(row.num_bytes for row in rows),
        metrics=measured.values,
        absent=measured.absent,
        preprocessing=first.preprocessing,
        num_images=len(rows),
        codec_version=first.codec_version,
        fingerprint=first.fingerprint,
        provenance=first.provenance,
    )
