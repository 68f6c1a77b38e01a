"""The built site: strict, whole, from disk, and nothing in it comes from another host."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import accessibility_violations, open_chromium, requests, resize

from docs.build import API, build, pages
from experiments.pages.site import ROOT

pytestmark = pytest.mark.slow
# What a browser would fetch by itself: not the targets of links.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|srcset|data)=["']?([^"'> ]+)"""
    r"""|<link\b[^>]*?\bhref=["']?([^"'> ]+)|url\(["']?([^"')]+)|@import\s+["']([^"']+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    build(folder)
    return folder / "site"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from open_chromium(tmp_path_factory.mktemp("profile"))


def built_pages(site: Path) -> list[Path]:
    return [
        site / (page.with_name("index.html") if page.name == "README.md" else page.with_suffix(".html"))
        for page in pages()
    ]


def test_every_page_of_the_navigation_is_there(site: Path) -> None:
    for page, built in zip(pages(), built_pages(site), strict=True):
        text = built.read_text()
        assert "<h1" in text and (page.parent != API or 'class="doc doc-object' in text), page


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    read = 0
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        for found in LOADED.finditer(path.read_text()):
            address = next(filter(None, found.groups()))
            read += 1
            assert address.startswith("data:") or not re.match(r"(?:[a-z]+:)?//", address), f"{path}: {address}"
    assert read > 100


def test_images_and_rows_that_pages_link_to_are_there(site: Path) -> None:
    for name in ("docs/shipped_wins.jpg", "docs/architecture.svg", "experiments/campaign/results/kodak.parquet"):
        assert (site / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_open_from_disk_and_ask_no_network(width: int, site: Path, chromium: Any) -> None:
    """At either width nothing is wider than the window."""
    resize(chromium, width)
    requests(chromium)
    for page in built_pages(site):
        chromium.get(page.as_uri())
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width, page
        broken = "return [...document.images].filter(one => !one.naturalWidth).map(one => one.src)"
        assert chromium.execute_script(broken) == [], page
    asked = requests(chromium)
    assert asked and all(one.startswith(("file:", "about:", "blob:")) for one in asked)
    assert [one["message"] for one in chromium.get_log("browser")] == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_kind_of_page_violates_wcag(width: int, scheme: str, site: Path, chromium: Any) -> None:
    """A start with pictures and a table, code and lists, a page of names from docstrings."""
    resize(chromium, width)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    found = []
    for page in ("index.html", "docs/people.html", "docs/architecture.html", "docs/api/errors.html"):
        chromium.get((site / page).as_uri())
        chromium.execute_script("localStorage.clear(); sessionStorage.clear()")  # where the scheme of before is kept
        chromium.refresh()
        shown = chromium.execute_script("return document.body.dataset.mdColorScheme")
        assert shown == {"light": "default", "dark": "slate"}[scheme]
        found += [(page, *one) for one in accessibility_violations(chromium)]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found == []


def test_the_search_finds_from_disk(site: Path, chromium: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    resize(chromium, 1280)
    chromium.get((site / "docs" / "install.html").as_uri())
    ActionChains(chromium).key_down(Keys.CONTROL).send_keys("k").key_up(Keys.CONTROL).perform()
    ActionChains(chromium).pause(0.5).send_keys("varint").perform()
    # The results stand in a shadow tree.
    shown = "return [...document.querySelectorAll('*')].map((one) => one.shadowRoot?.textContent ?? '').join(' ')"
    deadline = time.monotonic() + 30
    while "The bytes of a file" not in chromium.execute_script(shown):
        assert time.monotonic() < deadline, "no result for a word of the page of the format"
        time.sleep(0.2)
