"""What the columns of tables and the axes of plots are called. A metric that is not here goes by its own name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hific.evaluation.measurement import Measurement


@dataclass(frozen=True)
class MetricColumn:
    """`higher_is_better` None: neither way, such as a count."""

    title: str
    digits: int = 3
    higher_is_better: bool | None = None

    @property
    def heading(self) -> str:
        """With an arrow towards better."""
        return self.title if self.higher_is_better is None else f"{self.title} {'↑' if self.higher_is_better else '↓'}"


METRIC_COLUMNS = {
    "psnr": MetricColumn("PSNR, dB", 2, True),
    "lpips_alex": MetricColumn("LPIPS-Alex", 3, False),
    "lpips_squeeze": MetricColumn("LPIPS-Squeeze", 3, False),
    "ms_ssim": MetricColumn("MS-SSIM", 3, True),
    "ssimulacra2": MetricColumn("SSIMULACRA2", 1, True),
    "butteraugli": MetricColumn("Butteraugli, 3-norm", 2, False),
    "vmaf": MetricColumn("VMAF", 1, True),
    "color_error": MetricColumn("color error, ΔE", 2, False),
    "ssim": MetricColumn("SSIM", 3, True),
    "mse": MetricColumn("MSE", 1, False),
    "fsimc": MetricColumn("FSIMc", 3, True),
    "dists": MetricColumn("DISTS", 3, False),
    "perceptual_loss": MetricColumn("perceptual loss", 3, False),
    "niqe": MetricColumn("NIQE", 2, False),
    "estimated_bpp": MetricColumn("estimated bpp", 4),
    "post_filtered_share": MetricColumn("share of filtered tiles", 3),
    "switch_accuracy": MetricColumn("switch accuracy", 3, True),
    "fid": MetricColumn("FID", 1, False),
    "kid": MetricColumn("KID", 4, False),
    "fid_patches": MetricColumn("FID patches", 0),
    "fd_alexnet": MetricColumn("fd_alexnet", 2, False),
    "fd_alexnet_patches": MetricColumn("fd_alexnet patches", 0),
}
KEY_METRICS = ("psnr", "lpips_alex", "lpips_squeeze", "ms_ssim", "color_error")
"""Of the first table: a distortion, two perceptual metrics of which one was never trained on, and the colors."""


def metric_column(name: str) -> MetricColumn:
    return METRIC_COLUMNS.get(name, MetricColumn(name))


def metric_names(rows: Iterable[Measurement]) -> list[str]:
    """Every metric of the rows, measured or absent, in the order of METRIC_COLUMNS; unknown ones come last."""
    found = {name: None for row in rows for name in (*row.metrics, *row.absent)}
    return [name for name in METRIC_COLUMNS if name in found] + [name for name in found if name not in METRIC_COLUMNS]


def measured_key_metrics(rows: Sequence[Measurement]) -> list[str]:
    """Those of the first table: a column without any number would say only that it is absent."""
    return [name for name in KEY_METRICS if any(name in row.metrics for row in rows)]


def absent_key_metrics(rows: Sequence[Measurement]) -> list[str]:
    """Those that no row has, though they were asked for."""
    return [name for name in KEY_METRICS if name in metric_names(rows) and name not in measured_key_metrics(rows)]
