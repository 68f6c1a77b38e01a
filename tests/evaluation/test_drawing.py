"""Panels and plots show every system, true pixels and bytes; what is drawn is a pure function of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from hific.codecs.pillow_codecs import PillowCodec
from hific.evaluation.codecs_under_test import NOT_DECODABLE, EncodeSpec, FixedCodec
from hific.evaluation.evaluate import EvaluationImage, evaluate_system
from hific.evaluation.folder import EvaluationFolder
from hific.evaluation.measurement import Measurement
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.panel import GAP, MARGIN, PanelCell, Zoom, draw_panel, encode_panel, in_rows, panel_cells
from hific.evaluation.plots import metric_bars, metric_by_epoch, rate_metric_curves, save_figure
from hific.metrics.fidelity import PSNR

MakeRow = Callable[..., Measurement]


@pytest.fixture(scope="module")
def noise() -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (200, 300, 3), np.uint8) for seed in range(6)]


def test_each_cell_has_a_caption_with_name_bytes_and_metrics(make_row: MakeRow, picture: np.ndarray) -> None:
    row = make_row(
        "webp", num_bytes=12345, scale=2, metrics={"psnr": 23.456, "ms_ssim": 0.5}, note="above the byte limit"
    )
    original, cell = panel_cells(picture, [(row, picture)])
    assert original.title == "original" and "90x60 pixels" in original.lines
    assert cell.title == "webp"
    assert cell.lines[0] == f"12,345 bytes, {row.bpp:.4f} bpp"
    assert {"PSNR 23.46 dB", "MS-SSIM 0.500", "coded at 1/2 size", "above the byte limit"} <= set(cell.lines)


def test_a_metric_that_one_system_lacks_is_absent_in_its_caption(make_row: MakeRow, picture: np.ndarray) -> None:
    cells = panel_cells(picture, [(make_row("a"), picture), (make_row("b", metrics={}), picture)])
    assert "PSNR absent" in cells[2].lines


def test_the_enlarged_crop_repeats_pixels_and_interpolates_nothing(noise: list[np.ndarray]) -> None:
    cells = [PanelCell(str(number), (), pixels) for number, pixels in enumerate(noise)]
    panel = np.asarray(draw_panel(cells, cell_width=120, zoom=Zoom(0.5, 0.5, 3), columns=3))
    top = MARGIN + 80 + GAP  # below the whole image, 300x200 drawn at 120x80
    for place, pixels in enumerate(noise[:3]):
        left = MARGIN + place * (120 + MARGIN)
        shown = panel[top : top + 90, left : left + 120]
        np.testing.assert_array_equal(shown, pixels[85:115, 130:170].repeat(3, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize("center", [(0, 0), (1, 1), (0.5, 0.2)])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (500, 2), (40, 40)])
def test_any_image_and_any_center_can_be_drawn(center: tuple[float, float], size: tuple[int, int]) -> None:
    cells = [PanelCell("a", ("b",), np.zeros((*size, 3), np.uint8))] * 2
    assert draw_panel(cells, zoom=Zoom(*center)).width > 0


def test_a_panel_keeps_below_its_limit_by_narrower_cells_with_all_colors(noise: list[np.ndarray]) -> None:
    cells = [PanelCell(str(number), ("text",), pixels) for number, pixels in enumerate(noise)]
    wide, small = (encode_panel(cells, max_bytes=limit) for limit in (10**7, 700_000))
    assert len(small) <= 700_000 < len(wide)
    with Image.open(BytesIO(small)) as panel:
        assert panel.mode == "RGB"


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4), (9, 3)])
def test_the_last_row_is_as_full_as_can_be(count: int, columns: int, picture: np.ndarray) -> None:
    panel = draw_panel([PanelCell("a", (), picture)] * count, cell_width=30, zoom=Zoom())
    assert panel.width == MARGIN + columns * (30 + MARGIN)


def test_codecs_at_several_systems_bytes_stand_in_those_systems_rows(picture: np.ndarray) -> None:
    names = ["original", "low", "high", "jpeg <= low", "jpeg <= high", "webp <= high"]
    cells = [PanelCell(name, (), picture) for name in names]
    placed, columns = in_rows(cells)
    titles = [None if cell is None else cell.title for cell in placed]
    assert columns == 4
    assert titles == ["original", "low", "jpeg", None, None, "high", "jpeg", "webp"]
    assert draw_panel(cells, cell_width=30, zoom=Zoom()).width == MARGIN + 4 * (30 + MARGIN)
    assert in_rows(cells[:4]) == (cells[:4], None), "at one system's bytes they fill rows as they come"


def test_long_labels_stay_inside_their_cell(picture: np.ndarray) -> None:
    short, long = (
        draw_panel([PanelCell("a", (text,), picture), PanelCell("b", (), picture)], zoom=Zoom())
        for text in ("", "m" * 300)
    )
    right = MARGIN + picture.shape[1]
    np.testing.assert_array_equal(np.asarray(short)[:, right + 1 :], np.asarray(long)[:, right + 1 :])


def test_systems_that_differ_in_rate_alone_are_joined(make_row: MakeRow) -> None:
    learned = {"codec": "sae", "setting": "context", "fingerprint": "ab"}
    rows = [make_row("low", num_bytes=100, **learned), make_row("high", num_bytes=200, **learned)]
    rows += [make_row("top-left", num_bytes=200, **{**learned, "setting": "context, top_left"}), make_row("jpeg")]
    axis = rate_metric_curves(rows, ["psnr"]).axes[0]
    assert [len(line.get_xdata()) for line in axis.get_lines()] == [2, 1, 1]
    assert axis.get_xscale() == "linear"
    assert rate_metric_curves([*rows, make_row("swwae", num_bytes=10**6)], ["psnr"]).axes[0].get_xscale() == "log"


def test_the_legend_tells_a_bound_from_its_base(picture: np.ndarray, tmp_path: Path) -> None:
    base = FixedCodec("a", EncodeSpec(PillowCodec("jpeg", 40), fingerprint="ab"))
    setting = "quality 40, oracle switches"
    spec = replace(base.fixed, reconstruct=Image.fromarray, setting=setting, note=NOT_DECODABLE)
    bound = FixedCodec("a, oracle switches", spec)
    image, metrics = EvaluationImage("x", lambda: picture), Metrics([PSNR()])
    rows = [row for one in (base, bound) for row in evaluate_system(one, [image], metrics, EvaluationFolder(tmp_path))]
    labels = [str(line.get_label()) for line in rate_metric_curves(rows, ["psnr"]).axes[0].get_lines()]
    assert labels == ["jpeg, quality 40", "jpeg, quality 40, oracle switches, not decodable at these bytes"]


def test_a_missing_bar_is_labelled_absent(make_row: MakeRow) -> None:
    figure = metric_bars([make_row("a"), make_row("b", metrics={})], ["psnr"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["25.00", "absent"]


def test_a_bar_is_pale_where_a_note_says_that_it_cannot_be_compared(make_row: MakeRow) -> None:
    bars = metric_bars([make_row("a"), make_row("b", note=NOT_DECODABLE)], ["psnr"]).axes[0].patches
    assert bars[0].get_alpha() == 1.0 > (bars[1].get_alpha() or 0)
    assert [bar.get_width() for bar in bars] == [25.0, 25.0]


def test_figures_are_saved_as_png_and_svg_and_repeat_exactly(make_row: MakeRow, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_figure(metric_bars([make_row()], ["psnr"]), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("name", ["sae", "hific-xgboost-medium, xgboost, effort 60"])
def test_a_metric_without_points_has_no_axis_and_names_stay_inside(name: str) -> None:
    series = {f"{name} {number}": {"fid": [], "fd_alexnet": [(0.5, 3.0), (1.0, 2.0)]} for number in range(5)}
    figure = metric_by_epoch(series, ["fid", "fd_alexnet"])
    FigureCanvasAgg(figure).draw()
    (axis,), (legend,) = figure.axes, figure.legends
    assert len(axis.lines) == 5 and "fd_alexnet" in axis.get_ylabel()
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
