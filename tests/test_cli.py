"""The command line: names, refusals, exit statuses, streams, and that nothing partial is ever left."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import save_noise
from PIL import Image

from hific.cli import main
from hific.cli.conversions import Compressor, Failed
from hific.codecs.load import checkpoint_entry
from hific.coding.container import Header, pack, read_info
from hific.fitting.coding import fit_channel_tables
from hific.io.read_image import ReadImage, read_image
from hific.io.write_whole import write_whole
from hific.models.compressnet import CompressNet

ROOT = Path(__file__).parents[1]
HIFIC = [sys.executable, "-m", "hific.cli"]
Run = Callable[..., int]


def save_checkpoint(path: Path, seed: int) -> str:
    torch.manual_seed(seed)
    model = CompressNet(widths=(4, 4, 6, 6, 8), residual_blocks=1, latent_channels=4, switches="predicted")
    entry = checkpoint_entry("tiny", model, fit_channel_tables([], num_channels=4), {})
    torch.save({"state_dict": {f"model.{k}": v for k, v in model.state_dict().items()}, "hific": entry}, path)
    return str(path)


def save_image(path: Path, size: tuple[int, int] = (40, 36), seed: int = 0) -> Path:
    return save_noise(path, size, seed)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_checkpoint(tmp_path_factory.mktemp("model") / "model.ckpt", seed=0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HIFIC_CHECKPOINT", raising=False)
    return tmp_path


@pytest.fixture
def run(here: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`main` with the checkpoint at hand; a usage error of argparse is its exit status."""
    monkeypatch.setenv("HIFIC_CHECKPOINT", checkpoint)

    def call(*arguments: str | Path) -> int:
        try:
            return main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            return int(exit_.code or 0)

    return call


def test_there_and_back_beside_the_inputs(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png") == 0
    assert run("decompress", "a.hfc", "-o", "back.png") == 0
    assert files(here) == ["a.hfc", "a.png", "back.png"]
    assert Image.open(here / "back.png").size == (40, 36)
    output = capsys.readouterr()
    size = (here / "a.hfc").stat().st_size
    assert output.out == "" and f"a.png -> a.hfc: 40x36, {size} bytes, {size * 8 / 1440:.4f} bpp" in output.err


def test_folders_globs_and_files_into_a_folder(run: Run, here: Path) -> None:
    for name in ("photos/a.png", "photos/deep/b.jpg", "photos/.hidden.png", "more/c.png", "more/d.webp", "e.png"):
        save_image(here / name)
    (here / "photos/notes.txt").write_text("no image")
    assert run("compress", "photos", "more/*", "e.png", "./e.png", "-o", "out") == 0
    assert files(here / "out") == ["a.hfc", "c.hfc", "d.hfc", "deep/b.hfc", "e.hfc"]
    assert run("decompress", "out", "-o", "rec/", "--quiet", "--jobs", "3") == 0
    assert files(here / "rec") == ["a.png", "c.png", "d.png", "deep/b.png", "e.png"]


def test_bad_inputs_are_named_and_the_rest_is_done(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        save_image(here / f"{name}.png")
    (here / "bad.png").write_bytes((here / "a.png").read_bytes()[:200])
    (here / "empty").mkdir()
    arguments = ("a.png", "bad.png", "missing.png", "empty", "none*.png", "b.png")
    for jobs in ("1", "2"):
        assert run("compress", *arguments, "-o", f"out{jobs}/", "--jobs", jobs) == 1
        assert files(here / f"out{jobs}") == ["a.hfc", "b.hfc"]
        errors = capsys.readouterr().err
        assert all(name in errors for name in ("bad.png", "missing.png", "empty", "none*.png")), errors
    assert all((here / f"out1/{name}.hfc").read_bytes() == (here / f"out2/{name}.hfc").read_bytes() for name in "ab")
    (here / "out1/bad.hfc").write_bytes((here / "out1/a.hfc").read_bytes()[:-3])
    (here / "out1/text.hfc").write_text("hello")
    assert run("decompress", "out1", "-o", "rec") == 1
    assert files(here / "rec") == ["a.png", "b.png"]
    errors = capsys.readouterr().err
    assert all(f"hific: out1/{name}.hfc: " in errors for name in ("bad", "text"))


def test_several_names_make_a_folder_even_if_one_is_left(run: Run, here: Path) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png", "missing.png", "-o", "new") == 1
    assert run("compress", "a.*", "-o", "more") == 0
    assert files(here / "new") == files(here / "more") == ["a.hfc"]


def test_jobs_report_in_the_order_of_the_inputs(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(9):
        save_image(here / f"photos/{i}.png", (200 - 20 * i, 33))
    assert run("compress", "photos", "--jobs", "2") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" -> ")[0] for line in lines] == [f"photos/{i}.png" for i in range(9)]


def test_existing_files_need_force(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("a", "b")):
        save_image(here / f"{name}.png", seed=seed)
    (here / "a.hfc").write_bytes(b"precious")
    assert run("compress", "a.png", "b.png") == 1
    assert (here / "a.hfc").read_bytes() == b"precious" and (here / "b.hfc").exists()
    assert "a.hfc exists: write elsewhere with -o NAME or -o FOLDER/, or overwrite it" in capsys.readouterr().err
    assert run("compress", "a.png", "b.png", "--force") == 0
    assert (here / "a.hfc").read_bytes()[:3] == (here / "b.hfc").read_bytes()[:3]


def test_a_file_that_comes_up_while_it_is_made_is_not_overwritten(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = save_image(here / "a.png").read_bytes()

    class Arriving(io.BytesIO):
        """Someone else saves a file of that name while the image comes in."""

        def read(self, size: int | None = -1) -> bytes:
            (here / "a.hfc").write_bytes(b"precious")
            return super().read(size)

    for option, kept in (((), True), (("--force",), False)):
        (here / "a.hfc").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Arriving(data)))
        assert run("compress", "-", "-o", "a.hfc", *option) == int(kept)
        assert ((here / "a.hfc").read_bytes() == b"precious") == kept
        assert ("a.hfc exists" in capsys.readouterr().err) == kept


