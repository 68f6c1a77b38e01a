"""Laws of HiFiC's coding: what comes back, what is refused, what it costs."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hific.codecs import hyperprior_coding
from hific.codecs.hyperprior_coding import SYMBOL_LIMIT, HyperpriorCoding, clip_hyper_symbols
from hific.codecs.self_check import SelfCheckError
from hific.coding.container import Header, pack, unpack
from hific.coding.range_coder import RangeCoder, RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.entropy.gaussian_conditional import SMALLEST_SCALE, gaussian_likelihoods
from hific.entropy.integer_hyper_synthesis import HYPER_LIMIT
from hific.errors import BitstreamError, CorruptedError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

GOLDEN = Path(__file__).parents[1] / "golden"
NOT_STATE = ("hyper_symbols", "latent", "symbols", "means", "table_ids")
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


def golden() -> tuple[HyperpriorCoding, dict[str, NDArray[np.generic]]]:
    arrays = dict(np.load(GOLDEN / "hyperprior_coding.npz"))
    expected = {name: arrays.pop(name) for name in NOT_STATE}
    return HyperpriorCoding.from_state(arrays), expected


# Three hyper-latent and four latent channels, tables of 1 to 601 values.
CODING, _ = golden()


def make_model(seed: int = 0, *, hyper_channels: int = 16, latent_channels: int = 12) -> HyperpriorAutoencoder:
    """An untrained auto-encoder whose hyperprior says something: scales from below .11 to 10, means of a few units."""
    torch.manual_seed(seed)
    model = HyperpriorAutoencoder(
        widths=(4, 4, 4, 4, 4), latent_channels=latent_channels, hyper_channels=hyper_channels, residual_blocks=0
    ).eval()
    with torch.no_grad():
        for network, gain in ((model.mean_synthesis, 3.0), (model.scale_synthesis, 2.0)):
            for layer in (network.up1, network.up2, network.head):
                layer.weight *= gain
        for bias in model.prior.biases:
            bias += 0.3 * torch.randn_like(bias)
    return model


def sample(model: HyperpriorAutoencoder, height: int, width: int, seed: int = 0) -> tuple[Ints, Floats, float]:
    """(hyper-symbols, latent, estimated bits) as the float model believes them to be distributed; widens its ranges."""
    rng = np.random.default_rng(seed)
    shape = (model.hyper_channels, -(-height // 4), -(-width // 4))
    values = torch.arange(-300, 301).double().expand(len(shape[:1]) * shape[0], -1)
    with torch.no_grad():
        masses = model.prior.probabilities(values).numpy()
        draws = [rng.choice(601, shape[1:], p=row / row.sum()) - 300 for row in masses]
        hyper_symbols = np.stack(draws).astype(np.int32)
        given_symbols = torch.from_numpy(hyper_symbols).float()[None]
        model.train()
        means, scales = (
            synthesis(given_symbols)[0, :, :height, :width]
            for synthesis in (model.mean_synthesis, model.scale_synthesis)
        )
        model.eval()
        noise = torch.from_numpy(rng.normal(size=means.shape)).float()
        latent = means + scales.clamp(min=SMALLEST_SCALE) * noise
        likelihoods = (model.prior(given_symbols), gaussian_likelihoods((latent - means).round(), scales))
        bits = -sum(float(likelihood.double().log2().sum()) for likelihood in likelihoods)
    return hyper_symbols, latent.numpy(), bits


def message(seed: int, height: int, width: int) -> tuple[Ints, Floats]:
    """For CODING: values that its tables have entries for, and values far from them."""
    rng = np.random.default_rng(seed)
    shape = (3, -(-height // 4), -(-width // 4))
    hyper_symbols = np.rint(rng.laplace(0, 4, shape) * rng.choice([1, 1, 1000], shape)).astype(np.int32)
    size = (4, height, width)
    means = CODING.predict(clip_hyper_symbols(hyper_symbols), height, width).means
    latent = means + rng.laplace(0, 3, size) * rng.choice([1, 1, 1, 1e5], size)
    return clip_hyper_symbols(hyper_symbols), latent.clip(-(2**23), 2**23).astype(np.float32)


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_decoding_returns_what_was_encoded(seed: int, height: int, width: int) -> None:
    hyper_symbols, latent = message(seed, height, width)
    stream, symbols = CODING.encode(hyper_symbols, latent)
    decoded = CODING.decode(stream, height, width)
    np.testing.assert_array_equal(decoded.hyper_symbols, hyper_symbols)
    np.testing.assert_array_equal(decoded.symbols, symbols)
    np.testing.assert_array_equal(decoded.means, CODING.predict(hyper_symbols, height, width).means)
    np.testing.assert_array_equal(decoded.symbols, np.rint(latent - decoded.means))
    np.testing.assert_array_equal(decoded.latent_hat, (decoded.symbols + decoded.means).astype(np.float32))
    assert [array.dtype.name for array in decoded] == ["int32", "int32", "float32"]
    assert decoded.latent_hat.dtype == np.float32


@pytest.mark.parametrize("seed", range(2))
def test_bytes_are_what_the_float_model_estimates(seed: int) -> None:
    model = make_model(seed)
    hyper_symbols, latent, bits = sample(model, 30, 45, seed)
    coding = HyperpriorCoding.from_model(model)
    stream, _ = coding.encode(hyper_symbols, latent)
    assert abs(len(stream) - bits / 8) < 0.01 * bits / 8 + 24


def test_integers_cost_less_than_half_a_percent() -> None:
    """Against tables that the float network's own means and scales choose, and against its estimate."""
    model = make_model(3)
    hyper_symbols, latent, bits = sample(model, 96, 120)
    coding = HyperpriorCoding.from_model(model)
    num_bits = 8 * len(coding.encode(hyper_symbols, latent, self_check=False)[0])
    assert num_bits < 1.005 * bits
    with torch.no_grad():
        given_symbols = torch.from_numpy(hyper_symbols).float()[None]
        means, scales = (
            synthesis(given_symbols)[0, :, :96, :120].numpy()
            for synthesis in (model.mean_synthesis, model.scale_synthesis)
        )
    encoder = RangeEncoder()
    channels = np.repeat(np.arange(len(hyper_symbols), dtype=np.int32), hyper_symbols[0].size)
    coding.hyper_tables.code(encoder, hyper_symbols.ravel(), channels)
    thresholds = coding.thresholds / 2.0**coding.scale_synthesis.output_bits
    table_ids = np.searchsorted(thresholds, scales, side="right").astype(np.int32)
    coding.latent_tables.code(encoder, np.rint(latent - means).astype(np.int32).ravel(), table_ids.ravel())
    assert num_bits < 1.005 * 8 * len(encoder.get_bytes())


