"""The encoder's search: better by what it minimizes, the same hyper-latent and format, tiles within what they own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from photos import Pixels, photo
from skimage import data

from hific.cli import main
from hific.codecs import compressnet, latent_refinement
from hific.codecs.compressnet import interpolated_bits
from hific.codecs.hific import FEATURES_WEIGHT_LIMIT, HificTransform
from hific.codecs.latent_coding import UncodedLatent
from hific.codecs.latent_refinement import MSE_WEIGHT, RATE_SHARE, Perception, Scene, Search, soft_rounded
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec
from hific.errors import OptionError
from hific.metrics.fidelity import MSSSIM
from hific.ops.images import to_unit_range

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(scope="module")
def shipped() -> LearnedCodec:
    return load_codec("hific-medium", max_pixels=10**6)


@pytest.fixture(scope="module")
def picture() -> Pixels:
    return np.ascontiguousarray(data.astronaut()[90:266, 130:322])  # 176 x 192, not a multiple of anything larger


@pytest.fixture(scope="module")
def plain(shipped: LearnedCodec, picture: Pixels) -> bytes:
    return shipped.compress(picture)


@pytest.fixture(scope="module")
def searched(shipped: LearnedCodec, picture: Pixels) -> bytes:
    return shipped.with_options(effort=30).compress(picture)


def cost(codec: LearnedCodec, file: bytes, pixels: Pixels) -> float:
    """k_M MSE and the weighted bits per pixel of a file, by its bytes."""
    error = np.square(np.asarray(codec.decompress(file)).astype(float) - pixels).mean()
    rate_weight = RATE_SHARE * codec.training["rate_weight"]
    return MSE_WEIGHT * float(error) + rate_weight * 8 * len(file) / pixels[..., 0].size


def test_a_shipped_model_makes_a_better_file(
    shipped: LearnedCodec, picture: Pixels, plain: bytes, searched: bytes
) -> None:
    """Also by its structure, whose gradient needs digits that bfloat16 has not."""
    assert cost(shipped, searched, picture) < 0.985 * cost(shipped, plain, picture)
    similarity = [MSSSIM()(picture, np.asarray(shipped.decompress(file))) for file in (plain, searched)]
    assert similarity[1] > similarity[0]


def test_the_hyper_latent_stays(shipped: LearnedCodec, plain: bytes, searched: bytes) -> None:
    before, after = (shipped.decode_latent(file) for file in (plain, searched))
    assert np.array_equal(before.hyper_symbols, after.hyper_symbols) and np.array_equal(before.means, after.means)
    assert 0.001 < np.mean(before.symbols != after.symbols) < 0.2
    assert np.abs(before.symbols - after.symbols).max() <= 1


def test_it_is_the_same_each_time_and_leaves_the_model_alone(shipped: LearnedCodec, picture: Pixels) -> None:
    searching = shipped.with_options(effort=1)
    learning = [one.requires_grad for one in shipped.model.parameters()]
    assert searching.compress(picture) == searching.compress(picture)
    assert [one.requires_grad for one in shipped.model.parameters()] == learning
    assert all(one.grad is None for one in shipped.model.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_may_have_gradients_off(shipped: LearnedCodec, picture: Pixels, mode: Callable[[], Any]) -> None:
    searching = shipped.with_options(effort=1)
    with mode():
        data = searching.compress(picture)
    assert data == searching.compress(picture)


def test_progress_goes_over_all_tiles(shipped: LearnedCodec, picture: Pixels) -> None:
    searching, told = shipped.with_options(effort=2, tile=96), []
    searching.progress = lambda done, total: told.append((done, total))
    searching.analyze([picture])
    assert told[4:] == [(step, 8) for step in range(1, 9)]  # behind the analysis of four tiles


def test_tables_do_not_search_again(shipped: LearnedCodec, picture: Pixels) -> None:
    (plain,), (searching,) = (shipped.with_options(effort=effort).variants(["tables"]) for effort in (0, 10**9))
    assert plain.extra_metrics is not None and searching.extra_metrics is not None
    assert plain.extra_metrics(picture)["estimated_bpp"] > 0 and searching.extra_metrics(picture) == {}


def test_tiles_gain_too(shipped: LearnedCodec, picture: Pixels) -> None:
    part = np.ascontiguousarray(picture[:100, :100])
    plain, tiled = (codec.compress(part) for codec in (shipped, shipped.with_options(effort=10, tile=48)))
    assert cost(shipped, tiled, part) < cost(shipped, plain, part)


def test_no_symbol_of_the_halo_is_touched(shipped: LearnedCodec, picture: Pixels) -> None:
    (source,) = shipped.analyze([picture])
    means = torch.from_numpy(shipped.coding.prior.predict(source.hyper_symbols, 11, 12).means)[None]
    symbols = torch.from_numpy(source.latent)[None] - means
    kept = symbols.clone()
    image, inner = to_unit_range(picture, torch.device("cpu")), (slice(2, 5), slice(3, 9))
    scene = Scene(
        image, symbols, *inner, lambda some: shipped.model.synthesize(some + means), torch.count_nonzero, -99, 99
    )
    search, perception = Search(1.4, 1.4, 3), Perception.of(scene.image, 1.4)
    found = search(shipped.model, scene)
    assert found.shape == (1, means.shape[1], 3, 6) and torch.equal(found, found.round())
    assert torch.equal(symbols, kept)
    rounded = scene.inner(symbols).round()
    assert search.cost(scene, found, perception) <= search.cost(scene, rounded, perception)


def test_features_weigh_beside_the_rate(picture: Pixels) -> None:
    image = to_unit_range(picture, torch.device("cpu"))
    lossy = (image.round(decimals=1) + 0.01).clamp(0, 1)
    lost = [float(Perception.of(image, weight)(lossy)) for weight in (0.0, 1.0, 3.0)]
    assert lost[1] > lost[0]
    assert lost[2] - lost[0] == pytest.approx(3 * (lost[1] - lost[0]), rel=1e-3)


@pytest.mark.parametrize(("rate_weight", "features_weight"), [(0.41, 0.41), (1.4, 1.4), (5.0, FEATURES_WEIGHT_LIMIT)])
def test_features_weigh_no_more_than_the_limit_beside_a_low_rate(
    shipped: LearnedCodec, picture: Pixels, monkeypatch: pytest.MonkeyPatch, rate_weight: float, features_weight: float
) -> None:
    asked: list[Search] = []

    def refined(self: HificTransform, pixels: Pixels, source: UncodedLatent, means: Any, search: Search) -> Any:
        asked.append(search)
        return source.latent

    monkeypatch.setattr(HificTransform, "refine", refined)
    identity = replace(shipped.identity, training={"rate_weight": rate_weight})
    codec = LearnedCodec(shipped.family, shipped.model, shipped.coding, identity)
    codec.with_options(effort=7).compress(picture)
    ((one),) = asked
    assert (one.rate_weight, one.features_weight, one.steps) == (rate_weight, features_weight, 7)


def test_a_search_that_finds_nothing_better_gives_what_came_in(
    shipped: LearnedCodec, picture: Pixels, plain: bytes
) -> None:
    """A step far too long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_refinement, "LEARNING_RATE", 1e3)
        assert shipped.with_options(effort=1).compress(picture) == plain


