"""Where pretrained perceptual weights come from: a folder, the torch hub cache, or a download that was asked for.

Nothing is ever fetched unless `download=True`. Files are read with `weights_only=True`, so that a file from a
stranger cannot run code.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args
from urllib.error import URLError

import lpips
import torch
from torch import Tensor, nn
from torchvision.models import (
    AlexNet_Weights,
    SqueezeNet1_1_Weights,
    VGG16_Weights,
    alexnet,
    squeezenet1_1,
    vgg16,
)

from hific.errors import DAMAGED_FILE, WeightsFileError, WeightsNotFoundError

WeightsName = Literal["alexnet_features", "squeezenet1_1_features", "vgg16_features", "dists", "niqe"]
TrunkName = Literal["alexnet_features", "squeezenet1_1_features", "vgg16_features"]
LPIPSNet = Literal["alex", "squeeze"]

WEIGHTS_VARIABLE = "HIFIC_WEIGHTS"

_URLS: dict[WeightsName, str] = {
    "alexnet_features": AlexNet_Weights.IMAGENET1K_V1.url,
    "squeezenet1_1_features": SqueezeNet1_1_Weights.IMAGENET1K_V1.url,
    "vgg16_features": VGG16_Weights.IMAGENET1K_V1.url,
    "dists": "https://github.com/photosynthesis-team/piq/releases/download/v0.4.1/dists_weights.pt",
    "niqe": "https://github.com/XPixelGroup/BasicSR/raw/v1.4.2/basicsr/metrics/niqe_pris_params.npz",
}
_NETWORKS = {"alexnet_features": alexnet, "squeezenet1_1_features": squeezenet1_1, "vgg16_features": vgg16}
_LPIPS_TRUNKS: dict[LPIPSNet, TrunkName] = {"alex": "alexnet_features", "squeeze": "squeezenet1_1_features"}

CONV4 = 8
"""Place of the 4th convolution in torchvision's AlexNet `features`; its output is taken before the ReLU."""


def find_weights(name: WeightsName, directory: str | Path | None = None, *, download: bool = False) -> Path:
    """Finds the file of the weights `name`.

    Looks in `directory`, in the folder of the environment variable HIFIC_WEIGHTS and in the torch hub cache, for
    a file with only the `features.*` or the publisher's own full file; then downloads the publisher's, if asked.

    Raises:
        WeightsNotFoundError: there is none; says where it looked and what to do.
    """
    if name not in get_args(WeightsName):
        raise ValueError(f"weights name {name!r} is none of {', '.join(get_args(WeightsName))}")
    hub_folder = Path(torch.hub.get_dir()) / "checkpoints"
    folders = [Path(folder).expanduser() for folder in (directory, os.environ.get(WEIGHTS_VARIABLE)) if folder]
    names = _file_names(name)
    for folder in [*folders, hub_folder]:
        for file_name in names:
            if (folder / file_name).is_file():
                return folder / file_name
    if download:
        return _download(name, folders, hub_folder)
    raise WeightsNotFoundError(_not_found_message(name, folders, hub_folder))


