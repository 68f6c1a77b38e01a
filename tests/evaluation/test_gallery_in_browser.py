"""The gallery of a real evaluation in a headless Chromium, opened from disk: one zoom for all pictures by mouse,
keyboard and touch, differences and maps that are right, a link that restores, no complaint, no request to a network."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from browser import accessibility_violations, choose, find, press, requests, resize, texts, touch
from evaluation.gallery_pictures import AT_HIGH, AT_LOW, DOT, HIGH, LOW, ODD, SCRIPT, WIDE, evaluate_photos, odd_photos
from skimage.metrics import structural_similarity

from hific.evaluation.folder import ORIGINAL, EvaluationFolder
from hific.evaluation.page.gallery import write_gallery

WIDTHS = [1280, 390]
SHORT = [LOW, "jpeg", "webp"]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluate_photos(odd_photos(), tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def gallery(evaluation: Path) -> Path:
    return write_gallery(evaluation).index


@pytest.fixture
def opened(chromium: Any, gallery: Path) -> Iterator[Any]:
    """The page anew, in a window of 1280; after each test nothing was complained of, and nothing was asked for but what
    lies in its folder."""
    resize(chromium, 1280)
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(gallery.as_uri())
    wait_for_pictures(chromium)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    assert all(address.startswith(gallery.parent.as_uri() + "/") for address in requests(chromium))


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def wait_for_pictures(driver: Any) -> None:
    """Until all that are in sight are there, and what lies over them."""
    until(
        lambda: driver.execute_script(
            "return [...document.querySelectorAll('.pane')].every((one) => one.classList.contains('ready') ? "
            "!one.ariaBusy || one.ariaBusy === 'false' : !one.querySelector('.state').textContent.includes('loading')"
            " && (one.querySelector('.state').textContent || one.getBoundingClientRect().top > innerHeight + 290))"
        )
    )


class Place(NamedTuple):
    scale: float
    x: float
    y: float


def place(driver: Any) -> Place:
    """Of the pictures in their frames, in pixels of the page: one for all."""
    found = driver.execute_script(
        "return [...document.querySelectorAll('.layers')].map((one) => getComputedStyle(one).transform)"
    )
    assert len(set(found)) == 1, found
    a, b, c, d, x, y = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", found[0]))
    assert a == d and b == c == 0
    return Place(a, x, y)


def in_photo(driver: Any, x: float, y: float) -> tuple[float, float]:
    """What of the photo is at a place of a frame, in its pixels."""
    now = place(driver)
    return (x - now.x) / now.scale, (y - now.y) / now.scale


def frame(driver: Any, at: int = 0) -> dict[str, float]:
    return driver.execute_script(
        "return document.querySelectorAll('.frame')[arguments[0]].getBoundingClientRect().toJSON()",
        at,
    )


def pixels(driver: Any, at: int) -> np.ndarray:
    """Of the map in a pane, uint8 [H, W, 3], read as the page itself could read it."""
    found, width = driver.execute_script(
        "const map = document.querySelectorAll('canvas.map')[arguments[0]];"
        "return [[...map.getContext('2d').getImageData(0, 0, map.width, map.height).data], map.width]",
        at,
    )
    return np.array(found, np.uint8).reshape(-1, width, 4)[..., :3]


def go_to(driver: Any, gallery: Path, link: str) -> None:
    driver.get("about:blank")
    driver.get(f"{gallery.as_uri()}#{link}")
    wait_for_pictures(driver)


@pytest.mark.parametrize("width", WIDTHS)
def test_photos_and_systems_are_chosen(opened: Any, width: int) -> None:
    resize(opened, width)
    assert texts(opened, "h1") == ["Odd & <photos>"] and texts(opened, ".pane h2") == ["original", *SHORT]
    assert texts(opened, "#systems .name") == ["original", *SHORT]
    find(opened, '#systems [data-system="2"]').click()
    assert texts(opened, ".pane h2") == ["original", LOW, "webp"]
    choose(opened, "#rate", "all rates")
    assert set(texts(opened, ".pane h2")) == {"original", *AT_LOW, *AT_HIGH} - {"jpeg <= " + LOW}
    find(opened, "#none").click()
    assert texts(opened, ".pane h2") == ["original"]
    find(opened, "#every").click()
    assert len(texts(opened, ".pane h2")) == 7
    assert find(opened, "#previous").get_property("disabled")
    find(opened, "#next").click()
    choose(opened, "#rate", find(opened, '#rate option[value="0"]').text)
    assert texts(opened, "#photo-count") == ["2 / 4"]
    wait_for_pictures(opened)
    assert texts(opened, ".state") == ["its picture was not kept", "not measured of this photo"]
    assert len(texts(opened, ".pane:nth-child(3) dd")) == 3 and not texts(opened, ".pane:nth-child(4) dd")
    opened.find_elements("css selector", "#strip button")[2].click()
    assert find(opened, "#photo").get_property("value") == "2"
    assert opened.execute_script("return document.documentElement.scrollWidth") == width


def test_numbers_are_those_of_the_rows(opened: Any, evaluation: Path) -> None:
    """All on a desktop, the first three on a phone until more are asked for."""
    from hific.evaluation.folder import read_rows

    row = next(row for row in read_rows(evaluation / "measurements.parquet") if (row.system, row.image) == (LOW, ODD))
    caption = find(opened, ".pane:nth-child(2) figcaption").text
    assert f"{row.num_bytes:,} bytes, {row.bpp:.4f} bpp" in caption
    assert f"{row.metrics['psnr']:.2f}" in caption and f"{row.metrics['ssim']:.3f}" in caption
    assert "note: a <note>" in caption
    assert "204,000 bytes raw, 340 × 200" in find(opened, ".pane figcaption").text
    find(opened, "#every-number").click()
    assert "note" not in find(opened, ".pane:nth-child(2) figcaption").text


def test_the_mouse_zooms_and_moves_all_pictures_alike(opened: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    box = frame(opened, 1)
    fit = place(opened)
    assert fit.scale == pytest.approx(box["width"] / 340, rel=0.01) and abs(fit.x) < 1 and abs(fit.y) < 1
    second = opened.find_elements("css selector", ".frame")[1]
    before = in_photo(opened, box["width"] / 2 + 40, box["height"] / 2 + 20)
    ActionChains(opened).scroll_from_origin(ScrollOrigin.from_element(second, 40, 20), 0, -600).perform()
    now = place(opened)
    assert now.scale > 2.5 * fit.scale
    assert in_photo(opened, box["width"] / 2 + 40, box["height"] / 2 + 20) == pytest.approx(before, abs=1)
    ActionChains(opened).drag_and_drop_by_offset(second, -30, 10).perform()
    assert place(opened) == pytest.approx((now.scale, now.x - 30, now.y + 10), abs=1)
    for _ in range(4):  # the photo's corner stays in the frame's
        ActionChains(opened).drag_and_drop_by_offset(second, -250, 150).perform()
    corner = place(opened)
    assert (corner.x, corner.y) == pytest.approx((box["width"] - 340 * now.scale, 0), abs=1)
    find(opened, "#exact").click()
    assert place(opened).scale == 1 and texts(opened, "#scale") == ["100 %"]
    find(opened, "#larger").click()
    assert place(opened).scale == 2
    find(opened, "#fit").click()
    assert place(opened) == pytest.approx(tuple(fit), abs=0.01)
    # what does not enlarge scrolls the page, and goes on scrolling it
    resize(opened, 390)
    third = opened.find_elements("css selector", ".frame")[0]
    ActionChains(opened).scroll_from_origin(ScrollOrigin.from_element(third), 0, 200).perform()
    until(lambda: opened.execute_script("return scrollY") > 0)
    assert texts(opened, "#fit[aria-pressed=true]") == ["fit"]


def test_the_keyboard_does_all_of_it(opened: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    fit, box = place(opened), frame(opened)
    middle = box["width"] / 2, box["height"] / 2
    seen = in_photo(opened, *middle)
    press(opened, "#stage", "+", "+", "+")
    assert place(opened).scale == 3 and in_photo(opened, *middle) == pytest.approx(seen, abs=0.5)
    now = place(opened)
    press(opened, "#stage", Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    step = min(box["width"], box["height"]) / 8
    assert place(opened) == pytest.approx((3, now.x - step, now.y - step), abs=1)
    press(opened, "#stage", "-")
    assert place(opened).scale == 2
    press(opened, "#stage", "1")
    assert place(opened).scale == 1
    press(opened, "#stage", "0")
    assert place(opened) == pytest.approx(tuple(fit), abs=0.01)
    ActionChains(opened).key_down("o").perform()
    assert find(opened, "#stage.holding .ready .original").is_displayed()
    ActionChains(opened).key_up("o").perform()
    assert not opened.find_elements("css selector", "#stage.holding")
    press(opened, "#stage", "n")
    assert texts(opened, "#photo-count") == ["2 / 4"]
    press(opened, "#stage", "p", "p")
    assert texts(opened, "#photo-count") == ["1 / 4"]
    press(opened, 'input[name="view"]', Keys.ARROW_RIGHT)
    press(opened, "#cut", *[Keys.ARROW_RIGHT] * 10)
    assert cut(opened) == pytest.approx(0.6 * frame(opened)["width"], abs=1)


def cut(driver: Any) -> float:
    """Where the divider cuts, in pixels of the frame."""
    shown = driver.execute_script("return getComputedStyle(document.querySelector('.top')).clipPath")
    now = place(driver)
    return now.x + now.scale * float(shown.removeprefix("inset(").removesuffix(")").split()[-1].removesuffix("px"))


def test_fingers_pinch_move_hold_and_slide(opened: Any) -> None:
    resize(opened, 390)
    opened.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    try:
        opened.execute_script("document.querySelector('.frame').scrollIntoView({ block: 'center' })")
        wait_for_pictures(opened)
        box, fit = frame(opened), place(opened)
        x, y = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
        touch(opened, [[(x - 10 - 5 * at, y) for at in range(5)], [(x + 10 + 5 * at, y) for at in range(5)]])
        now = place(opened)
        assert now.scale == pytest.approx(3 * fit.scale, rel=0.02)
        touch(opened, [[(x + 5 * at, y - 4 * at) for at in range(6)]])
        assert place(opened) == pytest.approx((now.scale, now.x + 25, now.y - 20), abs=1)
        touch(opened, [[(x, y)]])
        assert not opened.find_elements("css selector", "#stage.holding")
        held = {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
        opened.execute_cdp_cmd("Input.dispatchTouchEvent", held)
        until(lambda: opened.find_elements("css selector", "#stage.holding"))
        opened.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        until(lambda: not opened.find_elements("css selector", "#stage.holding"))
        find(opened, "#fit").click()
        # where it fits a finger scrolls the page
        before = opened.execute_script("return scrollY")
        opened.execute_cdp_cmd("Input.synthesizeScrollGesture", {"x": x, "y": y, "yDistance": -60})
        until(lambda: opened.execute_script("return scrollY") > before)
        find(opened, 'input[value="slider"]').click()
        opened.execute_script("document.querySelector('.frame').scrollIntoView({ block: 'center' })")
        wait_for_pictures(opened)
        box = frame(opened)
        middle = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
        touch(opened, [[middle, (middle[0] + 40, middle[1]), (middle[0] + 80, middle[1])]])
        assert cut(opened) == pytest.approx(box["width"] / 2 + 80, abs=3)
    finally:
        opened.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_the_slider_moves_and_stays_where_it_is_when_zoomed(opened: Any) -> None:
    from selenium.webdriver import ActionChains

    find(opened, 'input[value="slider"]').click()
    wait_for_pictures(opened)
    width = frame(opened)["width"]
    assert texts(opened, ".side") == ["original", LOW] and cut(opened) == pytest.approx(width / 2, abs=1)
    ActionChains(opened).drag_and_drop_by_offset(find(opened, ".divider span"), 120, 0).perform()
    assert cut(opened) == pytest.approx(width / 2 + 120, abs=3)
    press(opened, "#stage", "+", "+")
    assert cut(opened) == pytest.approx(width / 2 + 120, abs=3)
    choose(opened, "#compared", "jpeg")
    assert texts(opened, ".side") == ["original", "jpeg"] and len(texts(opened, ".pane")) == 1


def test_the_original_is_held_and_flickers(opened: Any) -> None:
    from selenium.webdriver import ActionChains

    second = opened.find_elements("css selector", ".frame")[1]
    shown = "return getComputedStyle(document.querySelectorAll('.top')[1]).visibility"
    for element in (second, find(opened, "#hold")):
        ActionChains(opened).move_to_element(element).click_and_hold().perform()
        until(lambda: opened.execute_script(shown) == "hidden")
        ActionChains(opened).release().perform()
        assert opened.execute_script(shown) == "visible"
    find(opened, "#flicker").click()
    until(lambda: opened.execute_script(shown) == "hidden")
    until(lambda: opened.execute_script(shown) == "visible")
    find(opened, "#flicker").click()
    time.sleep(0.8)
    assert opened.execute_script(shown) == "visible"


@pytest.mark.parametrize("name", [ODD, DOT, WIDE])
def test_differences_and_maps_are_right(opened: Any, evaluation: Path, gallery: Path, name: str) -> None:
    folder = EvaluationFolder(evaluation)
    original = folder.read_reconstruction(ORIGINAL, name)
    choose(opened, "#photo", name)
    find(opened, 'input[value="difference"]').click()
    for gain in (8, 1):
        choose(opened, "#gain", f"× {gain}")
        wait_for_pictures(opened)
        for at, system in enumerate(AT_LOW, start=1):
            apart = np.abs(original.astype(int) - folder.read_reconstruction(system, name))
            np.testing.assert_array_equal(pixels(opened, at), np.minimum(255, gain * apart))
    assert not find(opened, ".pane canvas").is_displayed()  # the original is shown as it is
    if min(original.shape[:2]) < 11:  # no window of the reference lies inside of it
        return
    find(opened, 'input[value="ssim"]').click()
    wait_for_pictures(opened)
    luma = [np.dot(one, (0.299, 0.587, 0.114)) for one in (original, folder.read_reconstruction(AT_LOW[1], name))]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    full = structural_similarity(*luma, data_range=255, full=True, **options)[1]
    stops = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])
    share = np.clip(1 - full, 0, 1)
    expected = np.stack([np.interp(share, np.linspace(0, 1, 5), stops[:, color]) for color in range(3)], axis=-1)
    assert np.abs(pixels(opened, 2) - expected).max() <= 2


@pytest.mark.parametrize("width", WIDTHS)
def test_a_link_restores_what_was_shown(opened: Any, gallery: Path, width: int) -> None:
    resize(opened, width)
    choose(opened, "#photo", SCRIPT)
    choose(opened, "#rate", find(opened, '#rate option[value="1"]').text)
    find(opened, '#systems [data-system="-1"]').click()
    find(opened, 'input[value="difference"]').click()
    choose(opened, "#gain", "× 16")
    press(opened, "#stage", "+", "+")
    box = frame(opened)
    seen = in_photo(opened, box["width"] / 2, box["height"] / 2)
    wait_for_pictures(opened)
    now, shown = place(opened), texts(opened, ".pane h2")
    until(lambda: "zoom=" in opened.current_url)
    link = opened.current_url
    opened.get("about:blank")
    opened.get(link)
    wait_for_pictures(opened)
    assert find(opened, "#photo").get_property("value") == "1" and texts(opened, ".pane h2") == shown == [
        HIGH,
        *SHORT[1:],
    ]
    assert place(opened) == pytest.approx(tuple(now), abs=0.5)
    assert in_photo(opened, box["width"] / 2, box["height"] / 2) == pytest.approx(seen, abs=0.5)
    assert find(opened, "#gain").get_property("value") == "16" and find(opened, "#gain").is_displayed()
    find(opened, 'input[value="slider"]').click()
    choose(opened, "#compared", "webp")
    press(opened, "#cut", "\ue010", "\ue012")  # to its end, one back
    until(lambda: "cut=99" in opened.current_url)
    opened.get("about:blank")
    opened.back()
    wait_for_pictures(opened)
    assert find(opened, "#cut").get_property("value") == "99" and texts(opened, ".side") == ["original", "webp"]
    go_to(opened, gallery, "photo=gone&system=nobody&zoom=x&at=5,y&layer=no&gain=3&cut=&rate=none")
    assert texts(opened, "#link-note") == ["The link names what is not here: gone, none, nobody."]
    assert texts(opened, "#photo-count") == ["1 / 4"] and not texts(opened, ".pane")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_each_state_is_accessible_and_fits_its_window(opened: Any, gallery: Path, width: int, scheme: str) -> None:
    resize(opened, width)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    for link in ("", "photo=dot&rate=all&layer=difference", f"photo=wide&compared={LOW}&layer=ssim", "system="):
        go_to(opened, gallery, link)
        opened.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
        assert opened.execute_script("return document.documentElement.scrollWidth") == width
        assert accessibility_violations(opened) == []
        small = opened.execute_script(
            "return [...document.querySelectorAll('button, select, .segments label')].filter((one) => "
            "one.checkVisibility() && one.getBoundingClientRect().height < 24).map((one) => one.outerHTML)"
        )
        assert small == []


def test_a_picture_that_is_lost_is_said_where_it_would_be(chromium: Any, evaluation: Path, tmp_path: Path) -> None:
    resize(chromium, 1280)
    index = write_gallery(evaluation, tmp_path / "gallery").index
    (index.parent / "pictures" / "0001.js").unlink()
    chromium.get(index.as_uri())
    until(lambda: texts(chromium, ".state") == ["this picture cannot be shown: its file is missing beside this page"])
    assert len(chromium.find_elements("css selector", ".pane.ready")) == 3
    chromium.get_log("browser")


@pytest.mark.slow
def test_large_photos_are_shown_and_compared(chromium: Any, tmp_path: Path) -> None:
    """12 MP: a map of them too, while the page goes on answering."""
    large = np.tile(odd_photos()[ODD], (15, 12, 1))[:3000, :4000]
    index = write_gallery(evaluate_photos({"large": large}, tmp_path / "evaluation", AT_LOW)).index
    resize(chromium, 1280)
    chromium.get(index.as_uri())
    until(lambda: len(chromium.find_elements("css selector", ".pane.ready")) == 4, 120)
    for layer in ("difference", "ssim"):
        find(chromium, f'input[value="{layer}"]').click()
        find(chromium, "#larger").click()
        until(lambda: len(chromium.find_elements("css selector", "canvas.map:not([hidden])")) == 3, 120)
    assert place(chromium).scale > 0.1 and chromium.get_log("browser") == []
    top = pixels_at(chromium, 1, 3999, 2999)
    folder = EvaluationFolder(tmp_path / "evaluation")
    find(chromium, 'input[value="difference"]').click()
    until(lambda: pixels_at(chromium, 1, 3999, 2999) != top, 120)
    apart = np.abs(large[2999, 3999].astype(int) - folder.read_reconstruction(LOW, "large")[2999, 3999])
    until(lambda: pixels_at(chromium, 1, 3999, 2999) == np.minimum(255, 8 * apart).tolist(), 120)


def pixels_at(driver: Any, at: int, x: int, y: int) -> list[int]:
    return driver.execute_script(
        "return [...document.querySelectorAll('canvas.map')[arguments[0]].getContext('2d')"
        ".getImageData(arguments[1], arguments[2], 1, 1).data].slice(0, 3)",
        at,
        x,
        y,
    )
