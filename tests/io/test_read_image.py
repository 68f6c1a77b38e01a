"""Every image in: how it was stored must not change what is seen, and what cannot be read is an ImageError by name."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from hific.errors import ImageError
from hific.io.read_image import FORMATS, ORIENTATION_TAG, UPRIGHT, image_size, image_suffixes, read_image, to_rgb8


def picture(width: int = 23, height: int = 17) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(image: Image.Image, form: str = "PNG", **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    stream.seek(0)
    return stream


def test_plain_rgb_is_unchanged_and_not_remarked_on(tmp_path: Path) -> None:
    for form in ("PNG", "BMP", "TIFF", "PPM"):
        path = tmp_path / f"picture.{form.lower()}"
        Image.fromarray(picture()).save(path, form)
        read = read_image(path)
        assert read.array.dtype == np.uint8
        assert np.array_equal(read.array, picture()) and read.notes == ()
        assert np.array_equal(read_image(str(path)).array, picture())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = Image.fromarray(picture(16, 32).repeat(8, axis=0).repeat(8, axis=1))
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(UPRIGHT[undo]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    read = read_image(saved(stored, exif=exif))
    assert np.array_equal(read.array, np.asarray(upright))
    assert ("EXIF orientation applied" in read.notes) == (orientation > 1)
    assert read_image(saved(stored, "JPEG", exif=exif)).array.shape == read.array.shape


# How a picture of two rows, 1 2 3 and 4 5 6, lies in a file by each value of EXIF's tag (CIPA DC-008, 4.6.5.1.6).
STORED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[3, 6], [2, 5], [1, 4]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[4, 1], [5, 2], [6, 3]],
}


@pytest.mark.parametrize("orientation", STORED)
def test_orientations_mean_what_exif_says(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    stored = Image.fromarray(np.array(STORED[orientation], np.uint8))
    read = read_image(saved(stored, exif=exif)).array
    assert read[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "PA"])
def test_every_mode_becomes_rgb_of_the_same_size(mode: str) -> None:
    image = Image.fromarray(picture())
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    else:
        image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    read = to_rgb8(image)
    assert read.array.shape == (17, 23, 3) and read.array.dtype == np.uint8
    expected = image.convert("RGB") if mode not in ("RGBA", "LA", "PA", "LAB") else None
    if expected is not None:
        assert np.array_equal(read.array, np.asarray(expected))
    if mode == "LAB":
        assert np.abs(read.array.astype(int) - picture()).mean() < 8
    assert bool(read.notes) or mode == "YCbCr" or mode == "1"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_alpha_is_composited_on_white(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[0, 0, 3] = 7
    read = read_image(saved(Image.fromarray(pixels)))
    share = pixels[..., 3:] / 255
    expected = pixels[..., :3] * share + 255 * (1 - share)
    assert np.abs(read.array - expected).max() <= 1
    assert read.notes == ("alpha composited on white",)
    with pytest.raises(ImageError, match="transparent"):
        read_image(saved(Image.fromarray(pixels)), alpha="refuse")


def test_opaque_alpha_is_no_transparency() -> None:
    image = Image.fromarray(picture()).convert("RGBA")
    read = read_image(saved(image), alpha="refuse")
    assert np.array_equal(read.array, picture()) and read.notes == ("opaque alpha channel dropped",)


def test_transparent_palette_color_counts_as_alpha() -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    read = read_image(saved(image, transparency=0))
    assert read.array[0, 0].tolist() == [255, 255, 255] and read.array[0, 1].tolist() == [200, 100, 50]
    assert "palette expanded" in read.notes and "alpha composited on white" in read.notes


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_keep_the_high_byte_and_say_so(suffix: str, channels: int) -> None:
    samples = np.random.default_rng(1).integers(0, 65536, (9, 11, channels), dtype=np.uint16)
    _, encoded = cv2.imencode(suffix, samples.squeeze())
    read = read_image(io.BytesIO(encoded.tobytes()))
    expected = np.broadcast_to(samples[..., ::-1] >> 8, (9, 11, 3))
    assert np.abs(read.array.astype(int) - expected).max() <= 1
    assert read.notes[0] == "16-bit samples reduced to 8" and len(set(read.notes)) == len(read.notes)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_8_bits_stored_as_16_come_back_as_they_were(suffix: str, channels: int) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16, 1).repeat(channels, axis=2)
    _, encoded = cv2.imencode(suffix, 257 * levels)
    assert np.array_equal(read_image(io.BytesIO(encoded.tobytes())).array[..., :channels], levels)


def test_samples_without_a_white_are_refused() -> None:
    for value in (70000, -1, 200):
        for image in (Image.fromarray(np.full((4, 4), value, np.int32)), Image.fromarray(np.ones((4, 4), np.float32))):
            with pytest.raises(ImageError, match="defined white"):
                read_image(saved(image, "TIFF"))
            with pytest.raises(ImageError, match="floating point" if image.mode == "F" else "32-bit integer"):
                to_rgb8(image)


def test_16_bit_portable_graymap_is_read_through_32_bits() -> None:
    read = read_image(io.BytesIO(b"P5 2 1 65535\n" + bytes([200, 7, 100, 9])))
    assert read.array[0, :, 0].tolist() == [200, 100] and read.notes[0] == "16-bit samples reduced to 8"


def test_size_from_the_header_alone() -> None:
    whole = saved(Image.fromarray(picture(200, 100))).getvalue()
    stream = io.BytesIO(whole[:100])
    assert image_size(stream) == (200, 100) and stream.tell() == 0
    for read in (image_size, read_image):
        with pytest.raises(ImageError, match=r"^photo: "):
            read(io.BytesIO(b"no image"), name="photo")


def test_icc_profile_is_converted() -> None:
    wide = _wide_gamut_profile()
    read = read_image(saved(Image.new("RGB", (8, 8), (100, 180, 100)), icc_profile=wide))
    assert "ICC profile converted to sRGB" in read.notes
    red, green, _ = read.array[4, 4].tolist()
    assert abs(green - 180) <= 2 and red < 60, "Adobe RGB's green lies beyond sRGB's: less red is left in it"


@pytest.mark.parametrize("name", ["Adobe RGB(98)", "Adobe 98, RGB", "not quite RGB"])
def test_a_profile_that_calls_itself_rgb_is_not_srgb(name: str) -> None:
    wide = _wide_gamut_profile(name)
    assert (ImageCms.ImageCmsProfile(io.BytesIO(wide)).profile.profile_description or "").startswith(name)
    read = read_image(saved(Image.new("RGB", (8, 8), (100, 180, 100)), icc_profile=wide))
    assert "ICC profile converted to sRGB" in read.notes and read.array[0, 0, 0] < 60


def test_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    read = read_image(saved(Image.fromarray(picture()), icc_profile=profile))
    assert np.array_equal(read.array, picture()) and read.notes == ()


def test_broken_or_unfitting_icc_profile_is_ignored_and_noted() -> None:
    wide = _wide_gamut_profile()
    for profile in (b"not a profile", wide[:200]):
        read = read_image(saved(Image.fromarray(picture()), icc_profile=profile))
        assert np.array_equal(read.array, picture()) and "unusable ICC profile ignored" in read.notes
    grey = read_image(saved(Image.fromarray(picture()).convert("L"), icc_profile=wide))
    assert "ICC profile converted to sRGB" in grey.notes and grey.array.shape == (17, 23, 3)
    cmyk = read_image(saved(Image.fromarray(picture()).convert("CMYK"), "JPEG", icc_profile=wide))
    assert cmyk.array.shape == (17, 23, 3)


def test_only_the_first_frame_and_said_so() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    read = read_image(saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    assert read.notes == ("first of 3 frames",) and read.array[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (333, 517)])
def test_sizes(size: tuple[int, int]) -> None:
    assert read_image(saved(Image.new("RGB", size))).array.shape == (size[1], size[0], 3)


def test_pixel_limit_is_met_before_pixels_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(image: object) -> None:
        raise AssertionError("pixels were read")

    big = saved(Image.new("L", (100, 51)))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    with pytest.raises(ImageError, match="100x51 is more than the limit of 5000"):
        read_image(big, max_pixels=5000)


def test_the_limit_is_ours_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(saved(Image.new("RGB", (100, 50)))).array.shape == (50, 100, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not an image")
    script = tmp_path / "page.eps"
    Image.fromarray(picture()).save(script, "EPS")
    for path in (text, script, tmp_path / "missing.png", tmp_path):
        with pytest.raises(ImageError, match=path.name):
            read_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_damage_is_an_image_error_or_an_image() -> None:
    rng = np.random.default_rng(3)
    for form in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "QOI"):
        assert form in FORMATS
        whole = saved(Image.fromarray(picture(40, 30)), form).getvalue()
        for _ in range(30):
            damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            for position in rng.integers(0, len(damaged), 3):
                damaged[position] ^= 1 << rng.integers(8)
            try:
                read = read_image(io.BytesIO(bytes(damaged)), max_pixels=10**6)
            except ImageError:
                continue
            assert read.array.ndim == 3 and read.array.dtype == np.uint8


def test_a_truncated_file_is_damaged_not_grey() -> None:
    for form in ("PNG", "JPEG"):
        whole = saved(Image.fromarray(picture(200, 200)), form).getvalue()
        with pytest.raises(ImageError):
            read_image(io.BytesIO(whole[: len(whole) // 2]))


def test_a_stream_that_cannot_seek() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as sink:
        sink.write(saved(Image.fromarray(picture())).getvalue())
    with os.fdopen(reading, "rb") as stream:
        assert np.array_equal(read_image(stream).array, picture())


def test_suffixes_are_those_of_the_formats() -> None:
    assert {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".jp2", ".bmp", ".gif"} <= image_suffixes()
    assert not {".eps", ".pdf", ".hfc"} & image_suffixes()


def _wide_gamut_profile(name: str = "Wide built-in") -> bytes:
    """An RGB matrix profile with far purer primaries than sRGB's: sRGB's own, its green and blue columns edited; `name`
    is as long as its own."""
    assert len(name) == len("sRGB built-in")
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag, xyz in (
        (b"rXYZ", (0.6097, 0.3111, 0.0195)),
        (b"gXYZ", (0.2053, 0.6257, 0.0609)),
        (b"bXYZ", (0.1492, 0.0632, 0.7446)),
    ):
        entry = profile.index(tag, 128)
        offset = int.from_bytes(profile[entry + 4 : entry + 8], "big")
        for i, value in enumerate(xyz):
            at = offset + 8 + 4 * i
            profile[at : at + 4] = round(value * 65536).to_bytes(4, "big", signed=True)
    return bytes(profile).replace("sRGB built-in".encode("utf-16-be"), name.encode("utf-16-be"))
