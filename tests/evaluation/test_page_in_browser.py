"""report.html of a real evaluation in a headless Chromium, opened from disk: it draws, answers to pointer and keyboard,
fits a phone, and asks no network for anything."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from browser import choose, find, press, requests, resize, scroll_to, texts

from hific.codecs.pillow_codecs import PillowCodec, PillowFamily
from hific.evaluation.codecs_under_test import EncodeSpec, FixedCodec
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.page.redraw import write_page
from hific.evaluation.report import ReportContext
from hific.evaluation.run import measure_all
from hific.metrics.fidelity import MSE, PSNR

ODD = "<b>face & 'suit\"</b>"
SYSTEMS = ["j2k low", "j2k high", "jpeg <= j2k low", "webp <= j2k low", "jpeg <= j2k high", "webp <= j2k high"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos through real codecs, both sizes around the bytes of JPEG2000 at two rates."""
    photo = skimage.data.astronaut()
    photos = {ODD: photo[:200, 100:440], "rocket": photo[200:440, 60:260]}
    images = [EvaluationImage(name, partial(np.array, pixels)) for name, pixels in photos.items()]
    learned = [
        FixedCodec(f"j2k {name}", EncodeSpec(PillowCodec("jpeg2000", step), setting=name, fingerprint="ab"))
        for name, step in (("low", 1120), ("high", 1250))
    ]
    folder = EvaluationFolder(tmp_path_factory.mktemp("evaluation"), keep=set(photos))
    names = [one.name for one in learned]
    families = [PillowFamily("jpeg"), PillowFamily("webp")]
    rows = measure_all(learned, families, names, images, Metrics([PSNR(), MSE()]), folder, both_sides=True)
    context = ReportContext("Two photos", "bundled", {"j2k": {"steps": 0}}, ["nothing was trained."])
    return write_page(rows, context, folder.root)[0]


@pytest.fixture
def opened(chromium: Any, page: Path) -> Iterator[Any]:
    """The page anew, in a window of 1280; after each test nothing was complained of and nothing was asked for."""
    resize(chromium, 1280)
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(page.as_uri())
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    assert requests(chromium) == {page.as_uri()}


def test_curves_have_every_system(opened: Any) -> None:
    visible = "#curves .curve-of:not([hidden]) svg.of-means.wide"
    assert len(opened.find_elements("css selector", f"{visible} .marker")) == len(SYSTEMS)
    # the two of JPEG2000 differ in their rate alone
    series = opened.find_elements("css selector", f"{visible} .series")
    assert texts(opened, ".legend .name") == ["j2k", "jpeg", "webp"] and len(series) == 3
    assert find(opened, visible).is_displayed()
    assert not find(opened, "#curves .curve-of:not([hidden]) svg.of-means.narrow").is_displayed()
    choose(opened, "#curve-metric", "MSE ↓")
    assert find(opened, '.curve-of[data-metric="1"] svg.of-means.wide').is_displayed()
    find(opened, "#curve-images").click()
    each = '.curve-of[data-metric="1"] svg.of-images.wide'
    assert find(opened, each).is_displayed() and not find(opened, '.curve-of[data-metric="1"] .of-means').is_displayed()
    assert len(opened.find_elements("css selector", f"{each} circle")) == 2 * len(SYSTEMS)
    places = opened.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(({ cx, cy }) => [cx.baseVal.value, cy.baseVal.value])",
        f"{each} circle",
    )
    assert all(62 <= x <= 946 and 30 <= y <= 386 for x, y in places)  # inside of the axes
    find(opened, '.legend [data-series="0"]').click()
    assert not opened.find_elements("css selector", f'{each} [data-series="0"]:not(.off)')


