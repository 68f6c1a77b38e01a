"""Whole sessions in a headless Chromium, by keyboard and by touch, at a desktop's and a phone's width: votes are the
clicks, pictures stand pixel by pixel, nothing is complained of, and nobody else is asked for anything."""

from __future__ import annotations

import base64
import io
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import accessibility_violations, find, open_chromium, requests
from PIL import Image
from studies import Server, serving

from hific.study.manifest import picture_path, read_manifest
from hific.study.sessions import plan_session
from hific.study.votes import VoteStore

DESKTOP, PHONE = (1280, 800, 1.0), (390, 844, 2.0)


@pytest.fixture(scope="module")
def folder(made_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(made_study, tmp_path_factory.mktemp("browser") / "study"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from open_chromium(tmp_path_factory.mktemp("profile"), "--force-color-profile=srgb")


@pytest.fixture
def browser(chromium: Any, server: Server) -> Iterator[Any]:
    """After each test nothing was complained of, and only the server was asked."""
    for log in ("browser", "performance"):
        chromium.get_log(log)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    assert {address for address in requests(chromium) if not address.startswith(server.address)} == set()


def open_at(driver: Any, address: str, size: tuple[int, int, float], *, touch: bool) -> None:
    """`size`: width, height, device pixels to one of them; no width: what the browser has."""
    width, height, ratio = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": touch}
    if width:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})
    driver.get(address)
    wait(driver, "return !document.getElementById('welcome').hidden || !document.getElementById('trial').hidden")


def wait(driver: Any, script: str) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(driver, 30, poll_frequency=0.02).until(lambda one: one.execute_script(script))


def await_trial(driver: Any, number: int) -> None:
    """Until it can be judged, or the session is done."""
    wait(
        driver,
        "const one = (id) => document.getElementById(id); return !one('done').hidden || (!one('trial').hidden && "
        f"!one('trial').classList.contains('loading') && one('count').textContent.startsWith('{number + 1} '))",
    )


def keys(driver: Any, *pressed: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(driver).send_keys(*pressed).perform()


def is_looking(driver: Any) -> bool:
    """Whether the original is seen in place of both."""
    shown = [find(driver, f"#under-{side}").is_displayed() for side in "ab"]
    assert shown[0] == shown[1]
    labels = [find(driver, f"#label-{side}").text for side in "ab"]
    assert labels == (["original"] * 2 if shown[0] else ["A", "B"])
    return shown[0]


class Keyboard:
    """Nothing but keys, from the first page on."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def begin(self) -> None:
        from selenium.webdriver import Keys

        for _ in range(9):
            keys(self.driver, Keys.TAB)
            if self.driver.switch_to.active_element.get_attribute("id") == "begin":
                return keys(self.driver, Keys.ENTER)
        raise AssertionError("the button to begin is not reached by Tab")

    def look(self) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).key_down(" ").perform()
        assert is_looking(self.driver)
        ActionChains(self.driver).key_up(" ").perform()

    def answer(self, side: str) -> None:
        from selenium.webdriver import Keys

        keys(self.driver, {"a": Keys.ARROW_LEFT, "b": Keys.ARROW_RIGHT}[side], Keys.ENTER)


class Touch:
    """Fingers on the screen, of which the browser makes what it makes of them on a phone."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def place(self, name: str) -> tuple[float, float]:
        left, top = self.driver.execute_script(
            "const one = document.getElementById(arguments[0]); one.scrollIntoView({ block: 'nearest' }); "
            "const { x, y, width, height } = one.getBoundingClientRect(); return [x + width / 2, y + height / 2]",
            name,
        )
        return left, top

    def down(self, name: str) -> None:
        left, top = self.place(name)
        points = [{"x": left, "y": top}]
        self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points})

    def up(self) -> None:
        self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def tap(self, name: str) -> None:
        """In one command: between two of them a busy machine takes as long as a finger that is held."""
        from selenium.webdriver.common.action_chains import ActionBuilder
        from selenium.webdriver.common.actions.pointer_input import PointerInput

        left, top = map(round, self.place(name))
        actions = ActionBuilder(self.driver, mouse=PointerInput("touch", "finger"))
        actions.pointer_action.move_to_location(left, top).pointer_down().pointer_up()
        actions.perform()

    def begin(self) -> None:
        self.tap("begin")

    def look(self) -> None:
        """A finger held on a picture chooses nothing."""
        before = find(self.driver, "#confirm").is_enabled()
        self.down("figure-b")
        wait(self.driver, "return document.getElementById('stage').classList.contains('looking')")
        assert is_looking(self.driver)
        self.up()
        wait(self.driver, "return !document.getElementById('stage').classList.contains('looking')")
        assert find(self.driver, "#confirm").is_enabled() == before

    def answer(self, side: str) -> None:
        self.tap(f"figure-{side}")
        wait(self.driver, "return !document.getElementById('confirm').disabled")
        self.tap("confirm")