class ImageNetNormalization(nn.Module):
    """Float images in [-1, 1] to ImageNet's zero mean and unit deviation, channel by channel."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        # ImageNet's statistics are given for [0, 1]
        self.register_buffer("mean", 2 * torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) - 1)
        self.register_buffer("deviation", 2 * torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.deviation


def load_features(name: TrunkName, directory: str | Path | None = None, *, download: bool = False) -> nn.Sequential:
    """Builds torchvision's `features` of the trunk with its ImageNet weights: frozen, in eval mode, on the CPU.

    Input: float [B, 3, H, W], normalized by ImageNet's mean and standard deviation.

    Raises:
        WeightsNotFoundError: as `find_weights`.
        WeightsFileError: the file is damaged or holds something else.
    """
    path = find_weights(name, directory, download=download)
    features = _empty_features(name)
    state = read_state(path)
    trunk = {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}
    try:
        features.load_state_dict(trunk, assign=True)
    except RuntimeError as error:
        raise WeightsFileError(f"{path} does not hold the weights of {name}: {error}") from error
    return features.requires_grad_(False).eval()


def random_alexnet() -> nn.Sequential:
    """AlexNet's `features` as torchvision begins them, the same at every call: frozen, in eval mode, on the CPU."""
    features = _empty_features("alexnet_features").to_empty(device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
    return features.requires_grad_(False).eval()


def _empty_features(name: TrunkName) -> nn.Sequential:
    """On the meta device, which spares filling the classifier, most of the parameters, which is not used."""
    with torch.device("meta"):
        features: nn.Sequential = _NETWORKS[name](weights=None).features
    return features


def load_alexnet_conv4(directory: str | Path | None = None, *, download: bool = False) -> nn.Sequential:
    """AlexNet up to its 4th convolution, for float images [B, 3, H, W] in [-1, 1]; H and W at least 31.

    Output: [B, 256, about H / 16, about W / 16], before the ReLU. Frozen, in eval mode, on the CPU.
    """
    features = load_features("alexnet_features", directory, download=download)
    return nn.Sequential(ImageNetNormalization(), *features[: CONV4 + 1]).eval()


def load_lpips(net: LPIPSNet, directory: str | Path | None = None, *, download: bool = False) -> lpips.LPIPS:
    """Builds LPIPS v0.1 (Zhang et al. 2018): the trunk from `find_weights`, the linear heads from the lpips package.

    Input: two float images [B, 3, H, W] in [-1, 1]; output [B, 1, 1, 1]. Frozen, in eval mode, on the CPU.
    """
    if net not in _LPIPS_TRUNKS:
        raise ValueError(f"LPIPS net {net!r} is none of {', '.join(_LPIPS_TRUNKS)}")
    features = load_features(_LPIPS_TRUNKS[net], directory, download=download)
    heads = torch.load(
        Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth", map_location="cpu", weights_only=True
    )
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torchvision")  # lpips calls torchvision by a deprecated option
        model = lpips.LPIPS(pretrained=False, net=net, pnet_rand=True, verbose=False)
    for part in model.net.children():
        for index in list(part._modules):  # the parts keep the numbers of `features`
            part._modules[index] = features[int(index)]
    # strict=False: the package registers every head under two names and its file has one of them
    model.load_state_dict(heads, strict=False, assign=True)
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise WeightsFileError(f"the heads that the lpips package brings for net={net!r} are not complete")
    return model.requires_grad_(False).eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """Reads a file of tensors without running code from it; WeightsFileError where it is something else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED_FILE as error:
        raise WeightsFileError(f"{path} is no readable PyTorch weights file: {error}") from error
    if not isinstance(state, Mapping):
        raise WeightsFileError(f"{path} holds a {type(state).__name__}, not a state dict")
    return dict(state)


def _file_names(name: WeightsName) -> tuple[str, ...]:
    published = _URLS[name].rsplit("/", 1)[-1]
    if name in _NETWORKS:
        return (f"{name}.pth", f"{name}_torchvision.pth", f"{name}_torchvision_fp32.pth", published)
    return (f"{name}.npz" if published.endswith(".npz") else f"{name}.pth", published)


def _download(name: WeightsName, folders: list[Path], hub_folder: Path) -> Path:
    url = _URLS[name]
    path = hub_folder / url.rsplit("/", 1)[-1]
    hash_in_name = re.search(r"-([0-9a-f]{8})\.", path.name)
    hub_folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            url, str(path), hash_prefix=hash_in_name.group(1) if hash_in_name else None, progress=False
        )
    except (URLError, TimeoutError) as error:
        failed = f"{_not_found_message(name, folders, hub_folder)} The download was tried: {error}"
        raise WeightsNotFoundError(failed) from error
    return path


def _not_found_message(name: WeightsName, folders: list[Path], hub_folder: Path) -> str:
    names = " or ".join(_file_names(name))
    looked = ", ".join(str(folder) for folder in [*folders, hub_folder])
    return (
        f"no weights {name}: looked for {names} in {looked}. Either (1) name the folder that has the file "
        f"(weights.dir=FOLDER or the environment variable {WEIGHTS_VARIABLE}), (2) put the file "
        f"{_URLS[name]} into {hub_folder}, or (3) allow the download (weights.download=true)."
    )
