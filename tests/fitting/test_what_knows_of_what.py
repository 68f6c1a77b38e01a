"""Photos are predicted by weights, stopped by and measured on photos that have not seen them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from context_cases import level_latent, level_tables, model_fit
from numpy.typing import NDArray

from benchmarks.correlated_latents import correlated_latent, independent_latent
from hific.coding.range_coder import Ints
from hific.context.context_model import ContextModel, Windows
from hific.fitting.coding import fit_activation_ranges, is_large_enough
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.fitting.postfilter import Patches, PostFilterFit, fit_weights
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

CHANNELS = 3


@dataclass
class Watched:
    """A fit that keeps what it is shown."""

    shown: list[tuple[Windows, Windows]] = field(default_factory=list)
    kind: str = "linear"

    def __call__(self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int) -> ContextModel:
        self.shown.append((training, held_out))
        return model_fit("linear")(training, held_out, table_frequencies, window_size)


def predictions(windows: Windows) -> NDArray[np.int64]:
    """Of values, in 1/64."""
    return np.abs(windows.features[:, 1].astype(np.int64))


def latents(*levels: NDArray[np.integer]) -> list[TrainingLatent]:
    return [level_latent(one) for one in levels]


def test_a_photo_is_predicted_by_the_other_half() -> None:
    """Of photos in turn: those of even index are predictable, the others are not, and weights that saw only noise
    predict nothing of what is predictable."""
    smooth = [correlated_latent(seed, CHANNELS, 24, 24) for seed in range(2)]
    noisy = [independent_latent(seed, CHANNELS, 24, 24) for seed in range(2)]
    watched = Watched()
    fit = ContextFit(watched, side=3, reach=1)
    tables = level_tables([*smooth, *noisy])
    fit(latents(smooth[0], noisy[0], smooth[1], noisy[1]), tables, CHANNELS)
    fit(latents(noisy[0], smooth[0], noisy[1], smooth[1]), tables, CHANNELS)
    of_smooth_by_noise, of_noise_by_smooth = (predictions(held_out) for _, held_out in watched.shown[::-1])
    (training, _), _ = watched.shown
    assert of_smooth_by_noise.mean() < 0.6 * of_noise_by_smooth.mean()
    assert len(training.bins) == 3 * 24 * 24 * CHANNELS, "the last of four photos is kept"


def test_files_are_predicted_by_all_photos() -> None:
    """So that the order of the halves does not matter to the coder, only to what it learns from."""
    smooth, noisy = (make(0, CHANNELS, 24, 24) for make in (correlated_latent, independent_latent))
    tables, fit = level_tables([smooth, noisy]), ContextFit(model_fit("linear"), side=3, reach=1)
    one, other = (
        fit(latents(*pair), tables, CHANNELS).linear_prediction.state() for pair in ((smooth, noisy), (noisy, smooth))
    )
    assert all(np.array_equal(one[name], other[name]) for name in one) and any(np.any(value) for value in one.values())


def test_a_post_filter_does_not_learn_from_what_it_is_measured_on() -> None:
    fit = PostFilterFit(side=3, rounds=0, pixels_per_photo=4096)
    rng = np.random.default_rng(0)
    originals = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(3)]
    decoded = [one // 2 + 30 * index for index, one in enumerate(originals)]
    photos = [
        fit.patches(index, some.astype(np.uint8), original)
        for index, (some, original) in enumerate(zip(decoded, originals, strict=True))
    ]
    learned = Patches(*(np.concatenate(arrays) for arrays in zip(*photos[:2], strict=True)))
    np.testing.assert_array_equal(fit(photos).weights, fit_weights(learned, 3))
    assert not np.array_equal(fit(photos).weights, fit(photos[::-1]).weights)


def test_a_photo_of_one_patch_is_enough() -> None:
    assert [is_large_enough(np.zeros((side, 40, 3), np.uint8)) for side in (15, 16, 17)] == [False, True, True]


def test_activation_ranges_are_of_the_photos_alone() -> None:
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(widths=(4, 4, 6, 6, 8), latent_channels=4, hyper_channels=4, residual_blocks=1).eval()
    photos = [torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    fit_activation_ranges(model, photos)
    of_both = model.mean_synthesis.activation_range.clone(), model.scale_synthesis.activation_range.clone()
    assert all((one > 0).any() for one in of_both)
    for network in (model.mean_synthesis, model.scale_synthesis):
        network.activation_range.fill_(1e6)
    fit_activation_ranges(model, photos)
    assert torch.equal(of_both[0], model.mean_synthesis.activation_range)
    assert torch.equal(of_both[1], model.scale_synthesis.activation_range)