def test_a_fresh_model_codes_whatever_it_is_given() -> None:
    """No pass was made: the activation range is 0. Latents and hyper-latents that it would never give."""
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(
        widths=(4, 4, 4, 4, 4), latent_channels=5, hyper_channels=6, residual_blocks=0, normalization="channel"
    )
    coding = HyperpriorCoding.from_model(model)
    rng = np.random.default_rng(0)
    for hyper_spread, spread in ((0, 0), (3, 2), (1e4, 1e5)):
        hyper_symbols = clip_hyper_symbols((hyper_spread * rng.normal(size=(6, 3, 2))).astype(np.float32))
        latent = (spread * rng.normal(size=(5, 11, 8))).astype(np.float32)
        stream, symbols = coding.encode(hyper_symbols, latent)
        np.testing.assert_array_equal(coding.decode(stream, 11, 8).symbols, symbols)


def test_streams_do_not_depend_on_threads_or_defaults() -> None:
    model = make_model(1)
    hyper_symbols, latent, _ = sample(model, 17, 10)
    coding = HyperpriorCoding.from_model(model)
    expected, _ = coding.encode(hyper_symbols, latent)
    num_threads = torch.get_num_threads()
    try:
        torch.set_default_dtype(torch.float64)
        for count in (1, 2):
            torch.set_num_threads(count)
            with torch.autocast("cpu"), torch.inference_mode(count == 1), torch.device("meta"):
                restored = HyperpriorCoding.from_state(coding.state())
                assert restored.encode(hyper_symbols, latent)[0] == expected
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(num_threads)


def test_one_flush_for_hyper_symbols_and_symbols() -> None:
    hyper_symbols, latent = message(3, 8, 8)
    together, symbols = CODING.encode(hyper_symbols, latent)
    apart = [RangeEncoder(), RangeEncoder()]
    ids = np.repeat(np.arange(3, dtype=np.int32), 4)
    CODING.hyper_tables.code(apart[0], hyper_symbols.ravel(), ids)
    table_ids = CODING.predict(hyper_symbols, 8, 8).table_ids
    CODING.latent_tables.code(apart[1], symbols.ravel(), table_ids.ravel())
    assert len(together) <= sum(len(encoder.get_bytes()) for encoder in apart)