@given(st.floats(-1000, 1000, width=32), st.integers(0, 99))
def test_a_soft_choice_lies_between_whole_neighbors(value: float, seed: int) -> None:
    values = torch.full((64,), value)
    for temperature in (0.5, 0.1):
        soft = soft_rounded(values, temperature, torch.Generator().manual_seed(seed))
        assert torch.isfinite(soft).all()
        assert (soft >= values.floor()).all() and (soft <= values.floor() + 1).all()


def test_the_nearer_neighbor_is_likelier_and_cold_choices_are_hard() -> None:
    values = torch.tensor([0.1, 0.5, 0.9]).repeat(20_000, 1)
    chosen = soft_rounded(values, 0.1, torch.Generator().manual_seed(0))
    assert ((chosen - chosen.round()).abs() < 0.05).float().mean() > 0.8
    low, middle, high = chosen.mean(0).tolist()
    assert low < 0.01 and high > 0.99 and middle == pytest.approx(0.5, abs=0.02)


def test_its_gradient_reaches_the_value() -> None:
    values = torch.full((8,), 0.3, requires_grad=True)
    soft_rounded(values, 0.5, torch.Generator().manual_seed(0)).sum().backward()
    assert values.grad is not None and (values.grad > 0).all()


@pytest.mark.parametrize("size", [(1, 1), (40, 300)])
def test_small_images_go_without_their_structure(shipped: LearnedCodec, size: tuple[int, int]) -> None:
    """MS-SSIM takes 161 pixels a side."""
    image = photo(*size)
    assert np.asarray(shipped.decompress(shipped.with_options(effort=1).compress(image))).shape == image.shape


