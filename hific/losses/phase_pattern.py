"""Keeps a decoder from drawing the same fine pattern over every image."""

from __future__ import annotations

from torch import Tensor


def phase_pattern_loss(reconstruction: Tensor, image: Tensor, period: int) -> Tensor:
    """The mean square of what errors have in common at each place of a grid of `period` pixels; 0 where they have
    nothing in common but a tint. Both [B, 3, H, W] with the grid's origin at the upper left; H, W at least `period`.

    Upsampling treats the places of the grid differently, and a perceptual loss likes texture, whatever it is: of the
    periodic texture in Kodak's 24 reconstructions by networks of size=small, about 94 % (of its variance) was one and
    the same pattern of 3 levels of 255, CompressNet's and HiFiC's alike (originals: .5). The squared error of single
    images hardly sees it, and a view at a random offset not at all; the mean over all cells of a batch sees nothing
    else.
    """
    batch, channels, height, width = image.shape
    rows, columns = height // period, width // period
    error = (reconstruction - image).float()[..., : rows * period, : columns * period]
    pattern = error.reshape(batch, channels, rows, period, columns, period).mean((0, 2, 4))
    return (pattern - pattern.mean((1, 2), keepdim=True)).square().mean()