def votes_of(folder: Path, code: str) -> tuple[list[Any], list[Any]]:
    """Votes, and the trials of the session."""
    manifest, manifest_hash = read_manifest(folder)
    store = VoteStore(folder, manifest, manifest_hash)
    who = next(one for one in store.participants() if one.code == code.replace("-", ""))
    votes = [vote for vote in store.votes() if vote.participant == who.number]
    store.close()
    return votes, plan_session(manifest, who.seed)


def shown(driver: Any) -> tuple[str, str, str]:
    """Ids of the original and both sides, as they are on the page."""
    sources = [find(driver, f"#{name}").get_attribute("src") for name in ("under-a", "picture-a", "picture-b")]
    first, second, third = (source.rpartition("/")[2].removesuffix(".png") for source in sources)
    return first, second, third


@pytest.mark.parametrize(
    ("hand", "size"),
    [
        pytest.param(Keyboard, DESKTOP, id="keyboard-1280"),
        pytest.param(Touch, PHONE, id="touch-390"),
        pytest.param(Keyboard, PHONE, id="keyboard-390", marks=pytest.mark.slow),
        pytest.param(Touch, DESKTOP, id="touch-1280", marks=pytest.mark.slow),
    ],
)
def test_a_whole_session(
    browser: Any, server: Server, folder: Path, hand: Callable[[Any], Any], size: tuple[int, int, float]
) -> None:
    rng, person = random.Random(size[0]), hand(browser)
    open_at(browser, server.address, size, touch=hand is Touch)
    person.begin()
    await_trial(browser, 0)
    code = find(browser, "#own-code").text
    assert browser.current_url == f"{server.address}?code={code}"
    clicked, looks, seen = [], [], []
    for number in range(8):
        if number == 4:  # the page is opened anew, at its address
            browser.refresh()
        await_trial(browser, number)
        assert find(browser, "#count").text == f"{number + 1} of 8"
        assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
        assert not find(browser, "#confirm").is_enabled() and not is_looking(browser)
        seen.append(shown(browser))
        looks.append(rng.randrange(2))
        for _ in range(looks[-1]):
            person.look()
        clicked.append(rng.choice("ab"))
        person.answer(clicked[-1])
    wait(browser, "return !document.getElementById('done').hidden")
    assert "All 8 answers are kept" in find(browser, "#done").text and code in find(browser, "#done").text
    votes, trials = votes_of(folder, code)
    manifest, _ = read_manifest(folder)
    assert [vote.side for vote in votes] == clicked and [vote.looks for vote in votes] == looks
    assert [(manifest.crops[trial.crop].original, trial.a.picture, trial.b.picture) for trial in trials] == seen
    assert [(vote.system_a, vote.system_b) for vote in votes] == [(one.a.system, one.b.system) for one in trials]
    assert {(vote.layout, vote.pixel_ratio) for vote in votes} == {("three", size[2])}
    assert all(0 < vote.milliseconds < 60_000 for vote in votes)


def screenshot(driver: Any) -> np.ndarray:
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
    with Image.open(io.BytesIO(base64.b64decode(taken))) as opened:
        return np.asarray(opened.convert("RGB"))


def assert_pixel_by_pixel(driver: Any, server: Server, folder: Path, size: tuple[int, int, float], layout: str) -> None:
    """Of what the screen shows against the files, without and with the original in place of both."""
    open_at(driver, server.address, size, touch=False)
    driver.execute_script("document.getElementById('begin').click()")
    await_trial(driver, 0)
    assert driver.execute_script("return [state.layout, devicePixelRatio]") == [layout, size[2]]
    names = dict(zip(("original", "a", "b"), shown(driver), strict=True))
    for looking in (False, True):
        driver.execute_script("look(arguments[0]); window.scrollTo(0, 0)", looking)
        taken = screenshot(driver)
        for side in ("a", "b") if layout != "three" else ("a", "original", "b"):
            box = driver.execute_script(
                "const one = document.getElementById(arguments[0]).getBoundingClientRect(); return [one.x, one.y]",
                f"figure-{side}",
            )
            left, top = (round(edge * size[2]) for edge in box)
            with Image.open(picture_path(folder, names["original" if looking else side])) as opened:
                expected = np.asarray(opened)
            assert np.array_equal(taken[top : top + 120, left : left + 120], expected), (side, looking)


