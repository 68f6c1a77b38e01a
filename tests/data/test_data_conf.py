from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue

from hific.data.image_datamodule import ImageDataModule
from hific.data.published import Cityscapes, Clic, Div2k, Kodak
from hific.data.source import CombinedSource, ImageFolder

CONF = Path(__file__).parents[2] / "conf"
Compose = Callable[..., DictConfig]


@pytest.fixture
def compose_data(tmp_path: Path) -> Compose:
    """Composes a primary configuration that has of the others' groups only what data/ interpolates."""
    Path(tmp_path, "primary.yaml").write_text(
        f"defaults: [data: bundled, _self_]\nhydra: {{searchpath: ['file://{CONF}']}}\n"
        "seed: 7\nrecipe: {crop: 32, batch_size: 4, double_batch_from: 5}\n"
    )

    def composed(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            config = compose("primary", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return config

    return composed


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "data").glob("*.yaml")))
def test_every_set_is_a_datamodule_at_the_size_of_the_run(name: str, compose_data: Compose) -> None:
    roots = {"bundled": [], "cityscapes_clic": ["data.root.cityscapes=/c", "data.root.clic=/l"]}
    data = instantiate(compose_data(f"data={name}", *roots.get(name, ["data.root=/photos"])).data)
    assert isinstance(data, ImageDataModule)
    assert (data.transform.crop, data.global_batch_size, data.double_batch_from, data.seed) == (32, 4, 5, 7)


def test_the_root_is_named_once_and_reaches_the_source(compose_data: Compose) -> None:
    def source(*overrides: str) -> object:
        return instantiate(compose_data(*overrides).data).source

    for name, kind in (("kodak", Kodak), ("div2k", Div2k), ("cityscapes", Cityscapes), ("clic", Clic)):
        found = source(f"data={name}", "data.root=/photos")
        assert isinstance(found, kind) and found.root == Path("/photos")
    folder = source("data=folder", "data.root=[/one,/two]")
    assert isinstance(folder, ImageFolder) and folder.roots == [Path("/one"), Path("/two")]
    both = source("data=cityscapes_clic", "data.root.cityscapes=/c", "data.root.clic=/l")
    assert isinstance(both, CombinedSource) and both.name == "cityscapes+clic"
    assert [one.root for one in both.sources] == [Path("/c"), Path("/l")]  # type: ignore[attr-defined]
    assert both.sources[1].year == 2019  # type: ignore[attr-defined]


def test_a_root_that_is_not_given_is_asked_for(compose_data: Compose) -> None:
    with pytest.raises(MissingMandatoryValue, match=r"value: data\.root\s"):
        instantiate(compose_data("data=kodak").data)


def test_crop_and_batch_can_be_set_for_the_data_alone(compose_data: Compose) -> None:
    data = instantiate(compose_data("data.crop=48", "data.global_batch_size=2", "data.clahe=true").data)
    assert (data.transform.crop, data.global_batch_size, data.clahe) == (48, 2, True)