@pytest.mark.parametrize(
    "arguments",
    [
        ("compress", "a.png", "b.png", "-o", "both.hfc"),
        ("compress", "sub", "-o", "both.hfc"),
        ("compress", "a.jpg", "-o", "weird.jpg"),
        ("compress", "a.jpg", "-o", "new"),
        ("compress", "a.png", "b.png", "-o", "-"),
        ("compress", "a.png", "b.png", "-o", "a.jpg"),
        ("compress", "a.png", "-o", "b.png", "b.png", "--force"),
        ("compress", "a.png", "-o", "a.png", "--force"),
        ("compress", "-", "a.png", "-o", "out/"),
        ("compress", "-", "-o", "sub"),
        ("decompress", "c.hfc", "-o", "a.jpg"),
        ("compress", "a.png", "--jobs", "0"),
        ("compress", "a.png", "--max-pixels", "-1"),
        ("compress", "a.png", "--max-pixels", "0"),
        ("compress", "a.png", "--coder", "huffman"),
        ("compress", "a.png", "--coder", "context_coded"),
        ("compress", "a.png", "--post-filter"),
        ("compress", "a.png", "--switch-source", "left"),
        ("decompress", "c.hfc", "--coder", "tables"),
        ("decompress", "c.hfc", "--post-filter"),
        ("compress", "a.png", "--bpp", "0"),
        ("compress", "a.png", "--bpp", "1e3"),
        ("compress", "a.png", "--max-bytes", "0"),
        ("compress", "a.png", "--max-bytes", "100", "--bpp", ".1"),
        ("compress", "a.png", "--tile", "-1"),
        ("compress", "a.png", "--precision", "bfloat16"),
        ("compress", "a.png", "--checkpoint", "a.png", "--checkpoint", "b.png"),
        ("compress", "a.png", "--checkpoint", "missing.ckpt"),
        ("compress", "a.png", "--checkpoint", "a.png"),
        ("compress",),
        ("explode", "a.png"),
        (),
    ],
)
def test_wrong_usage_is_2_and_does_nothing(run: Run, here: Path, arguments: tuple[str, ...]) -> None:
    for name in ("a.png", "a.jpg", "b.png", "sub/a.png"):
        save_image(here / name)
    (here / "c.hfc").write_bytes(b"what it holds is not asked")
    before = {name: (here / name).read_bytes() for name in files(here)}
    assert run(*arguments) == 2
    assert {name: (here / name).read_bytes() for name in files(here)} == before