def test_state_round_trip_and_fit() -> None:
    model = make_model()
    coding = HyperpriorCoding.from_model(model)
    state = coding.state()
    assert {array.dtype.name for array in state.values()} == {"int16", "int32", "int64"}
    # As a checkpoint keeps it.
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    restored = HyperpriorCoding.from_state({name: tensor.numpy() for name, tensor in tensors.items()})
    hyper_symbols, latent, _ = sample(model, 9, 6)
    assert restored.encode(hyper_symbols, latent)[0] == coding.encode(hyper_symbols, latent)[0]
    restored.check_fits(model.latent_channels, model.hyper_channels)
    for wrong in ((model.hyper_channels, model.latent_channels), (model.latent_channels, 1)):
        with pytest.raises(ValueError, match="channels"):
            restored.check_fits(*wrong)


def test_a_state_that_no_model_gives_is_refused() -> None:
    state = CODING.state()
    wrong = {
        "thresholds": [state["thresholds"][:-1], state["thresholds"][::-1], state["thresholds"].astype(np.float64)],
        "hyper_tables.frequencies": [state["hyper_tables.frequencies"] * 2],
        "latent_tables.sizes": [state["latent_tables.sizes"][::-1]],
        "mean_synthesis.up1.weights": [state["mean_synthesis.up1.weights"][:2]],
        "scale_synthesis.head.weights": [state["scale_synthesis.head.weights"][:2]],
        "scale_synthesis.head.biases": [state["scale_synthesis.head.biases"] + 2**60],
    }
    for name, arrays in wrong.items():
        for array in arrays:
            with pytest.raises(ValueError, match=r"coding|synthesis|convolution|tables"):
                HyperpriorCoding.from_state({**state, name: array})
    two = SymbolTables(
        *(array[:2] for array in (CODING.hyper_tables.offsets, CODING.hyper_tables.sizes)),
        CODING.hyper_tables.frequencies[:12],
    )
    with pytest.raises(ValueError, match="different models"):
        HyperpriorCoding.from_state({**state, **{f"hyper_tables.{name}": array for name, array in two.state().items()}})
    for name in state:
        with pytest.raises(KeyError):
            HyperpriorCoding.from_state({other: array for other, array in state.items() if other != name})


def test_a_model_that_diverged_is_refused() -> None:
    for name in ("mean_synthesis.up1.weight", "scale_synthesis.head.bias", "prior.factors.0"):
        model = make_model()
        with torch.no_grad():
            dict(model.named_parameters())[name].view(-1)[0] = math.nan
        with pytest.raises(ValueError, match="diverged"):
            HyperpriorCoding.from_model(model)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 4.0 * SYMBOL_LIMIT])
def test_a_latent_that_cannot_be_coded_is_refused(value: float) -> None:
    hyper_symbols, latent = message(0, 5, 5)
    latent[1, 2, 3] = value
    with pytest.raises(ValueError, match="not finite or exceed"):
        CODING.encode(hyper_symbols, latent)


def test_input_that_does_not_fit_the_model_is_refused() -> None:
    hyper_symbols, latent = message(0, 5, 5)
    for wrong in (hyper_symbols + HYPER_LIMIT + 200, hyper_symbols - HYPER_LIMIT - 200, hyper_symbols.astype(np.int64)):
        with pytest.raises(ValueError, match="clip_hyper_symbols"):
            CODING.encode(wrong, latent)
    for wrong in (hyper_symbols[:2], hyper_symbols[:, :1], hyper_symbols[0]):
        with pytest.raises(ValueError, match="not of this model"):
            CODING.encode(wrong, latent)
    for wrong_latent in (latent[:2], latent[:, :4], latent[0], latent.astype(np.float64), latent[:, :0]):
        with pytest.raises(ValueError, match="latent"):
            CODING.encode(hyper_symbols, wrong_latent)


def test_hyper_latents_are_rounded_and_cut() -> None:
    values = np.array([0.4, -2.6, 1e30, -1e30, 0.5, 1.5], np.float32)
    assert clip_hyper_symbols(values).tolist() == [0, -3, HYPER_LIMIT, -HYPER_LIMIT, 0, 2]
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not finite"):
            clip_hyper_symbols(np.array([value], np.float32))


def test_the_self_check_notices_tables_that_return_other_values(monkeypatch: pytest.MonkeyPatch) -> None:
    hyper_symbols, latent = message(1, 8, 8)
    original = SymbolTables.code
    for broken in (CODING.hyper_tables, CODING.latent_tables):

        def differing(
            self: SymbolTables, coder: RangeCoder, values: Ints, table_ids: Ints, broken: SymbolTables = broken
        ) -> Ints:
            coded = original(self, coder, values, table_ids)
            return coded if self is not broken else coded + 1

        monkeypatch.setattr(SymbolTables, "code", differing)
        with pytest.raises(SelfCheckError):
            CODING.encode(hyper_symbols, latent)
        CODING.encode(hyper_symbols, latent, self_check=False)


