"""A training, from its composed configuration to its numbers.

What train.py does once its options are known to be right: Lightning and torch take seconds to import, and a wrong
option is told without them.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig, OmegaConf

from hific.cli.point_ranks import ranks_of_a_point
from hific.cli.run_folder import Outcome, is_first_rank, is_point
from hific.codecs.memory import keep_freed_memory
from hific.data.image_datamodule import ImageDataModule
from hific.training.adversarial_module import AdversarialModule
from hific.training.beginnings import check_resume, keep_earlier_metrics, silence_known_messages, warn_of_slow_precision
from hific.training.callbacks import GracefulStop, WholeCheckpointIO, wandb_run_of
from hific.training.coding_module import CodingModule, FittedModule, check_same_system
from hific.training.pruning import EndPruned, PrunedError

log = logging.getLogger(__name__)


def make_module(config: DictConfig) -> CodingModule:
    """What is trained, or with a base checkpoint fitted."""
    if config.base_checkpoint is None:
        module: CodingModule = instantiate(config.model)
        return module
    fitted = FittedModule(
        base_checkpoint=config.base_checkpoint,
        name=config.model.name,
        fitting=instantiate(config.fitting),
        training_info={"fitted_to": config.training_info.data},
    )
    of_system = OmegaConf.to_container(config.model.model, resolve=False)
    check_same_system(fitted, of_system, f"base_checkpoint={config.base_checkpoint}")  # type: ignore[arg-type]
    return fitted


def make_trainer(config: DictConfig, module: CodingModule) -> Trainer:
    parts = {name: list(instantiate(config.get(name) or {}).values()) for name in ("logger", "callbacks")}
    parts["callbacks"] += callbacks_of_point()
    parts["plugins"] = [WholeCheckpointIO()]
    # A run that is shorter than the interval has numbers too.
    logged = min(config.trainer.log_every_n_steps, max(1, module.steps))
    options = {"max_steps": module.steps, "log_every_n_steps": logged, **parts}
    trainer: Trainer = instantiate(config.trainer, **options)
    if trainer.world_size > 1 and config.trainer.strategy == "auto":
        strategy = "ddp" if module.all_weights_learn else "ddp_find_unused_parameters_true"
        trainer = instantiate(config.trainer, strategy=strategy, **options)
    return trainer


def callbacks_of_point() -> list[Callback]:
    """How a point of a sweep hears that others have left it behind, on each of its ranks; none elsewhere."""
    if not is_point():
        return []
    report = None
    if is_first_rank() and str(HydraConfig.get().sweeper["_target_"]).endswith("OptunaSweeper"):
        from hific.cli.optuna_sweep import report_of_trial

        report = report_of_trial()
    return [EndPruned(report)]


def describe(trainer: Trainer, module: CodingModule, config: DictConfig) -> None:
    """Tells the loggers that take them all options (metrics.csv has them beside it, in .hydra), and the log how large
    the model is."""
    for logger in trainer.loggers:
        if not isinstance(logger, CSVLogger):
            logger.log_hyperparams(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    sizes = {
        name: sum(one.numel() for one in part.parameters())
        for name, part in module.get_submodule("model").named_children()
    }
    parts = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in sizes.items() if size)
    log.info("%s: %.2f M parameters (%s)", module.name, sum(sizes.values()) / 1e6, parts)


def train(config: DictConfig, script: Path) -> Outcome:
    """Runs the composed configuration. script: train.py, which starts further ranks."""
    silence_known_messages()
    keep_freed_memory()
    seed_everything(config.seed, verbose=False)
    datamodule: ImageDataModule = instantiate(config.data)
    datamodule.setup("fit")  # what is missing on the disk is told before anything slow
    module = make_module(config)
    trainer = make_trainer(config, module)
    datamodule.batch_size_of_rank(trainer.world_size)
    warn_of_slow_precision(trainer)
    try:
        with wandb_run_of(trainer):
            return fit_and_test(trainer, module, datamodule, config, script)
    except PrunedError as stop:
        log.info("%s", stop)
        return Outcome(stop.metrics, "pruned")


def fit_and_test(
    trainer: Trainer, module: CodingModule, datamodule: ImageDataModule, config: DictConfig, script: Path
) -> Outcome:
    describe(trainer, module, config)
    if config.ckpt_path is not None and isinstance(module, AdversarialModule):
        step = check_resume(config.ckpt_path, module, trainer.max_steps, finished=config.resume is not None)
        log.info("going on from batch %d", step)
        if trainer.is_global_zero:
            keep_earlier_metrics(config.output_dir, step)
    with ranks_of_a_point(script):
        trainer.fit(module, datamodule, ckpt_path=config.ckpt_path, weights_only=True)
        metrics = dict(trainer.callback_metrics)
        asked = any(isinstance(one, GracefulStop) and one.requested for one in trainer.callbacks)  # type: ignore[attr-defined]
        interrupted = asked and trainer.should_stop  # a signal behind the last batch stops nothing
        if config.test and not trainer.should_stop:
            trainer.test(module, datamodule)
            metrics |= trainer.callback_metrics
    report(trainer, config)
    state: Literal["done", "interrupted"] = "interrupted" if interrupted else "done"
    return Outcome({name: float(value) for name, value in metrics.items()}, state)


def report(trainer: Trainer, config: DictConfig) -> None:
    if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        done = "stopped" if trainer.should_stop else "done"
        after = f"after {trainer.global_step} batches" if trainer.max_steps else "with what was fitted to the base"
        log.info("%s %s; the run is in %s", done, after, config.output_dir)
        if trainer.should_stop:
            again = "the command" if config.resume else f"the options with ckpt_path={config.output_dir}/last.ckpt"
            log.info("to go on, repeat %s", again)