def test_a_model_that_does_not_know_what_a_bit_is_worth_says_so(make_hific_checkpoint: MakeCheckpoint) -> None:
    codec = load_codec(make_hific_checkpoint(), effort=5)
    with pytest.raises(OptionError, match=r"effort=5.*does not say what a bit was worth"):
        codec.compress(photo(32, 32))


@pytest.mark.parametrize("wrong", ["-1", "much"])
def test_the_command_line_refuses_what_is_no_number_of_steps(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compress", "a.png", "--effort", wrong])
    assert stop.value.code == 2 and "--effort" in capsys.readouterr().err


def test_tables_tell_it_from_files_without(shipped: LearnedCodec) -> None:
    assert shipped.with_options(effort=7).setting == f"{shipped.setting}, effort 7"


@pytest.mark.parametrize("switches", ["none", "predicted", "transmitted"])
def test_compressnet_searches_too(
    make_checkpoint: MakeCheckpoint, switches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded, a block transform has the least squared error, which weighs little here beside features. Every symbol
    found is a level, and transmitted switches are the analysis's."""
    monkeypatch.setattr(compressnet, "RATE_WEIGHT", 1000.0)
    path = make_checkpoint(switches=switches, linear_shortcut=True, latent_channels=6)
    plain, searching = load_codec(path), load_codec(path, effort=25)
    image = np.ascontiguousarray(data.astronaut()[100:148, 200:264])
    (before,), (after,) = (codec.analyze([image]) for codec in (plain, searching))
    assert (before.latent != after.latent).any() and set(np.unique(after.latent)) <= {-2, -1, 0, 1, 2}
    for kept, due in zip(after.side_information, before.side_information, strict=True):
        assert np.array_equal(kept, due)
    target, *found = (
        torch.from_numpy(np.array(one)).permute(2, 0, 1)[None] / 255
        for one in (image, *(codec.decompress(codec.compress(image)) for codec in (plain, searching)))
    )
    lost = [float(Perception.of(target, 1.0)(one)) for one in found]
    assert lost[1] < lost[0]


@given(st.integers(2, 6), st.integers(0, 99))
def test_bits_between_levels_lie_on_the_line(channels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    costs = torch.rand(channels, 5, generator=generator)
    below = torch.randint(-2, 2, (1, channels, 3, 4), generator=generator).float()
    ends = [float(interpolated_bits(below + step, costs)) for step in (0, 1)]
    due = [costs[channel, int(level) + 2] for channel in range(channels) for level in below[0, channel].flatten()]
    assert ends[0] == pytest.approx(float(torch.stack(due).sum()), rel=1e-5)
    assert float(interpolated_bits(below + 0.25, costs)) == pytest.approx(0.75 * ends[0] + 0.25 * ends[1], rel=1e-5)
