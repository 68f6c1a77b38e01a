"""Every combination of model, size and rate is made as its recipe says, through the real primary configuration."""

from __future__ import annotations

import runpy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hific.cli.train_options import check_options
from hific.cli.training import make_trainer
from hific.data.image_datamodule import ImageDataModule
from hific.errors import OptionError

REPOSITORY = Path(__file__).resolve().parents[1]
CONF = REPOSITORY / "conf"
FAMILIES = {
    "sae": "compressnet",
    "swwae": "compressnet",
    "sae_spn": "compressnet",
    "gc": "gc",
    "hific": "hific",
    "hific_xgboost": "hific",
    "hific_knn": "hific",
}
SIZES = ("tiny", "small", "paper")
RATES = {"low": (4, 0.14), "medium": (6, 0.30), "high": (8, 0.45)}
# Pretrained weights are not at hand everywhere; nothing is logged or saved.
OFFLINE = ["recipe.perceptual=none", "logger=none", "output_dir=unused"]


def composed(*overrides: str, name: str = "train") -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(name, list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def recipe_of(model: str, size: str) -> dict[str, Any]:
    """As a person reads it, without Hydra."""
    recipe: dict[str, Any] = yaml.safe_load((CONF / "recipe" / f"{FAMILIES[model]}_{size}.yaml").read_text())
    return recipe


def made(config: DictConfig) -> tuple[Any, ImageDataModule, Any]:
    """Module (without memory for its weights), data and trainer."""
    check_options(config)
    with torch.device("meta"):
        module = instantiate(config.model)
    return module, instantiate(config.data), make_trainer(config, module)


def check_against(recipe: dict[str, Any], module: Any, data: ImageDataModule, trainer: Any) -> None:
    stages = [recipe[name] for name in ("steps", "stage1_steps", "stage2_steps") if name in recipe]
    assert module.steps == trainer.max_steps == sum(stages)
    assert data.transform.crop == recipe["crop"] and data.global_batch_size == recipe["batch_size"]
    assert data.double_batch_from == recipe.get("stage1_steps")
    assert trainer.precision == recipe["precision"] and trainer.val_check_interval == recipe["val_check_interval"]
    assert type(trainer.strategy).__name__ == "SingleDeviceStrategy"
    assert module.model.arguments.get("transform") == recipe.get("transform")
    assert list(module.model.arguments["widths"]) == recipe["widths"]
    assert module.model.arguments["residual_blocks"] == recipe["residual_blocks"]
    assert module.objective.view_shift == recipe["view_shift"]
    assert module.objective.weights.mse == recipe["mse_weight"]
    assert module.objective.weights.perceptual == recipe["perceptual_weight"]
    assert module.adversary.weight == recipe["adversarial_weight"]
    assert module.optimization.gradient_clip == recipe["gradient_clip"]
    assert module.optimization.schedule(0.5) <= 1
    rates = [optimizer.param_groups[0]["lr"] for optimizer in module.configure_optimizers()]
    if "learning_rate" in recipe:
        assert rates == [recipe["learning_rate"], recipe["discriminator_learning_rate"]]
    else:
        assert rates == [recipe["optimizer"]["lr"], recipe["discriminator_optimizer"]["lr"]]


@pytest.mark.parametrize(("model", "size"), product(FAMILIES, SIZES))
def test_every_system_is_made_as_its_recipe_says(model: str, size: str) -> None:
    """All sizes without memory for weights (torch's meta device), all rates."""
    recipe = recipe_of(model, size)
    for rate, (latent_channels, target_bpp) in RATES.items():
        config = composed(f"model={model}", f"size={size}", f"rate={rate}", *OFFLINE)
        module, data, trainer = made(config)
        check_against(recipe, module, data, trainer)
        assert module.name == model and module.training_info["size"] == size and module.training_info["rate"] == rate
        if FAMILIES[model] == "hific":
            assert module.rate_target.target_bpp == target_bpp
            assert module.rate_target.lambda_a == recipe["lambda_a"][rate]
            assert module.rate_target.lambda_b == recipe["lambda_b"]
        else:
            assert module.model.latent_channels == latent_channels


@pytest.mark.parametrize(
    ("experiment", "model", "roots"),
    [
        ("hific_paper", "hific", ["data.root=/clic"]),
        ("compressnet_paper", "sae_spn", ["data.root.cityscapes=/c", "data.root.clic=/l"]),
    ],
)
def test_experiments_are_made_as_their_recipe_says(experiment: str, model: str, roots: list[str]) -> None:
    assert experiment in names("experiment")
    asked = composed(f"experiment={experiment}", *roots, *OFFLINE)
    assert (asked.trainer.accelerator, asked.size.name) == ("gpu", "paper")
    # On any machine: what a GPU would do on the CPU.
    config = composed(f"experiment={experiment}", *roots, *OFFLINE, "trainer.accelerator=cpu")
    module, data, trainer = made(config)
    check_against(recipe_of(model, "paper"), module, data, trainer)
    assert module.name == model
    if experiment == "hific_paper":
        assert (data.transform.min_scale, data.transform.max_scale, data.transform.flip) == (0.75, 0.95, False)
    else:
        assert data.clahe and data.transform.flip


def test_every_experiment_is_tested() -> None:
    assert names("experiment") == ["compressnet_paper", "hific_paper"]


def test_eight_devices_keep_the_papers_batch() -> None:
    cpu = ["trainer=ddp", "trainer.accelerator=cpu"]
    config = composed("experiment=hific_paper", "data.root=/clic", *cpu, "trainer.devices=8", *OFFLINE)
    _, data, trainer = made(config)
    assert trainer.world_size == 8 and data.batch_size_of_rank(8) == 1
    assert trainer.strategy._ddp_kwargs == {}
    with pytest.raises(OptionError, match=r"global_batch_size=8 .* 3 equal parts"):
        data.batch_size_of_rank(3)
    # Several devices without trainer=ddp take its strategy.
    _, _, several = made(composed("trainer.devices=2", *OFFLINE))
    assert type(several.strategy).__name__ == "DDPStrategy" and several.strategy._ddp_kwargs == {}
    # Weights that are frozen on the way have no gradient there.
    _, _, frozen = made(composed("model=hific", "model.freeze_analysis=true", "trainer.devices=2", *OFFLINE))
    assert frozen.strategy._ddp_kwargs == {"find_unused_parameters": True}


@pytest.mark.parametrize("kind", ["xgboost", "knn"])
@pytest.mark.parametrize("extra", [[], ["experiment=hific_paper"], ["data=folder"], ["size=small", "rate=high"]])
def test_variants_of_hific_are_hific_with_a_context_model(kind: str, extra: list[str]) -> None:
    """All else that composes is equal."""
    plain, variant = (
        OmegaConf.to_container(composed(*extra, f"model={model}", "output_dir=unused"), resolve=False)
        for model in ("hific", f"hific_{kind}")
    )
    context = yaml.safe_load((CONF / "context_model" / f"{kind}.yaml").read_text())
    assert variant["context_model"] == context and plain["context_model"]["_target_"].endswith(".nothing")
    assert (plain["model"].pop("name"), variant["model"].pop("name")) == ("hific", f"hific_{kind}")
    for config in (plain, variant):
        config.pop("context_model")
        config.pop("hydra")  # which notes the choices
    assert plain == variant


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (group, name)
        for group in ("rate", "size", "data", "trainer", "logger", "context_model", "postfilter")
        for name in names(group)
    ],
)
def test_groups_compose_and_check(group: str, name: str) -> None:
    root = {"cityscapes_clic": ["data.root.cityscapes=/c", "data.root.clic=/l"], "bundled": []}
    roots = root.get(name, ["data.root=/photos"]) if group == "data" else []
    check_options(composed(f"{group}={name}", "model=hific", *roots, "output_dir=unused"))


