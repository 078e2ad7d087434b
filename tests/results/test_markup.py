"""Markup in what a user or a record says is text in everything that is written: no script runs, and pages work."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.problem.objectives import Bound, Goals, Objective
from searchkit.results.report.call import call
from searchkit.results.report.facts import Facts
from searchkit.results.result import Result
from searchkit.results.safe_html import Html, fill, joined, json_data, text

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
RUN = "document.title=window.ran='ran'"
MARKUP = (
    f"</script></style></title><script>{RUN}</script><img src=x onerror={RUN}>"
    f"\"'><svg onload={RUN}><!--<script>{{0}}{{x}} $\\frac$ &lt;script&gt;{RUN}&lt;/script&gt;\u2028"
)
PLAIN = "x" * len(MARKUP)

CONTEXT = {  # every text that a record's header and a call can hold, as §
    "strategy": "auto", "chosen": "§", "version": "§", "device": "§", "fingerprint": "§", "function": "§", "seed": "§",
    "data": {"name": "§", "source": "§", "classes": ["§", "§"], "§": "§"},
    "units": {"§": "§", "params": "§"}, "budget": {"evaluations": 9, "seconds": None},
    "call": {"§": "§", "proxies": ["§", "earlier:§"], "ladder": [{"§": "§"}], "device": "§", "training": {"§": "§"}},
    "rungs": ["§"], "parts": {"§": "§"}, "objects": ["§"], "earlier": ["§"],
}  # fmt: skip


def planted(value: Any, word: str) -> Any:
    """The value with every "§" in its texts, and keys, replaced."""
    if isinstance(value, dict):
        return {planted(key, word): planted(entry, word) for key, entry in value.items()}
    if isinstance(value, list):
        return [planted(entry, word) for entry in value]
    return value.replace("§", word) if isinstance(value, str) else value


def result(word: str, kind: str = "function", edges: bool = False) -> Result:
    """A result each of whose texts is or contains the word."""
    names = ("edge_0_to_1", "edge_1_to_2") if edges else (word, f"{word} 2")
    options = (word, f"{word} b", f"{word} c")
    space = Space([Choice(name, options) for name in names], name=word)
    goals = Goals(
        (Objective(word, "max"), Objective("params")), (Bound(word, 0.2, float("inf")), Bound("params", 0, 9))
    )
    trials = searchkit.run(
        "random",
        space=Space([Choice(name, (0, 1, 2)) for name in ("a", "b")]),
        evaluate=lambda c: (
            {"q": c["a"] + 0.1 * c["b"], "params": 1 + c["a"] * c["b"]} if c["b"] != 2 or c["a"] else 1 / 0
        ),
        objectives={"q": "max", "params": "min"},
        budget=9,
        storage="memory",
    ).trials
    for trial in trials:
        if trial.values:
            q, params = trial.values["q"], trial.values["params"]
            trial.values = {word: q, "params": params, f"{word} extra": 1.0, f"{word}_spread": 0.1, "test_accuracy": q}
        texts = {f.name for f in dataclasses.fields(trial)} & {"reason", "traceback"}
        assert len(texts) == 2
        trial.reason = trial.traceback = word if trial.reason else None
        trial.methods = {word: word, "params": word, f"{word} extra": word}
    trials[0].reason = word
    found = Result(space, goals, trials, word, word, planted(CONTEXT, word) | {"kind": kind})
    rho = {"rho": 0.5, "low": 0.1, "high": 0.8, "top": 0.4, "ndcg": 0.9, "belief": 0.5, "weight": 0.5}
    found.trust = [{"proxy": word, **rho}]
    found.verifications = {1: {"accuracy": 0.5, "test_accuracy": 0.4}, 2: {"reason": word}}
    found.test_accuracy = {trial.number: 0.3 for trial in trials}
    return found


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and the text of its data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.data = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))
        self._inside = dict(attrs).get("type", tag)

    def handle_endtag(self, tag) -> None:
        self._inside = ""

    def handle_data(self, data) -> None:
        self.data += data if self._inside == "application/json" else ""


@pytest.mark.parametrize(("kind", "edges"), [("function", False), ("networks", False), ("networks", True)])
def test_markup_in_any_field_changes_no_tag_of_the_page(kind: str, edges: bool, tmp_path: Path) -> None:
    pages = []
    for word in (PLAIN, MARKUP):
        one = result(word, kind, edges)
        pages.append(one.report(tmp_path / "page.html", beside=result(word)).read_text(encoding="utf-8"))
    harmless, evil = map(Tags, pages)
    assert evil.found == harmless.found
    assert len(evil.found) > 100
    data = json.loads(evil.data)["candidates"]
    assert MARKUP in [metric["name"] for metric in data["metrics"]]
    assert MARKUP[:50] in json.loads(evil.data)["progress"]["curves"][-1]["label"]
    assert pages[1].count("&lt;/script&gt;&lt;/style&gt;") > 40


@pytest.mark.slow
def test_what_a_notebook_shows_of_a_result_has_no_markup_of_the_users() -> None:
    harmless, evil = (Tags(result(word)._repr_html_()).found for word in (PLAIN, MARKUP))
    assert evil == harmless
    assert evil


def test_the_call_that_repeats_a_search_is_python_in_which_nothing_else_is_called() -> None:
    evil = result('"""\n__import__("os").abort()\n# \\" ')
    evil.context["seed"] = evil.context["budget"]["evaluations"] = '__import__("os").abort()'
    evil.context["call"]['a=__import__("os").abort(), b'] = 1
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(call(Facts(evil)))) if isinstance(node, ast.Call)}
    assert called == {"searchkit.run", "searchkit.Space", "searchkit.Choice", "searchkit.load"}