@pytest.mark.parametrize(
    ("size", "layout"), [((1280, 800, 1.0), "three"), ((251, 640, 1.0), "two"), ((201, 800, 1.0), "stacked")]
)
def test_a_pixel_of_a_picture_is_one_of_the_screen(
    browser: Any, server: Server, folder: Path, size: tuple[int, int, float], layout: str
) -> None:
    assert_pixel_by_pixel(browser, server, folder, size, layout)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.25, 1.5, 2.0, 2.625, 3.0])
def test_a_pixel_is_one_of_the_screen_at_every_ratio(
    server: Server, folder: Path, tmp_path: Path, ratio: float
) -> None:
    """On a screen that has that ratio: one that is emulated is drawn at 1 and scaled."""
    with contextmanager(open_chromium)(
        tmp_path, "--force-color-profile=srgb", f"--force-device-scale-factor={ratio}"
    ) as driver:
        assert_pixel_by_pixel(driver, server, folder, (0, 0, ratio), "three")


def test_keys_do_what_they_say_and_no_more(browser: Any, server: Server) -> None:
    from selenium.webdriver import ActionChains, Keys

    open_at(browser, server.address, DESKTOP, touch=False)
    Keyboard(browser).begin()
    await_trial(browser, 0)
    keys(browser, Keys.ENTER, " ", "x", Keys.ARROW_UP)
    assert find(browser, "#count").text == "1 of 8"  # nothing was chosen
    keys(browser, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    assert [find(browser, f"#choose-{side}").get_attribute("aria-pressed") for side in "ab"] == ["false", "true"]
    # whoever cannot hold a key switches the original on and off
    for expected in (True, False):
        browser.execute_script("document.getElementById('look').focus()")
        keys(browser, Keys.ENTER)
        assert is_looking(browser) == expected
    button = find(browser, "#look")
    ActionChains(browser).click_and_hold(button).perform()
    assert is_looking(browser)
    ActionChains(browser).release().perform()
    assert not is_looking(browser)
    keys(browser, Keys.ENTER)
    assert find(browser, "#count").text == "1 of 8"  # the focus is on the other button
    find(browser, "#confirm").click()
    await_trial(browser, 1)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "390"])
def test_no_page_violates_wcag(browser: Any, server: Server, size: tuple[int, int, float]) -> None:
    open_at(browser, server.address, size, touch=size is PHONE)
    browser.execute_script("document.getElementById('returning').open = true")

    def check(what: str) -> None:
        assert accessibility_violations(browser) == [], what

    check("welcome")
    browser.execute_script("document.getElementById('begin').click()")
    await_trial(browser, 0)
    check("trial")
    browser.execute_script("choose('a'); look(true)")
    check("chosen, with the original")
    for number in range(8):
        await_trial(browser, number)
        browser.execute_script("choose('b'); confirm()")
    wait(browser, "return !document.getElementById('done').hidden")
    check("done")


def test_a_code_brings_back(browser: Any, server: Server) -> None:
    open_at(browser, server.address, DESKTOP, touch=False)
    find(browser, "#begin").click()
    await_trial(browser, 0)
    keys(browser, "\ue012", "\ue007")
    await_trial(browser, 1)
    code = find(browser, "#own-code").text
    open_at(browser, server.address, DESKTOP, touch=False)
    browser.find_element("css selector", "#returning summary").click()
    find(browser, "#code").send_keys(code.lower(), "\n")
    await_trial(browser, 1)
    assert find(browser, "#own-code").text == code


def test_a_wrong_code_is_told(chromium: Any, server: Server) -> None:
    """The browser itself notes the answer 404: not among the tests above, which allow no complaint."""
    open_at(chromium, f"{server.address}?code=AAAAA-AAAAA", DESKTOP, touch=False)
    wait(chromium, "return document.getElementById('refused').textContent.startsWith('Nobody has this code')")
    assert find(chromium, "#begin").is_displayed()


def test_a_participant_goes_on_when_the_server_comes_back(chromium: Any, study: Path) -> None:
    """Killed before an answer: it is kept by the page, sent again by itself, and counted once."""
    with serving(study) as server:
        open_at(chromium, server.address, DESKTOP, touch=False)
        find(chromium, "#begin").click()
        await_trial(chromium, 0)
        keys(chromium, "\ue014", "\ue007")
        await_trial(chromium, 1)
        code, port = find(chromium, "#own-code").text, str(server.port)
        server.kill()
        keys(chromium, "\ue012", "\ue007")
        wait(chromium, "return document.getElementById('trouble').textContent.includes('Nothing is lost')")
    with serving(study, "--port", port):
        await_trial(chromium, 2)
        keys(chromium, "\ue014", "\ue007")
        await_trial(chromium, 3)
    votes, _ = votes_of(study, code)
    assert [vote.side for vote in votes] == ["b", "a", "b"]