@pytest.mark.parametrize("output", ["q.png", "q/", "q", "-"])
def test_a_wrong_name_is_told_whatever_the_output(
    run: Run, here: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("decompress", "missing.hfc", "-o", output) == 1
    assert "missing.hfc: no such file or folder" in capsys.readouterr().err and files(here) == []


def test_a_file_of_another_model(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = save_checkpoint(here / "other.ckpt", seed=1)
    save_image(here / "a.png")
    assert run("compress", "a.png") == 0 and run("compress", "a.png", "--checkpoint", other, "-o", "b.hfc") == 0
    capsys.readouterr()
    assert run("info", "a.hfc", "b.hfc", "--json") == 0
    ours, theirs = (item["fingerprint"] for item in json.loads(capsys.readouterr().out))
    assert run("decompress", "b.hfc") == 1
    error = capsys.readouterr().err
    assert ours != theirs and ours in error and theirs in error and not (here / "b.png").exists()


def test_conversions_are_noted_once_unless_quiet(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGBA", (33, 33), (9, 9, 9, 99)).save(here / "a.png")
    assert run("compress", "a.png") == 0
    assert capsys.readouterr().err.count("a.png: alpha composited on white") == 1
    assert run("compress", "a.png", "--force", "--quiet") == 0
    output = capsys.readouterr()
    assert output.err == "" and output.out == ""
    assert run("compress", "a.png", "--force", "--alpha", "refuse", "--quiet") == 1
    error = capsys.readouterr().err
    assert "a.png: has transparent pixels" in error and "--alpha composite" in error


def test_pixel_limits(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(here / "a.png", (100, 50))
    assert run("compress", "a.png", "--max-pixels", "4999") == 1
    error = capsys.readouterr().err
    assert "a.png: 100x50 is above the limit of 4999" in error and "--max-pixels" in error
    assert run("compress", "a.png", "--max-pixels", "7167") == 1
    assert "padded to 112x64" in capsys.readouterr().err
    assert run("compress", "a.png", "--max-pixels", "7168") == 0, "112x64 after padding"
    assert run("decompress", "a.hfc", "-o", "b.png", "--max-pixels", "4999") == 1
    assert "--max-pixels" in capsys.readouterr().err
    assert run("decompress", "a.hfc", "-o", "b.png", "--max-pixels", "7167") == 1
    assert "7167" in capsys.readouterr().err and not (here / "b.png").exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--mx-bytes", "unrecognized arguments: --mx-bytes 30 (perhaps --max-bytes)"),
        ("--quality", "unrecognized arguments: --quality 30; hific compress --help has its options"),
    ],
)
def test_an_option_that_a_command_has_not_is_told_with_those_it_has(
    run: Run, capsys: pytest.CaptureFixture[str], option: str, told: str
) -> None:
    assert run("compress", "a.png", option, "30") == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: hific compress") and "--bpp" in error and error.endswith(f"{told}\n")


def test_inputs_that_would_become_one_file_fail_and_the_rest_is_done(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/a.png", "in/a.jpg", "in/sub/b.png", "in/sub/b.webp", "in/sub/b.tif", "in/c.png"):
        save_image(here / name)
    assert run("compress", "in", "-o", "out") == 1
    assert files(here / "out") == ["c.hfc"]
    lines = capsys.readouterr().err.splitlines()
    assert "hific: in/a.jpg and in/a.png would both become out/a.hfc: rename one of them, or give" in lines[0]
    assert lines[1].startswith("hific: in/sub/b.png and in/sub/b.tif and in/sub/b.webp would all become out/sub/b.hfc")
    assert lines[-1] == "1 done, 5 failed", "files are counted, not lines"
    assert run("compress", "in/a.png", "in/sub/b.png", "in/sub", "-o", "more") == 1
    assert files(here / "more") == ["a.hfc"]


def test_an_input_is_never_overwritten_by_anothers_output(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        save_image(here / name)
    (here / "a.hfc").write_bytes(b"precious")
    assert run("compress", "a.hfc", "a.png", "b.png", "--force") == 1
    assert (here / "a.hfc").read_bytes() == b"precious" and (here / "b.hfc").exists()
    assert "a.png: its output a.hfc is an input" in capsys.readouterr().err


def test_an_image_above_the_memory_at_hand_is_refused_before_its_pixels_are_read(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(here / "a.png", (640, 640))
    save_image(here / "b.png", (64, 64))
    monkeypatch.setattr("hific.codecs.memory.available_memory", lambda: 10**7)
    monkeypatch.setattr("hific.cli.conversions.read_image", _only("b.png", read_image))
    assert run("compress", "a.png", "b.png") == 1
    assert "a.png: 640x640 would take about 0.1 GB" in capsys.readouterr().err and (here / "b.hfc").exists()


def _only(name: str, read: Callable[..., ReadImage]) -> Callable[..., ReadImage]:
    def checked(source: Path, **options: Any) -> ReadImage:
        assert source.name == name
        return read(source, **options)

    return checked


def test_coders_are_all_real(run: Run, here: Path) -> None:
    save_image(here / "a.png", (64, 64))
    pictures, coders = set(), ("fixed_length", "tables")
    for coder in coders:
        assert run("compress", "a.png", "--coder", coder, "-o", f"{coder}.hfc", "--no-post-filter") == 0
        assert run("decompress", f"{coder}.hfc") == 0
        pictures.add((here / f"{coder}.png").read_bytes())
    assert len(pictures) == 1
    assert len({(here / f"{coder}.hfc").read_bytes() for coder in coders}) == 2


def test_a_decoder_may_take_switches_from_elsewhere(run: Run, here: Path) -> None:
    save_image(here / "a.png", (64, 64))
    assert run("compress", "a.png") == 0
    for source in ("predicted", "top_left", "random"):
        assert run("decompress", "a.hfc", "-o", f"{source}.png", "--switch-source", source) == 0
    assert len({(here / f"{source}.png").read_bytes() for source in ("predicted", "top_left", "random")}) == 3


def test_standard_streams(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def piped(data: bytes, *arguments: str) -> tuple[int, bytes, bytes]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        status = run(*arguments)
        return status, *capsysbinary.readouterr()

    status, packed, errors = piped(save_image(here / "a.png").read_bytes(), "compress", "-")
    assert status == 0 and packed.startswith(b"HFC") and b"- -> -: 40x36" in errors
    status, unpacked, _ = piped(packed, "decompress", "-", "-o", "-")
    assert status == 0 and Image.open(io.BytesIO(unpacked)).size == (40, 36)
    assert piped(packed, "info", "-")[0] == 0
    assert piped(packed, "decompress", "-", "-o", "b.png") == (0, b"", b"- -> b.png: 40x36\n")
    assert (here / "b.png").read_bytes() == unpacked
    assert piped(b"", "compress", "a.png", "-o", "-") == (0, packed, errors.replace(b"- ->", b"a.png ->"))
    for command, data in (("decompress", packed[:-1]), ("compress", b"no image"), ("decompress", b"")):
        status, output, errors = piped(data, command, "-")
        assert status == 1 and output == b"" and errors.startswith(b"hific: -: ")
    status, output, errors = piped((here / "a.png").read_bytes(), "compress", "-", "--max-pixels", "1439")
    assert status == 1 and output == b"" and errors.startswith(b"hific: -: 40x36 ") and b"--max-pixels" in errors


def test_info_tells_without_a_checkpoint(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png") == 0
    monkeypatch.delenv("HIFIC_CHECKPOINT")
    capsys.readouterr()
    assert run("info", "a.hfc", "--json") == 0
    (item,) = json.loads(capsys.readouterr().out)
    data = (here / "a.hfc").read_bytes()
    assert item["file"] == "a.hfc" and (item["width"], item["height"]) == (40, 36)
    assert item["num_bytes"] == len(data) and item["bpp"] == pytest.approx(8 * len(data) / 1440)
    assert item["checksum_ok"] is True and item["codec"] == "compressnet" and item["coder"] == "tables"
    assert item["num_header_bytes"] + item["num_payload_bytes"] == len(data)
    assert run("info", "a.hfc") == 0
    text = capsys.readouterr().out
    assert all(part in text for part in ("a.hfc", "40x36", item["fingerprint"], f"{len(data)} bytes"))


def test_info_of_damaged_files(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png") == 0
    data = (here / "a.hfc").read_bytes()
    (here / "bad.hfc").write_bytes(data[:-6] + bytes([data[-6] ^ 1]) + data[-5:])
    (here / "text.hfc").write_text("hello")
    capsys.readouterr()
    assert run("info", ".", "missing.hfc") == 1
    output = capsys.readouterr()
    assert "a.hfc" in output.out and "mismatch" in output.out
    assert output.out.count(" bpp") == output.out.count("DAMAGED") == 1
    assert "text.hfc" in output.err and "missing.hfc" in output.err
    assert run("info", "a.hfc", "bad.hfc", "--json") == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert good["bpp"] > 0 and bad["bpp"] is None and bad["checksum_ok"] is False


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["info", "a.hfc"], ["compress", "--help"], ["compress", "a.png"]]
)
def test_fast_commands_import_no_torch(
    run: Run, here: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(here / "a.png")
    assert run("compress", "a.png") == 0
    monkeypatch.delenv("HIFIC_CHECKPOINT")
    program = (
        "import sys\nfrom hific.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "sys.exit('torch' in sys.modules or 'constriction' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True
    )


def test_what_names_and_headers_tell_is_refused_without_torch(here: Path, checkpoint: str) -> None:
    save_image(here / "taken.png")
    (here / "taken.hfc").touch()
    Image.new("L", (2001, 2000)).save(here / "large.png")
    save_huge_png(here / "huge.png", 16385, 16384)
    for codec in ("compressnet", "hific"):
        header = Header(fingerprint=b"1234", width=134218, height=2000, codec=codec, coder="tables")
        (here / f"{codec}.hfc").write_bytes(pack(header, b""))
    commands = (
        (["compress", "huge.png"], "16385x16384 is above the limit of 268435456 pixels"),
        (["compress", "large.png", "--max-pixels", "4000000"], "2001x2000 is above the limit of 4000000 pixels"),
        (["compress", "taken.png"], "taken.hfc exists"),
        (["decompress", "taken.png"], "not an .hfc file"),
        (["decompress", "compressnet.hfc"], "134218x2000 is above the limit of 268435456 pixels"),
        (["decompress", "hific.hfc"], "134218x2000 is above the limit of 268435456 pixels"),
    )
    for command, reason in commands:
        program = (
            f"import sys\nfrom hific.cli import main\nstatus = main({command!r})\n"
            "assert 'torch' not in sys.modules\nsys.exit(status)"
        )
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HIFIC_CHECKPOINT": checkpoint}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 1 and reason in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def save_huge_png(path: Path, width: int, height: int) -> None:
    """A header without the pixels that it announces."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_compressnets_own_limit_is_told_before_pixels_are_read(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_huge_png(here / "a.png", 2001, 2000)
    save_image(here / "b.png", (64, 64))
    monkeypatch.setattr("hific.cli.conversions.read_image", _only("b.png", read_image))
    assert run("compress", "a.png", "b.png") == 1
    error = capsys.readouterr().err
    assert "a.png: 2001x2000 (padded to 2016x2000) is above the limit of 4000000 pixels" in error
    assert "those of HiFiC code in tiles" in error and (here / "b.hfc").exists()


def test_a_real_process_through_pipes_imports_no_lightning(here: Path, checkpoint: str) -> None:
    png = save_image(here / "a.png").read_bytes()
    program = (
        "import sys\nfrom hific.cli import main\nstatus = main(['compress', '-'])\n"
        "heavy = {'lightning', 'pytorch_lightning', 'hydra', 'torchvision', 'matplotlib', 'pandas', 'torchmetrics'}\n"
        "print(*heavy & set(sys.modules), file=sys.stderr)\nsys.exit(status)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HIFIC_CHECKPOINT": checkpoint}
    done = subprocess.run([sys.executable, "-c", program], input=png, env=environment, check=True, capture_output=True)
    assert read_info(done.stdout).checksum_ok and len(done.stderr.splitlines()) == 2 and done.stderr.endswith(b"\n\n")


def test_ctrl_c_leaves_whole_files_only(here: Path, checkpoint: str) -> None:
    for i in range(300):  # more than are done before a busy machine sees the first
        save_image(here / f"photos/{i:02}.png", (160, 160), seed=i)
    command = [*HIFIC, "compress", "photos", "--checkpoint", checkpoint, "-o"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = {
        jobs: subprocess.Popen([*command, f"out{jobs}/", "--jobs", jobs], stderr=subprocess.PIPE, env=environment)
        for jobs in ("1", "2")
    }
    working = set(processes)
    while working:
        for jobs in sorted(working):
            if list(here.glob(f"out{jobs}/*.hfc")) or processes[jobs].poll() is not None:
                processes[jobs].send_signal(signal.SIGINT)
                working.remove(jobs)
        time.sleep(0.005)
    for jobs, process in processes.items():
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130 and b"interrupted" in errors and b"Traceback" not in errors
        made = files(here / f"out{jobs}")
        assert 0 < len(made) < 300 and all(name.endswith(".hfc") for name in made), made
        assert main(["info", f"out{jobs}"]) == 0


def test_an_interrupt_that_a_library_swallows_stops_at_the_next_image(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        save_image(here / f"photos/{name}.png")
    made: list[int] = []

    def swallowing(self: object, task: object, content: object) -> object:
        made.append(1)
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return Failed("never told")

    monkeypatch.setattr(Compressor, "make", swallowing)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # else it leaves at once, and the tests with it
    assert run("compress", "photos", "-o", "out/") == 130
    assert len(made) == 1 and "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_write_that_is_interrupted_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.hfc"
    write_whole(target, b"old", force=False)
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                write_whole(target, b"new", force=True)
        assert files(tmp_path) == ["a.hfc"] and target.read_bytes() == b"old"


def test_writing_follows_links_and_spares_devices(tmp_path: Path) -> None:
    (tmp_path / "link.hfc").symlink_to(tmp_path / "real.hfc")
    write_whole(tmp_path / "link.hfc", b"data", force=False)
    assert (tmp_path / "link.hfc").is_symlink() and (tmp_path / "real.hfc").read_bytes() == b"data"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        write_whole(tmp_path / "pipe", b"data", force=True)
    assert files(tmp_path) == ["link.hfc", "real.hfc"]


def test_an_unwritable_place_is_one_failed_input(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "in/b/c.png"):
        save_image(here / name)
    (here / "out").mkdir()
    (here / "out/b").write_text("in the way of a folder")
    assert run("compress", "a.png", "in", "-o", "out") == 1
    assert files(here / "out") == ["a.hfc", "b"] and "c.png" in capsys.readouterr().err


def test_pipes_are_read_once(here: Path, checkpoint: str) -> None:
    save_image(here / "a.png")
    environment = {**os.environ, "HIFIC_CHECKPOINT": checkpoint, "PYTHONPATH": str(ROOT)}
    script = (
        f"{sys.executable} -m hific.cli compress <(cat a.png) -o a.hfc && "
        f"{sys.executable} -m hific.cli decompress <(cat a.hfc) -o b.png"
    )
    subprocess.run(["bash", "-c", script], cwd=here, env=environment, check=True, timeout=120)
    with Image.open(here / "b.png") as image:
        assert image.size == (40, 36)
    unnamed = f"{sys.executable} -m hific.cli compress <(cat a.png)"
    done = subprocess.run(["bash", "-c", unnamed], cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "write -o FILE" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_standard_output_is_a_line(here: Path) -> None:
    (here / "a.hfc").write_bytes(pack(Header(bytes(4), 9, 9, "hific", "tables"), b""))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in (["info", "a.hfc"], ["models"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*HIFIC, *words], stdout=full, stderr=subprocess.PIPE, cwd=here, env=environment, text=True
            )
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "standard output: " in done.stderr


def test_info_lists_names_that_are_no_text(here: Path) -> None:
    data = pack(Header(bytes(4), 9, 9, "hific", "tables"), b"")
    try:
        for name in (b"caf\xe9.hfc", b"z.hfc"):
            (here / os.fsdecode(name)).write_bytes(data)
    except OSError:
        pytest.skip("names of files are UTF-8 here")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([*HIFIC, "info", "."], cwd=here, env=environment, capture_output=True)
    assert done.returncode == 0 and b"z.hfc: 9x9" in done.stdout and b"caf" in done.stdout


def test_files_of_one_name_keep_their_suffixes(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "same").mkdir()
    for name in ("a.png", "a.bmp"):
        save_image(here / "same" / name)
    assert run("compress", "same") == 1 and "--keep-suffix" in capsys.readouterr().err
    assert run("compress", "same", "--keep-suffix") == 0
    assert files(here / "same") == ["a.bmp", "a.bmp.hfc", "a.png", "a.png.hfc"]


def test_what_exists_is_skipped_and_a_count_ends_a_batch(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        save_image(here / name)
    (here / "a.hfc").write_bytes(b"before")
    assert run("compress", "a.png", "b.png", "--skip-existing") == 0
    assert (here / "a.hfc").read_bytes() == b"before" and (here / "b.hfc").exists()
    assert "left as they are, since their outputs exist: 1" in capsys.readouterr().err
    assert run("compress", "a.png", "b.png", "--skip-existing") == 0, "nothing is left to do"
    (here / "b.hfc").unlink()
    assert run("compress", "a.png", "b.png") == 1
    assert capsys.readouterr().err.endswith("1 done, 1 failed\n")
    assert run("compress", "a.png", "--skip-existing", "--force") == 2