def test_what_is_no_html_is_escaped_however_it_is_put_together() -> None:
    assert fill("<b>{}</b>{x:>5}", "<i>", x=fill("<br>")) == "<b>&lt;i&gt;</b> &lt;br&gt;"  # a format makes it text
    assert fill("<b>{}</b>{x}", "{x}<i>", x=fill("<br>")) == "<b>{x}&lt;i&gt;</b><br>"
    assert joined(["<", fill("<hr>"), fill("<hr>") + "<i>"], "<") == "&lt;&lt;<hr>&lt;&lt;hr&gt;&lt;i&gt;"
    assert text("\udc80\0") == "\\udc80\\x00"
    assert json_data({"\udc80\0": 1}) == '{"\\udc80\\u0000":1}'
    assert text(text("'<\"&")) == "&#x27;&lt;&quot;&amp;"
    assert not {"<", ">", "&"} & set(json_data([MARKUP]))
    assert json.loads(json_data({MARKUP: [MARKUP]})) == {MARKUP: [MARKUP]}


def templates(source: str) -> list[str]:
    """Where a module makes markup in another way than by a written-out template that ``fill`` gets, in words."""
    tree = ast.parse(source)
    allowed: set[int] = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}  # docstrings
    constants = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "Html":
                found.append(f"Html() in line {node.lineno}")
            if node.func.id == "fill":
                given = node.args[0]
                template = constants.get(given.id) if isinstance(given, ast.Name) else given
                if not isinstance(template, ast.Constant):
                    found.append(f"a template that is put together in line {node.lineno}")
                allowed.add(id(template))
    for node in ast.walk(tree):
        written = node.value if isinstance(node, ast.Constant) and id(node) not in allowed else None
        if isinstance(written, str) and re.search("<[a-z/!]", written):
            found.append(f"markup in line {node.lineno}")
    return found


WRITERS = sorted(
    path for part in ("results", "results/report", "serving") for path in (ROOT / "searchkit" / part).glob("*.py")
)


def test_every_part_of_a_page_goes_through_the_one_escaping_function() -> None:
    others = [path for path in WRITERS if path.name != "safe_html.py"]
    found = {path.name: templates(path.read_text(encoding="utf-8")) for path in others}
    assert not {name: said for name, said in found.items() if said}