@pytest.mark.parametrize(
    "command",
    [
        "model=sae_spn rate=low",
        "model=hific context_model=xgboost",
        "model=hific_xgboost context_model=none",
        "model=sae context_model=linear",
        "model=hific postfilter=xgboost",
        "model=hific_knn size=paper experiment=hific_paper data.root=/clic",
        "experiment=compressnet_paper model=swwae rate=high data=cityscapes data.root=/c",
        "experiment=compressnet_paper model=gc data=folder data.root=/photos size=small",
    ],
)
def test_commands_go_together(command: str) -> None:
    config = composed(*command.split(), "output_dir=unused")
    check_options(config)
    for choice in command.split():
        group, _, name = choice.partition("=")
        assert OmegaConf.select(HydraConfig.get().runtime.choices, group, default=name) == name


def test_a_transform_is_an_option_of_the_recipe() -> None:
    """Of any size without normalization."""
    options = ["model=hific_xgboost", "recipe.transform=patch", "recipe.widths=[12,16]", "recipe.residual_blocks=[1,2]"]
    for size in ("tiny", "small"):
        module, *_ = made(composed(*options, f"size={size}", *OFFLINE))
        arguments = module.model.arguments
        assert (arguments["transform"], arguments["widths"], arguments["residual_blocks"]) == (
            "patch",
            [12, 16],
            [1, 2],
        )


def test_figure_8_is_measured_on_cityscapes_as_it_was_trained() -> None:
    """The paper's setting, in both entry points: one root, CLAHE, the validation split."""
    trained = composed("experiment=compressnet_paper", "data=cityscapes", "data.root=/c", "output_dir=unused")
    assert trained.data.clahe and trained.data.source.root == "/c" and trained.data.crop == 512
    measured = composed("data=cityscapes", "data.root=/c", "data.clahe=true", "split=val", name="evaluate")
    assert measured.data.clahe and measured.data.source.root == "/c" and measured.split == "val"


@pytest.mark.parametrize("recipe", names("recipe"))
def test_recipes_are_whole_and_of_one_shape_a_family(recipe: str) -> None:
    family, size = recipe.rsplit("_", 1)
    keys, paper = (
        list(yaml.safe_load((CONF / "recipe" / f"{family}_{one}.yaml").read_text())) for one in (size, "paper")
    )
    assert keys == paper and size in SIZES


def test_no_value_is_found_by_a_name_that_may_be_absent() -> None:
    for path in CONF.rglob("*.yaml"):
        if path.name != "evaluate.yaml" and "codec" not in path.parts:
            assert "oc.select" not in path.read_text(), path


def test_the_table_of_options_is_what_the_configuration_says() -> None:
    written = runpy.run_path(str(REPOSITORY / "docs" / "write_options.py"))["text"]()
    stale = "python docs/write_options.py"
    assert (REPOSITORY / "docs" / "options.md").read_text() == written, stale
