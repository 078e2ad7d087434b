"""Every page can be read and used: at two widths, on light and dark screens, by the keyboard and by a screen reader."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.page_checks import CHROMIUM, SCHEMES, WIDTHS, faults, not_reached

import searchkit
from searchkit import Choice, Space
from searchkit.serving import Server

pytestmark = pytest.mark.slow
SITE = Path(__file__).parents[2] / "build" / "site" / "index.html"


@pytest.fixture(scope="module")
def tab_of() -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Opens an address in a new tab; gives the tab and what its console says."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])

        def opened(address: str, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
            tab, said = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme), list[str]()
            tab.set_default_timeout(60_000)
            tab.on("console", lambda message: said.append(message.text))
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.goto(address)
            tab.wait_for_timeout(300)
            return tab, said

        yield opened
        browser.close()


def forest(choices: dict[str, Any]) -> dict[str, float]:
    if choices["kind"] == "c":
        raise ValueError("no <b>memory</b> left, " + "and more of a reason that is long " * 6)
    return {
        "loss": choices["trees"] + 0.1 * choices["part 1"],
        "seconds": 40 - choices["trees"],
        "size": choices["part 2"],
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of studies of several kinds."""
    folder = tmp_path_factory.mktemp("looks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of random networks, some have no signal
        search_in(folder)
    (folder / "damaged.journal").write_text("no journal\n")
    with Server(folder, port=0) as server:
        yield server


def search_in(folder: Path) -> None:
    """Networks with proxies and timed blocks, and a function with failures, bounds, three objectives, many choices."""
    options = [Choice(f"part {i}", (0, 1, 2)) for i in range(14)]
    space = Space([Choice("trees", (10, 20, 30)), Choice("kind", ("a", "b", "c")), *options], name="forest")
    searchkit.run(
        "random", space=space, evaluate=forest, objectives={"loss": "min", "seconds": "min", "size": "min"}, budget=40,
        constraints={"seconds": 25}, storage=folder, name="forest-of-a-name-that-is-rather-long-2026-11-30",
        progress=False,
    )  # fmt: skip
    result = searchkit.run(
        "random", space=searchkit.load_space("macro", width=8), budget=8, epochs=1, screen=2,
        data=searchkit.load_data("digits", limit=200), objectives=["accuracy", "params"],
        proxies=["params", "grad_norm"], storage=folder, name="networks", progress=False, baselines=False,
    )  # fmt: skip
    result.blocks(0, seconds=0.01)


PAGES = {
    "list": "",
    "networks": "study?name=networks",
    "function": "study?name=forest-of-a-name-that-is-rather-long-2026-11-30",
    "damaged": "study?name=damaged",
    "none": "study?name=none",
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_readable_at_every_width_and_its_console_is_silent(
    tab_of: Callable, served: Server, page: str, scheme: str, width: int
) -> None:
    tab, said = tab_of(served.address + PAGES[page], width, scheme)
    assert faults(tab) == []
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    if page in ("networks", "function"):
        tab.locator("#candidates > svg").focus()
        tab.keyboard.press("ArrowRight")
        assert tab.locator("#candidates .tip").is_visible()
        assert tab.locator("#parting svg, #failures li").count() > 0
    assert faults(tab) == []
    assert [line for line in said if page != "none" or "404" not in line] == []
    tab.close()


@pytest.mark.parametrize("page", PAGES)
def test_the_tab_key_reaches_every_control_and_shows_where_it_is(tab_of: Callable, served: Server, page: str) -> None:
    tab, _ = tab_of(served.address + PAGES[page], WIDTHS[1])
    assert not_reached(tab) == []
    tab.close()


def test_a_reader_of_screens_hears_what_the_arrow_keys_show_and_not_what_the_pointer_does(
    tab_of: Callable, served: Server
) -> None:
    tab, _ = tab_of(served.address + PAGES["function"])
    chart = tab.get_by_role("application", name="All candidates")
    chart.focus()
    tab.keyboard.press("ArrowRight")
    assert "candidate" in tab.locator("#candidates").get_by_role("status").inner_text()
    tab.mouse.move(5, 5)  # it has to come from somewhere: a pointer that lies still changes nothing
    chart.hover()
    assert tab.locator("#candidates").get_by_role("status").count() == 0
    tab.close()


def test_the_front_page_of_the_site_is_readable(tab_of: Callable) -> None:
    if not SITE.exists():
        pytest.skip("the site is not built: make docs")
    for width in WIDTHS:
        for scheme in SCHEMES:
            tab, said = tab_of(SITE.as_uri(), width, scheme)
            found = [fault for fault in faults(tab, "article") if "<code tabindex" not in fault]  # of the theme
            assert found == []
            assert [line for line in said if "file://" not in line] == []  # its search asks for a server
            tab.close()


FAULTY = {
    '<button type="button"></button>': "without a name",
    '<input type="text">': "without a name",
    '<div tabindex="0" aria-label="x">x</div>': "without a role",
    '<svg viewBox="0 0 9 9" width="9" height="9"><circle r="4"/></svg>': "a picture without words",
    '<svg role="img" width="9" height="9"></svg>': "a picture without words",
    '<img src="data:," width="9" height="9">': "a picture without words",
    '<p style="width: 2000px">x</p>': "the document is",
    '<p style="color: #999">x</p>': "contrast 2.8",
    '<p style="opacity: .3">x</p>': "contrast",
    '<details open><summary>a</summary><p style="color: #fff">x</p></details>': "contrast 1.00",
}


def test_faults_of_a_page_are_seen(tab_of: Callable) -> None:
    tab, _ = tab_of("about:blank")
    for markup, said in FAULTY.items():
        tab.set_content(f"<!doctype html><title>x</title><body style='color: #000; background: #fff'>{markup}")
        found = faults(tab)
        assert len(found) == 1, markup
        assert said in found[0], markup
    tab.set_content("<!doctype html><title>x</title><style>a:focus { outline: none }</style><a href='#'>x</a>")
    assert "no mark of the focus" in not_reached(tab)[0]
    tab.set_content("<!doctype html><title>x</title><a href='#' onfocus='this.blur()'>x</a><a href='#'>y</a>")
    assert "the Tab key reaches" in not_reached(tab)[-1]
    tab.close()