def test_markup_that_goes_round_it_is_seen() -> None:
    assert templates('x = f"<b>{y}</b>"') == ["markup in line 1", "markup in line 1"]
    assert templates('fill(f"{y}")') == ["a template that is put together in line 1"]
    assert templates('fill("<b>" + y)') == ["a template that is put together in line 1", "markup in line 1"]
    assert templates('x = "<i>{}</i>".format(y)\nHtml(x)') == ["Html() in line 2", "markup in line 1"]
    assert templates('T = "<i>{}</i>"\nfill(T, y)') == []


@pytest.fixture(scope="module")
def opened():
    """Opens a file in the browser; gives the tab and what the console said."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(sync_api.sync_playwright())
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        stack.callback(browser.close)

        def open_file(path: Path) -> tuple[Any, list[str]]:
            tab, said = browser.new_page(viewport={"width": 1280, "height": 900}), []
            tab.on("console", lambda message: said.append(message.text))
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.goto(path.as_uri())
            tab.wait_for_timeout(300)
            return tab, said

        yield open_file


@pytest.mark.slow
@pytest.mark.parametrize("edges", [False, True])
def test_no_script_of_the_users_runs_in_the_browser_and_the_page_works(opened: Callable, edges, tmp_path: Path) -> None:
    evil = result(MARKUP, "networks", edges)
    tab, said = opened(evil.report(tmp_path / "page.html", beside=result(MARKUP)))
    points = tab.locator("#candidates .point:not(.legend .point)")
    assert points.count() == len(evil.front)
    points.first.hover(force=True)
    assert RUN in tab.locator("#candidates .tip").inner_text()
    for select in tab.locator("select").all():
        for value in select.evaluate("list => [...list.options].map((option) => option.value)"):
            select.select_option(value=value)
    tab.locator("#progress > svg").hover()
    assert RUN in tab.locator("#progress .tip").inner_text()
    for button in tab.locator("table.front th button").all():
        button.click()
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    tab.wait_for_timeout(200)
    assert tab.evaluate("window.ran") is None
    assert tab.title() != "ran"
    assert tab.locator("h1").inner_text() != ""
    assert tab.locator("img, #candidates svg svg, main script").count() == 0
    assert said == []


@pytest.mark.slow
def test_the_pages_policy_lets_its_own_script_run_and_no_other(opened: Callable, tmp_path: Path) -> None:
    page = result("x").report(tmp_path / "page.html")
    source = page.read_text(encoding="utf-8")
    handler = f'<img src="data:," onerror="{RUN}">'
    page.write_text(source.replace("<main>", f"<main><script>{RUN}</script>{handler}"), encoding="utf-8")
    tab, said = opened(page)
    assert tab.evaluate("window.ran") is None
    assert len(said) == 2
    assert all("Content Security Policy" in message for message in said)
    assert tab.locator("#candidates .point:not(.legend .point)").count() > 0
    assert tab.evaluate("document.querySelector('meta[http-equiv]').content").count("unsafe-inline") == 1


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".html", ".svg"])
def test_no_script_of_the_users_runs_in_a_plot(opened: Callable, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"plot{ending}"
    result(MARKUP).plot(path)
    tab, _ = opened(path)
    if ending == ".html":
        drawn = tab.locator("svg text").all_text_contents()
        assert sum(RUN in line for line in drawn) >= 2  # the title, and the name of an axis
        assert tab.locator(".main-svg").count() > 0
    assert tab.evaluate("window.ran") is None
    assert np.isfinite(tab.evaluate("document.documentElement.getBoundingClientRect().width"))


def test_names_with_dollars_are_drawn_as_they_are(tmp_path: Path) -> None:
    named = result("cost in $\\nothing$ and $x")
    assert named.plot(tmp_path / "plot.png").axes[0].get_ylabel().startswith("cost in $\\nothing$")


def test_html_is_made_in_one_module_only() -> None:
    assert isinstance(fill("<b>"), Html)
    for path in (ROOT / "searchkit").rglob("*.py"):
        if path.name != "safe_html.py":
            assert "html.escape" not in path.read_text(encoding="utf-8"), path