def test_tooltips_follow_the_pointer_and_the_keys(opened: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    tooltip, svg = find(opened, "#tooltip"), "#curves .curve-of:not([hidden]) svg.of-means.wide"
    assert not tooltip.is_displayed()
    scroll_to(opened, "#curves")
    ActionChains(opened).move_to_element(find(opened, f"{svg} .marker")).perform()
    assert tooltip.is_displayed() and "j2k low: " in tooltip.text and "PSNR, dB" in tooltip.text
    ActionChains(opened).move_to_element(find(opened, "#curves h2")).perform()
    assert not tooltip.is_displayed()
    seen = []
    for _ in SYSTEMS:
        press(opened, svg, Keys.ARROW_RIGHT)
        seen.append(tooltip.text)
        assert find(opened, "#told").get_attribute("textContent") == tooltip.text
    assert sorted(text.partition(":")[0] for text in seen) == sorted(SYSTEMS)
    press(opened, svg, Keys.ESCAPE)
    assert not tooltip.is_displayed()


def clip(driver: Any) -> float:
    """Pixels of the upper picture that are cut away on the left."""
    shown: str = driver.execute_script("return getComputedStyle(document.getElementById('after')).clipPath")
    return float(shown.removeprefix("inset(").removesuffix(")").split()[-1].removesuffix("px"))


def test_the_divider_moves_by_pointer_and_by_keyboard(opened: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    width = find(opened, "#pane").size["width"]
    assert width == 340 and clip(opened) == pytest.approx(width / 2, abs=1)
    press(opened, "#cut", *[Keys.ARROW_RIGHT] * 10)
    assert clip(opened) == pytest.approx(0.6 * width, abs=1)
    press(opened, "#cut", Keys.HOME)
    assert clip(opened) == 0
    ActionChains(opened).move_to_element_with_offset(find(opened, "#pane"), -75, 20).click().perform()
    assert clip(opened) == pytest.approx(width / 2 - 75, abs=2)
    ActionChains(opened).drag_and_drop_by_offset(find(opened, "#divider span"), 120, 0).perform()
    assert clip(opened) == pytest.approx(width / 2 + 45, abs=3)
    assert find(opened, "#cut").get_attribute("value") == "63"


def test_pictures_systems_and_zoom_are_chosen(opened: Any) -> None:
    assert texts(opened, "#captions thead th")[1:] == ["original", "j2k low"]
    first = find(opened, "#after").get_attribute("src")
    choose(opened, "#picture-left", "jpeg <= j2k high")
    choose(opened, "#picture-right", "webp <= j2k high")
    shown = dict(
        zip(texts(opened, "#captions tbody th"), texts(opened, "#captions tbody tr td:nth-child(3)"), strict=True)
    )
    assert {"bytes", "bpp", "PSNR, dB\xa0↑", "MSE\xa0↓"} <= set(shown) and all(shown.values())
    assert find(opened, "#after").get_attribute("src") != first
    assert len(opened.find_elements("css selector", "#captions td.best")) == 2
    find(opened, "#picture-swap").click()
    assert texts(opened, ".side") == ["webp <= j2k high", "jpeg <= j2k high"]
    choose(opened, "#picture-image", "rocket")
    assert texts(opened, "#captions thead th")[0] == "rocket"
    for zoom, factor in ((1, 1), (2, 2), (0, 1.6)):  # what is smaller than 320 is not shown so small
        find(opened, f'input[name="zoom"][value="{zoom}"]').click()
        sizes = [find(opened, name).size for name in ("#before", "#after")]
        assert sizes == [{"width": 200 * factor, "height": 240 * factor}] * 2


def test_the_divider_stays_in_sight_where_an_enlarged_picture_is_scrolled(opened: Any) -> None:
    resize(opened, 390)
    find(opened, 'input[name="zoom"][value="2"]').click()
    width = opened.execute_script("return document.getElementById('pane').clientWidth")
    assert 300 < width < 390 and clip(opened) == pytest.approx(width / 2, abs=1)
    opened.execute_async_script(
        "const pane = document.getElementById('pane'); pane.addEventListener('scroll', () => requestAnimationFrame("
        "() => arguments[0]()), { once: true }); pane.scrollLeft = 150"
    )
    assert clip(opened) == pytest.approx(width / 2 + 150, abs=1)


def test_the_reference_of_the_table_is_chosen(opened: Any) -> None:
    options = [one.get_attribute("textContent") for one in opened.find_elements("css selector", "#reference option")]
    assert options == ["jpeg", "webp", "the learned system of the same bytes"]
    of_learned = texts(opened, ".main .learned .difference")
    assert len(of_learned) == 2 * 2 and all(text.split()[0] in "✓✗≈" for text in of_learned)
    assert not texts(opened, ".main tbody tr:not(.learned) .difference")
    choose(opened, "#reference", options[2])
    assert not texts(opened, ".main .learned .difference")
    assert len(texts(opened, ".main tbody tr:not(.learned) .difference")) == 4 * 2


def test_rows_are_filtered_and_sorted(opened: Any) -> None:
    count = find(opened, "#filter-count")
    assert count.text == "12 of 12 rows"
    find(opened, "#filter-image").send_keys('SUIT"</B')
    assert count.text == "6 of 12 rows" and set(texts(opened, "#rows tbody th")) == {ODD}
    choose(opened, "#filter-system", "webp <= j2k high")
    assert count.text == "1 of 12 rows"
    choose(opened, "#filter-system", "all")
    find(opened, "#filter-image").clear()
    find(opened, "#filter-image").send_keys("o", "\b")
    header = find(opened, "#rows thead th:nth-child(3) button")
    for order, name in ((1, "ascending"), (-1, "descending")):
        header.click()
        sizes = [int(text.replace(",", "")) for text in texts(opened, "#rows tbody td:nth-child(3)")]
        assert len(sizes) == 12 and sizes == sorted(sizes)[::order]
        assert find(opened, "#rows thead th:nth-child(3)").get_attribute("aria-sort") == name


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_never_wider_than_its_window(opened: Any, width: int, scheme: str) -> None:
    resize(opened, width)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    opened.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    assert opened.execute_script("return document.documentElement.scrollWidth") == width
    paper = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(15, 20, 25)")
    small = opened.execute_script(
        "return [...document.querySelectorAll('main *')].filter((one) => one.checkVisibility() && "
        "[...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).filter((one) => "
        "parseFloat(getComputedStyle(one).fontSize) * (one.getScreenCTM?.().a ?? 1) < 11.5)"
        ".map((one) => one.textContent)"
    )
    assert small == []


def test_every_control_has_a_name_and_takes_the_focus(opened: Any) -> None:
    nameless = opened.execute_script(
        "return [...document.querySelectorAll('input, select, button, [tabindex=\"0\"]')].filter((one) => "
        "!(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML)"
    )
    assert nameless == []


def test_what_is_put_into_the_page_cannot_ask_the_network_either(chromium: Any, page: Path) -> None:
    chromium.get(page.as_uri())
    for log in ("browser", "performance"):
        chromium.get_log(log)
    blocked = chromium.execute_async_script(
        "const done = arguments[0]; const found = [];"
        "document.addEventListener('securitypolicyviolation', (event) => {"
        "  found.push(event.effectiveDirective); if (found.length === 3) done(found.sort()); });"
        "document.body.append(Object.assign(new Image(), { src: 'https://example.invalid/x.png' }));"
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
        "document.body.append(script); fetch('https://example.invalid/').catch(() => {});"
    )
    assert blocked == ["connect-src", "img-src", "script-src-elem"]
    assert chromium.execute_script("return window.ran") is None and requests(chromium) == set()