def test_the_self_check_notices_a_decoder_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    hyper_symbols, latent = message(1, 8, 8)
    original = RangeDecoder.code_runs

    def differing(self: RangeDecoder, symbols: Ints, *tables: Ints) -> Ints:
        coded = original(self, symbols, *tables)
        coded[len(coded) // 2 :] += 1
        return coded

    monkeypatch.setattr(RangeDecoder, "code_runs", differing)
    with pytest.raises(SelfCheckError):
        CODING.encode(hyper_symbols, latent)
    CODING.encode(hyper_symbols, latent, self_check=False)


def test_values_that_encode_refuses_are_not_decoded_either() -> None:
    hyper_symbols, latent = message(2, 4, 4)
    prediction = CODING.predict(hyper_symbols, 4, 4)
    symbols = np.rint(latent - prediction.means).astype(np.int32)
    beyond_hyper, beyond = hyper_symbols.copy(), symbols.copy()
    beyond_hyper[0, 0, 0], beyond[1, 1, 1] = -(2**31), -SYMBOL_LIMIT - 1
    for wrong_hyper, wrong in ((beyond_hyper, symbols), (hyper_symbols, beyond)):
        encoder = RangeEncoder()
        CODING._code(encoder, "hyperprior", wrong_hyper, wrong, lambda _: prediction)
        with pytest.raises(CorruptedError, match="no encoder writes"):
            CODING.decode(encoder.get_bytes(), 4, 4)


@given(st.binary(max_size=80), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None)
def test_any_bytes_decode_to_what_encodes_to_them_or_raise(stream: bytes, height: int, width: int) -> None:
    try:
        decoded = CODING.decode(stream, height, width)
    except BitstreamError:
        return
    encoder = RangeEncoder()
    prediction = CODING.predict(decoded.hyper_symbols, height, width)
    CODING._code(encoder, "hyperprior", decoded.hyper_symbols, decoded.symbols, lambda _: prediction)
    assert encoder.get_bytes() == stream


def test_a_stream_for_another_size_is_noticed() -> None:
    stream, _ = CODING.encode(*message(4, 8, 8))
    for height, width in ((4, 16), (8, 7), (12, 12), (1, 1)):
        with pytest.raises(BitstreamError):
            CODING.decode(stream, height, width)


def test_five_hundred_corruptions_of_a_file_give_as_many_errors() -> None:
    stream, _ = CODING.encode(*message(6, 6, 6))
    data = pack(Header(b"\x01\x02\x03\x04", 96, 96, "hific", "hyperprior"), [], stream)
    rng = random.Random(0)
    for _ in range(500):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        end = rng.randrange(len(data))
        changed = rng.choice((bytes(damaged), data[:end], data + rng.randbytes(1 + end % 9)))
        with pytest.raises(BitstreamError):
            CODING.decode(unpack(changed, max_pixels=1 << 20).stream, 6, 6)


def test_damage_that_the_checksum_misses_never_gives_the_same_values() -> None:
    hyper_symbols, latent = message(7, 4, 4)
    stream, symbols = CODING.encode(hyper_symbols, latent)
    damaged = [stream[:end] for end in range(0, len(stream), 3)]
    for bit in range(0, 8 * len(stream), 5):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for other in damaged:
        try:
            decoded = CODING.decode(other, 4, 4)
        except BitstreamError:
            continue
        assert (decoded.symbols != symbols).any() or (decoded.hyper_symbols != hyper_symbols).any()


def test_golden_file() -> None:
    """A file of format version 1 decodes for ever, and is still written byte for byte, on every machine."""
    coding, expected = golden()
    data = (GOLDEN / "hific_hyperprior.hfc").read_bytes()
    header, raw_parts, stream = unpack(data, max_pixels=112 * 144)
    assert (header, raw_parts) == (Header(b"\xc0\xff\xee\x00", 144, 112, "hific", "hyperprior"), ())
    decoded = coding.decode(stream, 7, 9)
    for name in ("hyper_symbols", "symbols", "means"):
        np.testing.assert_array_equal(getattr(decoded, name), expected[name])
    np.testing.assert_array_equal(coding.predict(decoded.hyper_symbols, 7, 9).table_ids, expected["table_ids"])
    assert coding.encode(expected["hyper_symbols"], expected["latent"])[0] == stream
    assert hyperprior_coding.HyperpriorCoding.from_state(coding.state()).decode(stream, 7, 9).symbols.size == 252
