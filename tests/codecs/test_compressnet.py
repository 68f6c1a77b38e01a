"""CompressNet's networks in a codec: where its switches come from, and what controls of them are worth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from photos import photo

from hific.codecs.compressnet import check, oracle_reconstruction
from hific.codecs.learned_codec import LearnedCodec
from hific.errors import TooLargeError
from hific.fitting.coding import fit_channel_tables
from hific.models.compressnet import CompressNet

MakeCodec = Callable[..., LearnedCodec]


def test_switch_controls(make_codec: MakeCodec) -> None:
    image, codec = photo(64, 48), make_codec("sae_spn")
    variants = codec.variants(["tables"])
    assert [one.label for one in variants] == [
        "tables",
        "tables, top_left switches",
        "tables, random switches",
        "tables, oracle switches",
    ]
    assert [one.is_control for one in variants] == [False, True, True, True]
    assert len({one.codec.compress(image) for one in variants}) == 1, "the controls cost the same bytes"
    data = variants[0].codec.compress(image)
    predicted, top_left, random, oracle = (
        (one.reconstruct(image) if one.reconstruct else one.codec.decompress(data)).tobytes() for one in variants
    )
    assert len({predicted, top_left, random, oracle}) == 4
    assert variants[2].codec.decompress(data).tobytes() == random
    model = codec.model
    with torch.inference_mode():
        latent_hat = torch.from_numpy(codec.decode_latent(data).latent_hat)[None]
        fixed = model.synthesize(latent_hat, [torch.zeros(1, 4, 24, 32, dtype=torch.long)]).reconstruction
    shown = np.frombuffer(top_left, np.uint8).reshape(48, 64, 3)
    assert np.abs((fixed[0] + 1).permute(1, 2, 0).numpy() * 127.5 - shown).max() < 0.51
    assert [one.reconstruct is not None for one in variants] == [False, False, False, True]
    assert variants[3].reconstruct is not None and variants[3].reconstruct(image).size == (64, 48)


def test_the_oracle_is_within_the_codecs_limits(make_codec: MakeCodec) -> None:
    with pytest.raises(TooLargeError):
        oracle_reconstruction(make_codec("sae_spn", max_pixels=1000), photo(64, 48))


def test_accuracy_of_switches_is_a_share(make_codec: MakeCodec) -> None:
    metrics = make_codec("sae_spn").variants()[1].extra_metrics
    assert metrics is not None and 0 <= metrics(photo(64, 48))["switch_accuracy"] <= 1


def test_a_coding_is_for_models_of_its_channels_levels_and_switches() -> None:
    def model(**arguments: object) -> CompressNet:
        sizes = {"widths": (4, 4, 6, 6, 8), "residual_blocks": 1, "latent_channels": 4, "switches": "none"}
        return CompressNet(**{**sizes, **arguments})  # type: ignore[arg-type]

    counts = [np.zeros((width, 4), np.int64) for width in (4, 4, 6, 6)]
    plain, with_switches = (fit_channel_tables([], some, num_channels=4) for some in (None, counts))
    check(model(), plain)
    check(model(switches="predicted"), plain)
    check(model(switches="transmitted"), with_switches)
    wrong = [
        (model(latent_channels=5), plain),
        (model(), fit_channel_tables([], num_channels=4, num_levels=3)),
        (model(), with_switches),
        (model(switches="transmitted"), plain),
        (model(switches="transmitted", widths=(4, 4, 6, 8, 8)), with_switches),
    ]
    for other, coding in wrong:
        with pytest.raises(ValueError, match=r"channels|levels"):
            check(other, coding)
