"""A headless Chromium for tests of pages: opened, looked at, used by mouse, keyboard and touch."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",  # a click must not wait for scrolling to end
    "--window-size=1280,1000",
)
SENT = "Network.requestWillBeSent"


def open_chromium(profile: Path, *flags: str) -> Iterator[Any]:
    """A headless one with an empty profile, whose logs tell what pages complain of and ask for; skips without it."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install 'hific[dev]'")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()


def requests(driver: Any) -> set[str]:
    """Addresses that the browser asked for since the log was read last: not what stands in the page itself, nor what
    its policy stopped, which would be a complaint in the other log, nor the browser's own start page, which a busy
    machine draws late."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {one["params"]["requestId"]: one["params"] for one in messages if one["method"] == SENT}
    failed = [one["params"] for one in messages if one["method"] == "Network.loadingFailed"]
    stopped = {one["requestId"] for one in failed if one.get("blockedReason") == "csp"}
    addresses = {one["request"]["url"] for key, one in asked.items() if key not in stopped}
    return {address for address in addresses if not address.startswith(("data:", "chrome:", "chrome-untrusted:"))}


def resize(driver: Any, width: int) -> None:
    """To a desktop's window or a phone's."""
    if width == 1280:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    else:
        size = {"width": width, "height": 900, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def find(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def choose(driver: Any, selector: str, text: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(find(driver, selector)).select_by_visible_text(text)


def press(driver: Any, selector: str, *keys: str) -> None:
    """With the keyboard on that element."""
    driver.execute_script("arguments[0].focus()", find(driver, selector))
    driver.switch_to.active_element.send_keys(*keys)


def scroll_to(driver: Any, selector: str) -> None:
    """And past the event that tells the page of it, which hides tooltips."""
    driver.execute_async_script(
        "arguments[0].scrollIntoView(); requestAnimationFrame(() => requestAnimationFrame(() => arguments[1]()))",
        find(driver, selector),
    )


def texts(driver: Any, selector: str) -> list[str]:
    found: list[str] = driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())"
        ".map((one) => one.textContent.trim())",
        selector,
    )
    return found


def touch(driver: Any, paths: Sequence[Sequence[tuple[float, float]]], *, wait: float = 0) -> None:
    """Fingers along `paths` of equal length, each a list of places in the window; `wait`: seconds before they lift."""

    def points(at: int) -> list[Mapping[str, float]]:
        return [{"x": path[at][0], "y": path[at][1], "id": number} for number, path in enumerate(paths)]

    for at in range(len(paths[0])):
        kind = "touchMove" if at else "touchStart"
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points(at)})
    time.sleep(wait)
    driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def accessibility_violations(driver: Any) -> list[tuple[str, str]]:
    """What axe-core finds against WCAG 2.2 A and AA: rule and element of each."""
    axe = pytest.importorskip(
        "axe_core_python.selenium", reason="axe-core-python is not installed: pip install 'hific[dev]'"
    )
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = axe.Axe().run(driver, options={"runOnly": tags, "resultTypes": ["violations"]})
    return [(rule["id"], node["html"]) for rule in found["violations"] for node in rule["nodes"]]
