"""The command line with HiFiC, and with several checkpoints: rates on demand, tiles, progress, reading ahead."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from photos import save_noise
from PIL import Image

from hific.cli import conversions, main
from hific.cli.arguments import build_parser
from hific.cli.conversions import Failed, Made
from hific.cli.convert import read_ahead
from hific.cli.plan import Input, Task
from hific.codecs import memory
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec

MakeCheckpoint = Callable[..., Path]
Run = Callable[..., int]

ROOT = Path(__file__).parents[1]
RATES = {"low": 0.5, "mid": 2.0, "high": 8.0}


def save_image(path: Path, size: tuple[int, int] = (100, 70), seed: int = 0) -> Path:
    return save_noise(path, size, seed)


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(np.int16)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HIFIC_CHECKPOINT", raising=False)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Run:
    def call(*arguments: str | Path) -> int:
        try:
            return main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            return int(exit_.code or 0)

    return call


@pytest.fixture
def hific(make_hific_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch, here: Path) -> str:
    """The checkpoint of the environment."""
    make_hific_checkpoint()
    monkeypatch.setenv("HIFIC_CHECKPOINT", "hific.ckpt")
    return "hific.ckpt"


@pytest.fixture
def family(make_hific_checkpoint: MakeCheckpoint, here: Path) -> list[str]:
    """low.ckpt, mid.ckpt and high.ckpt as options, not in that order."""
    for seed, (name, deviation) in enumerate(RATES.items()):
        make_hific_checkpoint(f"{name}.ckpt", seed=seed, deviation=deviation)
    return [argument for name in ("mid", "high", "low") for argument in ("--checkpoint", f"{name}.ckpt")]


def files_by_rate(run: Run, image: str) -> dict[str, bytes]:
    for name in RATES:
        assert run("compress", image, "--checkpoint", f"{name}.ckpt", "-o", f"only_{name}.hfc", "--quiet") == 0
    files = {name: Path(f"only_{name}.hfc").read_bytes() for name in RATES}
    assert len(files["low"]) < len(files["mid"]) < len(files["high"])
    return files


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (17, 16), (100, 70)])
def test_there_and_back_at_odd_sizes(run: Run, here: Path, hific: str, size: tuple[int, int]) -> None:
    save_image(here / "a.png", size)
    assert run("compress", "a.png") == 0 and run("decompress", "a.hfc", "-o", "b.png") == 0
    back = Image.open("b.png")
    assert back.size == size and back.mode == "RGB"
    codec = load_codec(hific)
    assert codec.decompress(Path("a.hfc").read_bytes()).tobytes() == back.tobytes()
    assert Path("a.hfc").read_bytes() == codec.compress(Image.open("a.png"))


def test_images_of_all_kinds(run: Run, here: Path, hific: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(here / "rgb.png", (40, 24))
    color = Image.open("rgb.png")
    color.convert("L").save("grey.png")
    color.convert("RGBA").save("opaque.png")
    Image.new("RGBA", (40, 24), (9, 9, 9, 99)).save("alpha.png")
    color.quantize(16).save("palette.png")
    Image.fromarray(np.full((24, 40), 40000, np.uint16)).save("deep.png")
    color.convert("CMYK").save("cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    color.save("turned.jpg", exif=exif)
    notes = {
        "grey": "grey stored as RGB",
        "opaque": "opaque alpha channel dropped",
        "alpha": "alpha composited on white",
        "palette": "palette expanded",
        "deep": "16-bit samples reduced to 8",
        "cmyk": "CMYK converted to sRGB",
        "turned": "EXIF orientation applied",
    }
    assert run("compress", "*.png", "*.jpg", "-o", "out") == 0
    told = capsys.readouterr().err
    assert run("decompress", "out", "-o", "back") == 0
    for name, note in notes.items():
        assert note in told
        assert Image.open(f"back/{name}.png").size == ((24, 40) if name == "turned" else (40, 24))


def test_tiles_change_neither_symbols_nor_pixels(run: Run, here: Path, hific: str) -> None:
    save_image(here / "a.png", (150, 100))
    for tile in ("32", "0", "47"):
        assert run("compress", "a.png", "-o", f"{tile}.hfc", "--tile", tile) == 0
    codec = load_codec(hific)
    tiled, whole, other = (codec.decode_latent(Path(f"{tile}.hfc").read_bytes())[:2] for tile in ("32", "0", "47"))
    for ours, theirs, again in zip(tiled, whole, other, strict=True):
        # Float rounding may tip a latent that lies in the middle between two symbols.
        assert np.abs(ours - theirs).max() <= 1 and (ours != theirs).mean() < 0.005
        assert np.array_equal(ours, again), "47 is rounded down to 32"
    for tile in ("32", "0", "16"):
        assert run("decompress", "0.hfc", "-o", f"{tile}.png", "--tile", tile) == 0
    assert np.abs(pixels_of(here / "32.png") - pixels_of(here / "0.png")).max() <= 1
    assert np.abs(pixels_of(here / "16.png") - pixels_of(here / "0.png")).max() <= 1
    assert pixels_of(here / "0.png").std() > 5


def test_precision_is_the_readers_choice(run: Run, here: Path, hific: str) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png", "--precision", "bfloat16") == 0
    for precision in ("bfloat16", "float32"):
        assert run("decompress", "a.hfc", "-o", f"{precision}.png", "--precision", precision) == 0
    difference = pixels_of(here / "bfloat16.png") - pixels_of(here / "float32.png")
    assert 0 < np.abs(difference).mean() < 2


def test_info_of_hific_files(run: Run, here: Path, hific: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png") == 0
    os.remove("hific.ckpt")
    capsys.readouterr()
    assert run("info", "a.hfc", "--json") == 0
    (item,) = json.loads(capsys.readouterr().out)
    assert (item["codec"], item["coder"], item["width"], item["height"]) == ("hific", "tables", 100, 70)
    assert item["num_bytes"] == os.path.getsize("a.hfc") and item["num_header_bytes"] <= 20
    assert run("info", "a.hfc") == 0
    assert f"hific model {item['fingerprint']}, coder tables" in capsys.readouterr().out


def test_damaged_files_are_one_line_each(run: Run, here: Path, hific: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png") == 0
    data = Path("a.hfc").read_bytes()
    Path("cut.hfc").write_bytes(data[:-1])
    Path("flipped.hfc").write_bytes(data[:20] + bytes([data[20] ^ 4]) + data[21:])
    capsys.readouterr()
    assert run("decompress", "cut.hfc", "flipped.hfc", "a.hfc", "-o", "back") == 1
    lines = capsys.readouterr().err.splitlines()
    assert os.listdir("back") == ["a.png"] and len(lines) == 4 and lines[-1] == "1 done, 2 failed"


def test_a_diverged_model_is_told_in_a_line(
    run: Run, here: Path, make_hific_checkpoint: MakeCheckpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    make_hific_checkpoint("diverged.ckpt", deviation=1e12)
    save_image(here / "a.png")
    assert run("compress", "a.png", "--checkpoint", "diverged.ckpt") == 1 and not Path("a.hfc").exists()
    error = capsys.readouterr().err
    assert error.startswith("hific: a.png: ") and "the model has diverged" in error and error.count("\n") == 1


def test_the_largest_file_within_the_limit(
    run: Run, here: Path, family: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(here / "a.png")
    files = files_by_rate(run, "a.png")
    limits = {"high": 10**6, "mid": len(files["high"]) - 1, "low": len(files["mid"]) - 1}
    for name, limit in limits.items():
        capsys.readouterr()
        assert run("compress", "a.png", "-o", f"{name}.hfc", "--max-bytes", str(limit), *family) == 0
        assert Path(f"{name}.hfc").read_bytes() == files[name]
        assert capsys.readouterr().err.endswith(f" bpp, {name}.ckpt\n")
        assert run("compress", "a.png", "-o", f"{name}_exact.hfc", "--max-bytes", str(len(files[name])), *family) == 0
        assert Path(f"{name}_exact.hfc").read_bytes() == files[name]
    # The rate is of the 7000 pixels of the image, not of those that it is padded to.
    exact = 8 * len(files["mid"]) / 7000
    for rate, name in ((exact + 1e-6, "mid"), (exact - 1e-6, "low")):
        assert run("compress", "a.png", "-o", "rate.hfc", "--force", "--bpp", f"{rate:.7f}", *family) == 0
        assert Path("rate.hfc").read_bytes() == files[name]


def test_where_no_file_fits_the_image_fails_alone(
    run: Run, here: Path, family: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(here / "a.png")
    save_image(here / "b.png", (1, 1))
    smallest = len(files_by_rate(run, "a.png")["low"])
    capsys.readouterr()
    for checkpoints in (family, ["--checkpoint", "low.ckpt"]):
        assert (
            run("compress", "a.png", "b.png", "-o", "out", "--force", "--max-bytes", str(smallest - 1), *checkpoints)
            == 1
        )
        assert os.listdir("out") == ["b.hfc"]
        error = capsys.readouterr().err.splitlines()[0]
        assert error.startswith(f"hific: a.png: no file of at most {smallest - 1} bytes")
        assert f"the smallest takes {smallest} (" in error and "allow as many" in error


def test_a_rate_is_exact() -> None:
    def rate(text: str) -> float:
        return build_parser().parse_args(["compress", "a.png", "--bpp", text]).bpp

    assert int(rate(".3") * 80 / 8) == 3 and int(rate("0.15") * 160 / 8) == 3 and rate("2.") == 2


def test_files_find_their_checkpoint(
    run: Run, here: Path, family: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(here / "a.png")
    files_by_rate(run, "a.png")
    named = [f"only_{name}.hfc" for name in RATES]
    assert run("decompress", *named, "-o", "back", *family) == 0
    for name in RATES:
        assert run("decompress", f"only_{name}.hfc", "-o", f"{name}.png", "--checkpoint", f"{name}.ckpt") == 0
        assert Path(f"{name}.png").read_bytes() == Path(f"back/only_{name}.png").read_bytes()
    monkeypatch.setenv("HIFIC_CHECKPOINT", os.pathsep.join(["low.ckpt", "mid.ckpt"]))
    capsys.readouterr()
    assert run("decompress", *named, "-o", "again") == 1
    assert sorted(os.listdir("again")) == ["only_low.png", "only_mid.png"]
    (error,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("hific: "))
    fingerprints = {name: load_codec(f"{name}.ckpt").fingerprint.hex() for name in RATES}
    assert error == (
        f"hific: only_high.hfc: the file was made by hific model {fingerprints['high']}, loaded are "
        f"{fingerprints['low']} (hific_tiny), {fingerprints['mid']} (hific_tiny): load the checkpoint that made it"
    )


def test_sets_may_be_mixed(
    run: Run, here: Path, make_checkpoint: MakeCheckpoint, hific: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_checkpoint("compressnet.ckpt")
    both = ("--checkpoint", "hific.ckpt", "--checkpoint", "compressnet.ckpt")
    save_image(here / "a.png")
    for name in ("hific", "compressnet"):
        assert run("compress", "a.png", "-o", f"{name}.hfc", "--checkpoint", f"{name}.ckpt") == 0
    small, large = sorted(("hific", "compressnet"), key=lambda name: os.path.getsize(f"{name}.hfc"))
    for name, limit in ((large, 10**6), (small, os.path.getsize(f"{large}.hfc") - 1)):
        assert run("compress", "a.png", "-o", "mixed.hfc", "--force", "--max-bytes", str(limit), *both) == 0
        assert Path("mixed.hfc").read_bytes() == Path(f"{name}.hfc").read_bytes()
    assert run("decompress", "hific.hfc", "compressnet.hfc", "-o", "back", *both, "--tile", "32") == 0
    assert run("compress", "a.png", "-o", "c.hfc", "--bpp", "99", *both, "--tile", "32", "--coder", "tables") == 0
    # 2001x2000 is beyond CompressNet, not beyond the set.
    Image.new("L", (2001, 2000)).save("large.png")
    capsys.readouterr()
    assert run("compress", "large.png", "--bpp", "99", *both) == 0
    assert capsys.readouterr().err.endswith("bpp, hific.ckpt\n")


def test_wrong_combinations_are_one_line(
    run: Run, here: Path, make_checkpoint: MakeCheckpoint, hific: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_checkpoint("compressnet.ckpt")
    save_image(here / "a.png")
    ours, theirs = ("--checkpoint", "hific.ckpt"), ("--checkpoint", "compressnet.ckpt")
    cases = (
        ((*ours, *theirs), "2 checkpoints, and nothing to choose by: limit the files with --bpp or --max-bytes"),
        (
            (*ours, "--coder", "fixed_length"),
            "hific.ckpt: --coder fixed_length: hific_tiny has tables: leave it out",
        ),
        ((*ours, "--post-filter"), "hific.ckpt: --post-filter: hific_tiny has no post-filter: leave it out"),
        (
            (*ours, *theirs, "--bpp", "1", "--switch-source", "random"),
            "compressnet.ckpt: --switch-source random: only for models that predict switches; this one's are none",
        ),
        ((*theirs, "--precision", "bfloat16"), "--precision bfloat16 is not for compressnet.ckpt: only hific has it"),
        ((*ours, "--switch-source", "random"), "--switch-source random is not for hific.ckpt: only compressnet has it"),
        ((*ours, "--checkpoint", "absent.ckpt", "--bpp", "1"), "absent.ckpt: no such checkpoint"),
        ((*ours, "--checkpoint", "a.png", "--bpp", "1"), "a.png: damaged or cut short, or no checkpoint"),
    )
    for arguments, message in cases:
        assert run("compress", "a.png", *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"hific: {message}") and error.count("\n") == 1
    assert run("compress", "a.png", *ours, "--checkpoint", here / "hific.ckpt") == 0, "one checkpoint, named twice"
    assert sorted(os.listdir()) == ["a.hfc", "a.png", "compressnet.ckpt", "hific.ckpt"]


def test_memory_that_is_not_there_is_refused_both_ways(
    run: Run, here: Path, hific: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(here / "a.png", (400, 400))
    assert run("compress", "a.png") == 0
    monkeypatch.setattr(memory, "_CODER_BYTES", 0)
    # Above what the coder needs, beneath what the networks need for the whole image.
    monkeypatch.setattr(memory, "available_memory", lambda: 12_000_000)
    capsys.readouterr()
    for arguments in (("compress", "a.png", "--force"), ("decompress", "a.hfc", "-o", "b.png")):
        assert run(*arguments, "--tile", "0") == 1
        error = capsys.readouterr().err
        assert "400x400 would take about 0.0 GB" in error and "in one piece" in error
        assert "take smaller tiles (--tile" in error and not Path("b.png").exists()
        assert run(*arguments, "--tile", "128") == 0
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000)
    capsys.readouterr()
    assert run("compress", "a.png", "--force", "--tile", "128") == 1
    assert "free memory" in (error := capsys.readouterr().err) and "--tile" not in error


@pytest.mark.slow
def test_24_megapixels_take_less_than_4_gigabytes(here: Path, make_hific_checkpoint: MakeCheckpoint) -> None:
    """At size=small: minutes. The second photo waits in memory while the first is coded."""
    make_hific_checkpoint(
        "small.ckpt", widths=(16, 32, 64, 128, 192), latent_channels=96, hyper_channels=96, residual_blocks=4
    )
    noise = np.random.default_rng(0).integers(0, 256, (250, 375, 3), dtype=np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(noise).resize((6000, 4000)).save(name, compress_level=1)
    for arguments in (("compress", "a.png", "b.png"), ("decompress", "a.hfc", "-o", "back.png")):
        command = [sys.executable, "-m", "hific.cli", *arguments, "--checkpoint", "small.ckpt"]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0 and usage.ru_maxrss * 1024 < 4 << 30
    assert Image.open("back.png").size == (6000, 4000)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "bars"),
    [
        (("a.png", "--tile", "32"), {"a.png, steps"}),
        (("a.png", "b.png", "--tile", "32"), {"a.png, steps", "b.png, steps", "compress"}),
        (("a.png", "b.png", "--tile", "32", "--jobs", "2"), {"compress"}),
        (("a.png", "b.png"), {"compress"}),
        (("a.png",), set()),
        (("a.png", "b.png", "--tile", "32", "--quiet"), set()),
    ],
)
def test_bars_are_for_what_takes_several_steps(
    run: Run, here: Path, hific: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], bars: set[str]
) -> None:
    for name in ("a.png", "b.png"):
        save_image(here / name)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run("compress", *arguments) == 0
    shown = terminal.getvalue()
    titles = ("a.png, steps", "b.png, steps", "compress")
    assert {title for title in titles if title in shown} == bars
    assert ("a.png -> a.hfc" in shown) == ("--quiet" not in arguments)


def test_the_next_image_is_read_while_the_present_one_is_coded(
    run: Run, here: Path, hific: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.png", "b.png", "c.png"]
    for name in names:
        save_image(here / name)
    read = {name: threading.Event() for name in names}
    threads = {}
    read_image, compress = conversions.read_image, LearnedCodec.compress
    following = iter([*names[1:], None])

    def reading(source: Path, **options: object) -> object:
        threads[source.name] = threading.current_thread() is threading.main_thread()
        image = read_image(source, **options)
        read[source.name].set()
        return image

    def coding(codec: object, image: np.ndarray) -> bytes:
        name = next(following)
        assert name is None or read[name].wait(20), "the next image is read only after this one"
        return compress(codec, image)

    monkeypatch.setattr(conversions, "read_image", reading)
    monkeypatch.setattr(LearnedCodec, "compress", coding)
    assert run("compress", *names) == 0
    assert threads == {"a.png": True, "b.png": False, "c.png": False}
    # Large ones wait on disk.
    monkeypatch.setattr(conversions, "EARLY_PIXELS", 1000)
    following = iter([None] * 3)
    assert run("compress", *names, "--force") == 0
    assert all(threads.values())


class Counting:
    """A conversion of tasks that need no files; counts what waits in memory."""

    def __init__(self, refused: str) -> None:
        self.log: list[tuple[str, str]] = []
        self._refused = refused

    def read(self, task: Task) -> str | Failed:
        self.log.append(("read", str(task.source)))
        return str(task.source)

    def read_early(self, task: Task) -> str | Failed | None:
        return None if str(task.source) == self._refused else self.read(task)

    def make(self, task: Task, content: str) -> Made | Failed:
        raise NotImplementedError


def test_at_most_one_input_waits_and_each_is_read_once() -> None:
    tasks = [Task(Input(Path(name), Path(name), searched=False), None) for name in "abcdef"]
    conversion = Counting(refused="d")
    for index, (task, content) in enumerate(read_ahead(tasks, conversion)):
        assert content == str(task.source) == "abcdef"[index]
        assert index + 1 <= len(conversion.log) <= index + 2
    assert conversion.log == [("read", name) for name in "abcdef"]


def test_memory_that_runs_out_costs_one_image(
    run: Run, here: Path, hific: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """torch raises RuntimeError for it; any other RuntimeError is a bug of ours and shows."""
    for seed, name in enumerate(("a.png", "b.png")):
        save_image(here / name, (40 + seed, 24))
    plain = LearnedCodec.compress

    def scarce(message: str) -> Callable[..., bytes]:
        def compress(self: LearnedCodec, image: np.ndarray) -> bytes:
            if image.shape[1] == 40:
                raise RuntimeError(message)
            return plain(self, image)

        return compress

    monkeypatch.setattr(LearnedCodec, "compress", scarce("DefaultCPUAllocator: can't allocate memory"))
    assert run("compress", "a.png", "b.png") == 1
    assert "a.png: memory ran out" in capsys.readouterr().err and Path("b.hfc").exists()
    assert not Path("a.hfc").exists()
    monkeypatch.setattr(LearnedCodec, "compress", scarce("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        run("compress", "a.png")
