"""What gets into a row: real file bytes, metrics of what the bytes decode to, reasons where there is no number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hific.codecs.family import Variant
from hific.codecs.pillow_codecs import PillowCodec, PillowFamily
from hific.evaluation.codecs_under_test import (
    ABOVE_LIMIT,
    NOT_DECODABLE,
    EncodeSpec,
    FixedCodec,
    RateMatchedCodec,
    variant_under_test,
)
from hific.evaluation.evaluate import EvaluationImage, evaluate_system
from hific.evaluation.folder import EvaluationFolder, slug
from hific.evaluation.measurement import WHOLE_SET
from hific.evaluation.metrics_of import Metrics
from hific.metrics.fidelity import MSE, PSNR
from hific.metrics.image_metric import Absent

JPEG = PillowCodec("jpeg", 40)


@dataclass(frozen=True)
class Broken:
    """A metric whose answer is given."""

    answer: float | Absent
    name: str = "broken"
    higher_is_better: bool = True

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        return self.answer


@dataclass
class Count:
    """A metric of sets that counts what it is shown."""

    shown: list[float] = field(default_factory=list)

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        self.shown.append(float(np.abs(image.astype(float) - reconstruction).mean()))

    def compute(self) -> Mapping[str, float | Absent]:
        return {"fd_alexnet": float(len(self.shown)), "fid": Absent("no Inception weights")}


@pytest.fixture
def images(picture: np.ndarray) -> list[EvaluationImage]:
    return [EvaluationImage("a", lambda: picture), EvaluationImage("b", lambda: picture[:33, :47], "center crop of 47")]


def metrics(*of_image: object) -> Metrics:
    return Metrics(of_image=of_image)  # type: ignore[arg-type]


def test_a_row_holds_the_bytes_of_the_file_and_metrics_of_what_it_decodes_to(
    images: Sequence[EvaluationImage], tmp_path: Path
) -> None:
    folder = EvaluationFolder(tmp_path, keep={"a"})
    rows = evaluate_system(FixedCodec("jpeg, 40", EncodeSpec(JPEG, version="9")), images, metrics(PSNR()), folder)
    for row, image in zip(rows, images, strict=True):
        data = (tmp_path / "files" / "jpeg-40" / f"{image.name}.jpg").read_bytes()
        assert row.num_bytes == len(data)
        assert row.metrics["psnr"] == PSNR()(image.read(), np.asarray(JPEG.decompress(data)))
        assert row.num_pixels == row.width * row.height == image.read()[..., 0].size
    assert (rows[0].codec, rows[0].setting, rows[0].codec_version) == ("jpeg", "quality 40", "9")
    assert [row.preprocessing for row in rows] == ["", "center crop of 47"]
    assert rows[0].encode_seconds > 0 and rows[0].decode_seconds > 0
    assert not folder.reconstruction_path("jpeg, 40", "b").exists()
    np.testing.assert_array_equal(
        folder.read_reconstruction("jpeg, 40", "a"), JPEG.decompress(JPEG.compress(images[0].read()))
    )


@dataclass(frozen=True)
class Corrupting(EvaluationFolder):
    """Gives back another file than the one it was given."""

    def put(self, system: str, image: str, extension: str, data: bytes) -> bytes:
        return PillowCodec("jpeg", 1).compress(PillowCodec("jpeg", 1).decompress(data))


def test_what_is_measured_is_decoded_from_the_stored_file(images: Sequence[EvaluationImage], tmp_path: Path) -> None:
    system = FixedCodec("jpeg", EncodeSpec(JPEG))
    honest, other = (
        evaluate_system(system, images, metrics(MSE()), store(tmp_path))[0] for store in (EvaluationFolder, Corrupting)
    )
    assert other.num_bytes < honest.num_bytes
    assert other.metrics["mse"] > honest.metrics["mse"]


@dataclass
class Lost:
    """What the reconstruction has less than the image; of a pair, and of a set."""

    name: str = "lost"
    higher_is_better: bool = False
    shown: list[float] = field(default_factory=list)

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        return float(image.astype(float).mean() - reconstruction.mean())

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        self.shown.append(self(image, reconstruction))

    def compute(self) -> Mapping[str, float]:
        return {"most_lost": max(self.shown)}


def test_metrics_know_which_of_a_pair_is_the_original(images: Sequence[EvaluationImage], tmp_path: Path) -> None:
    darker = EncodeSpec(JPEG, reconstruct=lambda pixels: Image.fromarray(pixels - np.minimum(pixels, 7)))
    both = Metrics([Lost()], lambda: [Lost()])  # type: ignore[list-item]
    *rows, last = evaluate_system(FixedCodec("jpeg", darker), images, both, EvaluationFolder(tmp_path))
    assert all(5 < row.metrics["lost"] <= 7 for row in rows)
    assert last.metrics["most_lost"] == max(row.metrics["lost"] for row in rows)


@pytest.mark.parametrize(("answer", "reason"), [(Absent("too small"), "too small"), (math.nan, "not a number")])
def test_what_cannot_be_computed_is_absent_with_its_reason(
    answer: float | Absent, reason: str, images: Sequence[EvaluationImage], tmp_path: Path
) -> None:
    row, _ = evaluate_system(
        FixedCodec("jpeg", EncodeSpec(JPEG)), images, metrics(MSE(), Broken(answer)), EvaluationFolder(tmp_path)
    )
    assert row.absent == {"broken": reason}
    assert set(row.metrics) == {"mse"}


def test_a_set_has_a_row_of_its_own_with_the_number_of_images(
    images: Sequence[EvaluationImage], tmp_path: Path
) -> None:
    made = []

    def of_set() -> list[Count]:
        made.append(Count())
        return [made[-1]]

    system = FixedCodec("jpeg", EncodeSpec(JPEG, fingerprint="ab"))
    for _ in range(2):
        *rows, last = evaluate_system(system, images, Metrics([MSE()], of_set), EvaluationFolder(tmp_path))  # type: ignore[arg-type]
    assert [len(one.shown) for one in made] == [2, 2]  # each evaluation counts its own images
    assert (last.image, last.num_images, last.fingerprint) == (WHOLE_SET, 2, "ab")
    assert last.num_bytes == sum(row.num_bytes for row in rows) and last.num_pixels == sum(
        row.num_pixels for row in rows
    )
    assert last.metrics == {"fd_alexnet": 2.0} and last.absent == {"fid": "no Inception weights"}


def test_a_set_of_the_same_pixels_is_measured_once(images: Sequence[EvaluationImage], tmp_path: Path) -> None:
    made: list[Count] = []

    def of_set() -> list[Count]:
        made.append(Count())
        return [made[-1]]

    shared = Metrics([MSE()], of_set)  # type: ignore[arg-type]
    same, twin = (FixedCodec(name, EncodeSpec(JPEG, version=name)) for name in ("same", "twin"))
    # differs from `same` in its second image only
    other = RateMatchedCodec(
        "other", PillowFamily("jpeg", scales=(1,)), {"a": len(JPEG.compress(images[0].read())), "b": 1}
    )
    sets = [evaluate_system(one, images, shared, EvaluationFolder(tmp_path))[-1] for one in (same, twin, other)]
    assert [len(one.shown) for one in made] == [2, 2]  # none for the twin, and all images of the other
    assert made[0].shown[0] == made[1].shown[0] and made[0].shown[1] != made[1].shown[1]
    assert sets[0].metrics == sets[1].metrics and (sets[1].system, sets[1].codec_version) == ("twin", "twin")


class Fingerprinted(PillowCodec):
    """What a row says of a learned codec."""

    fingerprint = b"\xab"


def test_an_oracle_has_the_bytes_of_its_base_and_says_that_they_do_not_decode_to_it(
    images: Sequence[EvaluationImage], tmp_path: Path
) -> None:
    codec: Any = Fingerprinted("jpeg", 40)
    variants = [Variant(codec, "base"), Variant(codec, "oracle", reconstruct=Image.fromarray, is_control=True)]
    systems = [variant_under_test("label", one) for one in variants]
    (real, _), (row, _) = (evaluate_system(one, images, metrics(MSE()), EvaluationFolder(tmp_path)) for one in systems)
    assert (real.system, real.setting, real.note) == ("label, base", "base", "")
    assert (row.system, row.setting, row.fingerprint) == ("label, oracle", "oracle", "ab")
    assert row.num_bytes == real.num_bytes
    assert row.metrics["mse"] == 0 < real.metrics["mse"]
    assert (row.note, row.decode_seconds) == (NOT_DECODABLE, None)


def test_extra_metrics_of_a_system_are_in_its_rows(images: Sequence[EvaluationImage], tmp_path: Path) -> None:
    setup = EncodeSpec(JPEG, extra_metrics=lambda pixels: {"switch_accuracy": len(pixels) / 100})
    rows = evaluate_system(FixedCodec("jpeg", setup), images, metrics(MSE()), EvaluationFolder(tmp_path))
    assert [row.metrics["switch_accuracy"] for row in rows] == [0.6, 0.33]


def test_a_reconstruction_of_another_size_is_an_error(images: Sequence[EvaluationImage], tmp_path: Path) -> None:
    setup = EncodeSpec(JPEG, reconstruct=lambda pixels: Image.fromarray(pixels[1:]))
    with pytest.raises(ValueError, match="jpeg made"):
        evaluate_system(FixedCodec("jpeg", setup), images, metrics(), EvaluationFolder(tmp_path))


def test_matched_rows_keep_to_their_limits_and_say_where_they_could_not(
    images: Sequence[EvaluationImage], tmp_path: Path
) -> None:
    system = RateMatchedCodec("webp", PillowFamily("webp"), {"a": 400, "b": 20})
    fits, above = evaluate_system(system, images, metrics(MSE()), EvaluationFolder(tmp_path))
    assert fits.num_bytes <= fits.max_bytes == 400 and fits.note == ""
    assert above.num_bytes > above.max_bytes == 20 and above.note == ABOVE_LIMIT and above.scale > 1
    assert "libwebp" in fits.codec_version


def test_labels_become_folder_names_without_separators() -> None:
    assert slug("sae_spn, tables <= 3") == "sae_spn-tables-3"
    assert slug("../..") == "_"
