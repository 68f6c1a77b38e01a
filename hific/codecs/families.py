"""The closed table of what a checkpoint may be: model class, its coding, its codec.

A class is never looked up by a name that a file brings along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from hific.codecs.compressnet_codec import CompressNetCodec, SwitchSource, check_tables
from hific.codecs.compressnet_coding import CompressNetCoding
from hific.codecs.hyperprior_codec import DEFAULT_TILE, HyperpriorCodec, Precision
from hific.codecs.hyperprior_coding import HyperpriorCoding
from hific.models.compressnet import CompressNet
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

AnyCodec = CompressNetCodec | HyperpriorCodec
Coding = CompressNetCoding | HyperpriorCoding


@dataclass(frozen=True)
class CodecOptions:
    """What a user may choose; None is the codec's own default. See the codecs for their meaning."""

    coding: str | None = None
    refine: bool | None = None
    switch_source: str | None = None
    tile: int | None = None
    precision: str | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class Family:
    """`check` raises ValueError where a coding is not for the model; `codec` takes model, coding, fingerprint, name,
    training and options."""

    model: type[nn.Module]
    coding: Any
    check: Callable[[Any, Any], None]
    codec: Callable[[Any, Any, bytes, str, Mapping[str, Any], CodecOptions], AnyCodec]


def _compressnet(
    model: CompressNet,
    coding: CompressNetCoding,
    fingerprint: bytes,
    name: str,
    training: Mapping[str, Any],
    options: CodecOptions,
) -> CompressNetCodec:
    _refuse(name, "CompressNet codes an image whole, in float32", tile=options.tile, precision=options.precision)
    _refuse(name, "only HiFiC has a refinement", refine=options.refine)
    chosen = _choice("coding", options.coding, coding.codings, coding.codings[-1])
    source = _choice("switch_source", options.switch_source, get_args(SwitchSource), "predicted")
    return CompressNetCodec(
        model,
        coding,
        fingerprint,
        name=name,
        coding=chosen,
        switch_source=source,
        max_pixels=options.max_pixels,
        training=training,
    )


def _hific(
    model: HyperpriorAutoencoder,
    coding: HyperpriorCoding,
    fingerprint: bytes,
    name: str,
    training: Mapping[str, Any],
    options: CodecOptions,
) -> HyperpriorCodec:
    _refuse(name, "HiFiC has no pooling switches", switch_source=options.switch_source)
    chosen = _choice("coding", options.coding, coding.codings, coding.codings[-1])
    return HyperpriorCodec(
        model,
        coding,
        fingerprint,
        name=name,
        coding=chosen,
        refine=options.refine,
        tile=DEFAULT_TILE if options.tile is None else options.tile,
        precision=_choice("precision", options.precision, get_args(Precision), "float32"),
        max_pixels=options.max_pixels,
        training=training,
    )


def _check_hific(model: HyperpriorAutoencoder, coding: HyperpriorCoding) -> None:
    coding.check_fits(model.latent_channels, model.hyper_channels)


FAMILIES = {
    "compressnet": Family(CompressNet, CompressNetCoding, check_tables, _compressnet),
    "hific": Family(HyperpriorAutoencoder, HyperpriorCoding, _check_hific, _hific),
}


def family_of(model: nn.Module) -> tuple[str, Family]:
    """The key and the family of a model."""
    return next((key, family) for key, family in FAMILIES.items() if isinstance(model, family.model))


def _choice(option: str, value: str | None, choices: tuple[str, ...], default: str) -> Any:
    if value is not None and value not in choices:
        raise ValueError(f"{option}={value!r} is none of {', '.join(choices)}")
    return default if value is None else value


def _refuse(name: str, reason: str, **given: object) -> None:
    for option, value in given.items():
        if value is not None:
            raise ValueError(f"{option}={value!r} does not apply to {name}: {reason}")
