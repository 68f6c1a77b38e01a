"""The photos inside scikit-image and scikit-learn: a demonstration set that comes with the dependencies."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hific.data.source import Split, require_files
from hific.errors import OptionError

# package: the folder inside it that holds photos
FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
PHOTOS: dict[Split, tuple[tuple[str, str], ...]] = {
    "train": (
        ("sklearn", "china.jpg"),
        ("skimage", "coffee.png"),
        ("skimage", "rocket.jpg"),
        ("skimage", "motorcycle_left.png"),
        ("skimage", "motorcycle_right.png"),
        ("skimage", "hubble_deep_field.jpg"),
        ("skimage", "retina.jpg"),
    ),
    "val": (("sklearn", "flower.jpg"),),
    "test": (("skimage", "astronaut.png"), ("skimage", "chelsea.png")),
}
TREE = "\n".join(
    f"{package}/{folder}/: "
    + ", ".join(name for photos in PHOTOS.values() for owner, name in photos if owner == package)
    for package, folder in FOLDERS.items()
)
ORIGIN = "the wheels of scikit-image and scikit-learn: pip install --force-reinstall scikit-image scikit-learn"


class BundledPhotos:
    """Seven photos to train on, one to validate, two to test: enough to see that everything works, no more.

    The installed files are opened directly; scikit-image's own accessors would fetch what they do not find. OptionError
    for a root: somebody's photos would stay unread.
    """

    name = "bundled"

    def __init__(self, root: object = None) -> None:
        if root is not None:
            raise OptionError(f"data=bundled brings its own photos and takes no root: data=folder data.root={root}")

    def files(self, split: Split) -> list[Path]:
        paths = [_folder(package) / name for package, name in PHOTOS[split]]
        return require_files(paths, name=self.name, tree=TREE, origin=ORIGIN)


def _folder(package: str) -> Path:
    # find_spec does not import the package: scikit-learn alone would take a second.
    spec = find_spec(package)
    locations = spec.submodule_search_locations if spec is not None else None
    return Path(locations[0] if locations else package) / FOLDERS[package]
