"""Where weights are looked for, what is refused, and the published LPIPS values that pin the right ones."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models import alexnet

from hific.errors import WeightsFileError, WeightsNotFoundError
from hific.weights import WEIGHTS_VARIABLE, find_weights, load_alexnet_conv4, load_features, load_lpips, read_state

FULL_FILE = "alexnet-owt-7be5be79.pth"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub cache, no environment variable, and no network."""

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a download was not asked for")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def alexnet_state() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        shapes = alexnet(weights=None).features.state_dict()
    generator = torch.Generator().manual_seed(0)
    return {f"features.{key}": torch.randn(value.shape, generator=generator) * 0.02 for key, value in shapes.items()}


def touch(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).touch()
    return folder / name


def test_folder_then_variable_then_cache(tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = touch(empty_cache, FULL_FILE)
    assert find_weights("alexnet_features", tmp_path / "named") == cached
    by_variable = touch(tmp_path / "variable", FULL_FILE)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "variable"))
    assert find_weights("alexnet_features", tmp_path / "named") == by_variable
    named = touch(tmp_path / "named", "alexnet_features_torchvision.pth")
    assert find_weights("alexnet_features", tmp_path / "named") == named


def test_missing_weights_name_every_way(tmp_path: Path, empty_cache: Path) -> None:
    with pytest.raises(WeightsNotFoundError) as error:
        find_weights("squeezenet1_1_features", tmp_path)
    for part in (
        str(tmp_path),
        str(empty_cache),
        WEIGHTS_VARIABLE,
        "weights.dir",
        "squeezenet1_1-b8a52dc0.pth",
        "download",
    ):
        assert part in str(error.value)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="alexnet_features"):
        find_weights("alexnet")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="squeeze"):
        load_lpips("vgg")  # type: ignore[arg-type]


def test_download_only_when_asked_and_checked_by_its_hash(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, path: str, hash_prefix: str | None, progress: bool) -> None:
        assert url.endswith(FULL_FILE) and hash_prefix == "7be5be79"
        Path(path).touch()

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    assert find_weights("alexnet_features", download=True) == empty_cache / FULL_FILE


def test_failed_download_is_a_missing_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(WeightsNotFoundError, match="no route"):
        find_weights("alexnet_features", download=True)


def test_full_file_and_features_only_give_the_same_network(
    tmp_path: Path, empty_cache: Path, alexnet_state: dict[str, torch.Tensor]
) -> None:
    torch.save({**alexnet_state, "classifier.1.weight": torch.zeros(2, 2)}, empty_cache / FULL_FILE)
    torch.save(alexnet_state, tmp_path / "alexnet_features.pth")
    image = torch.rand(1, 3, 64, 64)
    full, features_only = load_features("alexnet_features"), load_features("alexnet_features", tmp_path)
    assert torch.equal(full(image), features_only(image))
    assert not any(parameter.requires_grad for parameter in full.parameters())


def test_conv4_is_the_fourth_convolution_before_its_relu(
    tmp_path: Path, alexnet_state: dict[str, torch.Tensor]
) -> None:
    torch.save(alexnet_state, tmp_path / "alexnet_features.pth")
    image = torch.rand(1, 3, 64, 64)
    normalized = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    expected = load_features("alexnet_features", tmp_path)[:9](normalized)
    output = load_alexnet_conv4(tmp_path)(image * 2 - 1)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    assert output.shape[1] == 256 and output.min() < 0


@pytest.mark.parametrize(
    "content", [b"", b"not weights", pickle.dumps([1, 2], protocol=2), b"something else", b"PK\x03\x04" + bytes(100)]
)
def test_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "alexnet_features.pth").write_bytes(content)
    with pytest.raises(WeightsFileError, match=r"alexnet_features\.pth"):
        load_features("alexnet_features", tmp_path)


def test_truncated_and_foreign_files_are_named(tmp_path: Path, alexnet_state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "alexnet_features.pth"
    torch.save(alexnet_state, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsFileError, match=r"alexnet_features\.pth"):
        load_features("alexnet_features", tmp_path)
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsFileError, match="does not hold the weights"):
        load_features("alexnet_features", tmp_path)


class Code:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.trace,))


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"features.0.weight": Code(tmp_path / "trace")}, tmp_path / "evil.pth")
    with pytest.raises(WeightsFileError, match="evil"):
        read_state(tmp_path / "evil.pth")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(("net", "value"), [("squeeze", 0.1005), ("alex", 0.1469)])
def test_lpips_published_values(net: str, value: float, weights_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_lpips(net, weights_dir)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""
    torch.manual_seed(42)
    first, second = torch.rand(10, 3, 100, 100) * 2 - 1, torch.rand(10, 3, 100, 100) * 2 - 1
    assert model(first, second).mean().item() == pytest.approx(value, abs=5e-5)
