"""A page in the browser gains what a running search finds, and what the reader was doing stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from searchkit.serving import Server, handler

pytestmark = pytest.mark.slow
CHROMIUM = Path("/usr/bin/chromium")

# Goes on by one candidate at each line of its input, so that a test waits for nothing but the page.
SEARCH = """
import sys, searchkit
def evaluate(c):
    if not sys.stdin.readline():
        raise KeyboardInterrupt
    if c["a"] == 3:
        raise ValueError("no <b>memory</b> left")
    return {"loss": c["a"] - 0.1 * c["b"], "size": 30 - c["a"] * c["b"]}
space = searchkit.Space([searchkit.Choice(name, range(8)) for name in "abcdefghijklmnop"])
searchkit.run("random", space=space, evaluate=evaluate, objectives={"loss": "min", "size": "min"}, budget=40, batch=1,
              storage=sys.argv[1], name="living", progress=False)
"""


class Search:
    """A search in another process, which evaluates a candidate when it is told to."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SEARCH, str(folder)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def go_on(self, n: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n" * n)
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as started:
        found = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    (tmp_path / "runs").mkdir()
    made = Search(tmp_path / "runs")
    yield made
    made.end()


@pytest.fixture
def served(tmp_path: Path, search: Search, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(handler, "LATER", 0.5)  # a page that asks sooner waits as it does, and the test less
    monkeypatch.setattr(handler, "SOON", 0.5)
    with Server(tmp_path / "runs", port=0) as server:
        yield server


def opened(browser: Any, address: str, **given: Any) -> tuple[Any, list[str]]:
    """A tab of its own, and what its console says."""
    tab, said = browser.new_page(viewport={"width": 1280, "height": 700}, **given), list[str]()
    tab.set_default_timeout(60_000)
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(address)
    return tab, said


def has(tab: Any, n: int) -> None:
    """Until the report has the outcomes of n candidates."""
    tab.wait_for_function(
        "n => [...document.querySelectorAll('header p')].some((p) => p.textContent.includes(`${n} outcomes of`))", arg=n
    )


def passing(tab: Any, seconds: int) -> None:
    """Seconds of the page's clock, in steps of four; after each, what it has asked for arrives."""
    for _ in range(seconds // 4):
        tab.clock.run_for(4000)
        tab.wait_for_timeout(60)


def test_a_page_gains_candidates_without_a_reload_and_keeps_what_the_reader_did(
    browser: Any, search: Search, served: Server
) -> None:
    tab, said = opened(browser, served.address)
    search.go_on(9)
    tab.get_by_text("9 of 40 evaluations").wait_for()  # the study appeared by itself
    assert "running" in tab.locator(".studies li").inner_text()
    tab.get_by_role("link", name="living").click()
    has(tab, 9)
    tab.evaluate("window.same = true")
    details = tab.locator("#failures details").first
    details.locator("summary").click()
    tab.locator("table.front th button").nth(3).click()  # by size, which is not the order of the page
    tab.get_by_label("across").select_option(label="evaluation")
    tab.locator("#candidates .legend button", has_text="failed").click()
    tab.locator("#candidates > svg").focus()
    tab.keyboard.press("ArrowRight")
    card = tab.locator("#candidates .tip b").inner_text().partition(" ·")[0]
    tab.locator("#course").evaluate("(element) => window.scrollTo(0, element.offsetTop)")
    before = tab.locator("#course h2").bounding_box()["y"]
    drawn = tab.locator("#candidates .mark.other").first.get_attribute("d").count("M")
    search.go_on(8)
    has(tab, 17)
    assert tab.evaluate("window.same")
    assert tab.locator("#candidates .mark.other").first.get_attribute("d").count("M") > drawn
    assert details.get_attribute("open") is not None
    assert tab.get_by_label("across").evaluate("(list) => list.selectedOptions[0].text") == "evaluation"
    assert tab.locator("#candidates .legend button", has_text="failed").get_attribute("aria-pressed") == "false"
    assert tab.locator("table.front th").nth(3).get_attribute("aria-sort") == "ascending"
    sorted_by = [float(x) for x in tab.locator("table.front td:nth-child(4)").evaluate_all(
        "(cells) => cells.map((cell) => cell.dataset.value)")]  # fmt: skip
    assert sorted_by == sorted(sorted_by)
    assert tab.evaluate("document.activeElement.matches('#candidates > svg')")
    assert tab.locator("#candidates .tip").is_visible()
    assert tab.locator("#candidates .tip b").inner_text().partition(" ·")[0] == card
    assert abs(tab.locator("#course h2").bounding_box()["y"] - before) < 2
    search.end()
    tab.locator(".state", has_text="stopped").wait_for()
    assert said == []
    tab.close()


def test_focus_stays_in_the_list_when_a_study_moves(
    browser: Any, search: Search, served: Server, tmp_path: Path
) -> None:
    other = tmp_path / "runs" / "other.journal"
    other.write_text("no journal\n")
    os.utime(other, (1e9, 1e9))
    tab, said = opened(browser, served.address)
    search.go_on(2)
    tab.get_by_text("2 of 40 evaluations").wait_for()
    search.end()
    tab.locator(".state", has_text="stopped").wait_for()
    assert tab.locator(".studies a").all_inner_texts() == ["living", "other"]
    tab.get_by_role("link", name="other").focus()
    os.utime(other)
    tab.wait_for_function("() => document.querySelector('.studies a').textContent === 'other'")
    assert tab.evaluate("document.activeElement.textContent") == "other"
    assert said == []
    tab.close()


def test_a_hidden_or_paused_page_asks_nothing_and_an_unchanged_one_less_and_less(
    browser: Any, search: Search, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "SOON", 2.0)
    search.go_on(2)
    tab, said = opened(browser, served.address)
    tab.get_by_text("2 of 40 evaluations").wait_for()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.clock.install()
    tab.reload()
    passing(tab, 120)
    asked.clear()
    passing(tab, 60)
    assert 1 <= len(asked) <= 6  # at the interval of the beginning it would be one at each step
    tab.get_by_role("button", name="Pause").click()
    asked.clear()
    passing(tab, 60)
    assert asked == []
    tab.get_by_role("button", name="Pause").click()
    tab.wait_for_function("() => document.getElementById('said').textContent === ''")
    assert len(asked) == 1
    tab.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    asked.clear()
    passing(tab, 60)
    assert asked == []
    assert said == []
    tab.close()


def test_a_server_that_hangs_is_told_and_a_pause_holds_while_an_answer_is_on_its_way(
    browser: Any, search: Search, served: Server
) -> None:
    search.go_on(2)
    tab, said = opened(browser, served.address)
    tab.get_by_text("2 of 40 evaluations").wait_for()
    tab.clock.install()
    tab.reload()
    held: list[Any] = []
    tab.route("**/status*", lambda route: held.append(route))  # it is asked, and answers nothing
    tab.clock.run_for(40_000)
    tab.locator("#said", has_text="The server does not answer").wait_for()
    waiting = len(held)
    passing(tab, 40)
    assert len(held) > waiting  # it is asked again
    tab.unroute("**/status*")
    late: list[Any] = []
    tab.route(served.address, lambda route: late.append(route))
    search.go_on(3)
    for _ in range(400):
        if late:
            break
        passing(tab, 4)
    tab.get_by_role("button", name="Pause").click()
    late[0].continue_()
    passing(tab, 40)
    assert tab.locator("#said").inner_text() == "This page stays as it is."
    assert tab.get_by_text("2 of 40 evaluations").count() == 1
    tab.unroute(served.address)
    tab.get_by_role("button", name="Pause").click()  # nothing waits for the answer of before
    tab.get_by_text("5 of 40 evaluations").wait_for()
    assert said == []
    tab.close()


def test_the_state_of_a_study_is_told_while_its_report_rests(
    browser: Any, search: Search, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    search.go_on(3)
    tab, said = opened(browser, served.address)
    tab.get_by_role("link", name="living").click()
    search.go_on(2)
    has(tab, 5)
    monkeypatch.setattr(handler, "LIGHT", 1e6)
    search.go_on(2)
    tab.locator("#told", has_text="7 of 40 evaluations").wait_for()
    search.end()
    tab.locator("#told .state", has_text="stopped").wait_for()
    has(tab, 5)
    assert said == []
    tab.close()


def test_a_study_that_is_deleted_and_a_server_that_ends_are_told_and_the_report_stays(
    browser: Any, search: Search, served: Server, tmp_path: Path
) -> None:
    search.go_on(5)
    tab, _ = opened(browser, served.address)
    tab.get_by_role("link", name="living").click()
    has(tab, 5)
    search.end()
    os.remove(tmp_path / "runs" / "living.journal")
    tab.get_by_role("alert").wait_for()
    assert "is no longer in" in tab.get_by_role("alert").inner_text()
    assert tab.locator("#candidates > svg").count() == 1
    served.close()
    tab.locator("#said", has_text="The server does not answer").wait_for()
    assert tab.locator("#candidates > svg").count() == 1
    tab.close()


def test_without_scripts_a_page_shows_its_tables_and_how_to_see_what_is_new(
    browser: Any, search: Search, served: Server
) -> None:
    search.go_on(3)
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(served.address)
    for _ in range(100):
        if tab.get_by_text("3 of 40 evaluations").count():
            break
        tab.wait_for_timeout(200)
        tab.reload()
    tab.get_by_role("link", name="living").click()
    assert "Reload this page" in tab.locator("noscript").inner_text()
    assert tab.get_by_role("button", name="Pause").count() == 0
    assert tab.locator("table.front tbody tr").count() > 0
    context.close()
