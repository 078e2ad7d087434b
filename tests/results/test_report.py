"""The report says what the result says, holds everything inside itself, and works for every kind of search."""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.operations import operations
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.cli import main
from searchkit.costs.counts import space_counts
from searchkit.errors import SearchkitError
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.pareto import hypervolume
from searchkit.problem.trial import State, Trial
from searchkit.results.report.call import call
from searchkit.results.report.convergence import _Best, _Volume, convergence
from searchkit.results.report.drawing import drawing
from searchkit.results.report.facts import Facts, losses
from searchkit.results.report.layers import layers
from searchkit.results.result import Result

CHROMIUM = Path("/usr/bin/chromium")
EVIL = "<script>alert(1)</script>"
SPACE = Space(
    [
        Choice("rate <i>lr</i>", (0.001, 0.01, 0.1), ordered=True),
        Choice("trees", (10, 30, 100, 300), ordered=True),
        Choice("kind", ("a&b", EVIL, "c'\"d  # e")),
    ],
    name="forest <b>",
)
BOTH = {"loss": "min", "seconds": "min"}
MANY = {"loss": "min", "seconds": "min", "gain": "max", "size": "min"}


def forest(choices: dict) -> dict:
    rate, trees, kind = choices["rate <i>lr</i>"], choices["trees"], choices["kind"]
    if kind == EVIL and trees == 300:
        raise ValueError("no <b>memory</b> left")
    if trees == 10 and rate == 0.1:
        raise RuntimeError(f"diverged for {kind}")
    loss = abs(np.log10(rate) + 2) + 10 / trees + len(kind) / 100
    return {"loss": loss, "seconds": trees / 10 + len(kind), "gain": trees * loss, "size": (trees - 60) ** 2}


def search(objectives=None, **given) -> Result:
    given = {"budget": 36, "storage": "memory", "name": "forest"} | given
    return searchkit.run("random", space=SPACE, evaluate=forest, objectives=objectives or BOTH, **given)


@pytest.fixture(scope="module")
def result() -> Result:
    return search(constraints={"seconds": 40})


class Page(HTMLParser):
    """A page's tags, its text, the numbers of its tables, and its data."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.parts: dict[str, list[str]] = {}
        self.rows: list[list[SimpleNamespace]] = []
        self._open: list[str] = []
        self._in_cell = False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join("".join(self.parts["text"]).split())
        self.data = json.loads("".join(self.parts["application/json"]))

    def handle_starttag(self, tag, attrs) -> None:
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag in ("script", "style"):
            self._open.append(attrs.get("type", tag))
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            value = attrs.get("data-value")
            self.rows[-1].append(SimpleNamespace(value=None if value is None else float(value), text=""))
            self._in_cell = True
        self.parts.setdefault("text", []).append(" ")

    def handle_endtag(self, tag) -> None:
        if tag in ("script", "style"):
            self._open.pop()
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data) -> None:
        self.parts.setdefault(self._open[-1] if self._open else "text", []).append(data)
        if self._in_cell:
            self.rows[-1][-1].text += data


@pytest.fixture
def page(tmp_path: Path):
    return lambda result, **given: Page(result.report(tmp_path / "study.html", **given))


@pytest.mark.slow
def test_the_front_stands_in_the_page_as_it_stands_in_the_result(result, page) -> None:
    found = page(result)
    rows = {int(row[1].value): row for row in found.rows if len(row) == 9}
    front = result.front
    assert list(rows) == list(front.trial)
    for _, wanted in front.iterrows():
        row = rows[wanted.trial]
        assert [cell.value for cell in row[2:6]] == [wanted[name] for name in ("loss", "seconds", "gain", "size")]
        assert [cell.text for cell in row[6:]] == [str(wanted[name]) for name in SPACE.names]


@pytest.mark.slow
def test_every_candidate_is_in_the_page_with_its_choices_and_values(result, page) -> None:
    data = page(result).data["candidates"]
    assert len(data["trials"]["fate"]) == len(result.history)
    for metric in data["metrics"]:
        known = [float("nan") if value is None else value for value in metric["values"]]
        np.testing.assert_allclose(known, result.history[metric["name"]], rtol=1e-6)
    for i, code in enumerate(data["trials"]["code"]):
        chosen = [choice["options"][j] for choice, j in zip(data["choices"], code, strict=True)]
        assert chosen == [str(result.history[name][i]) for name in SPACE.names]
    fates = [data["fates"][fate]["name"] for fate in data["trials"]["fate"]]
    assert {i for i, fate in enumerate(fates) if fate == "front"} == set(result.front.trial)
    assert {i for i, fate in enumerate(fates) if fate == "failed"} == set(
        result.history.trial[result.history.state == "failed"]
    )
    assert {i for i, fate in enumerate(fates) if fate == "bound"} == set(
        result.history.trial[result.history.seconds > 40]
    )


def test_every_reason_of_a_failure_is_there_with_its_count_and_a_traceback(result, page) -> None:
    found = page(result)
    failed = result.history[result.history.state == "failed"]
    assert len(set(failed.reason)) == 4
    for reason, group in failed.groupby("reason"):
        numbers = ", ".join(str(number) for number in group.trial)
        assert f"{len(group)} × {' '.join(reason.split())} candidate{'s' * (len(group) > 1)} {numbers}" in found.text
    assert found.text.count("Traceback (most recent call last)") == 4
    assert "Nothing" not in found.text


def test_the_page_loads_nothing_and_forbids_it(result, page) -> None:
    found = page(result)
    for tag, attributes in found.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            assert attributes.get(name, "data:,").startswith("data:"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert "url(" not in attributes.get("style", "")
    style, script = "".join(found.parts["style"]), "".join(found.parts["script"])
    assert not re.search(r"url\(|@import|expression", style)
    assert not re.search(r"fetch\(|XMLHttp|import\(|WebSocket|innerHTML|eval\(|sendBeacon", script)
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")


@pytest.mark.slow
def test_names_and_messages_of_the_user_are_text_and_no_markup(result, page) -> None:
    found = page(result)
    assert not [tag for tag, _ in found.tags if tag == "i"]
    assert len([tag for tag, _ in found.tags if tag == "script"]) == 2
    assert found.source.count("</script>") == 2
    assert "forest <b>" in found.text
    assert EVIL in found.text
    assert "no <b>memory</b> left" in found.text


def test_the_random_order_is_the_mean_over_all_orders() -> None:
    values = np.array([[3.0], [1.0], [np.nan], [2.0], [1.0], [5.0]])
    t = np.arange(1.0, 7)
    orders = [np.array(order) for order in itertools.permutations(range(6))]
    best = np.array([np.fmin.accumulate(values[order, 0]) for order in orders])
    np.testing.assert_allclose(_Best(values, "min").expected(t), np.nanmean(best, axis=0))
    np.testing.assert_allclose(_Best(values, "max").expected(t), -np.nanmean(best, axis=0))
    pairs = np.array([[1.0, 4.0], [2.0, 2.0], [np.nan, np.nan], [4.0, 1.0], [3.0, 3.0], [9.0, 9.0]])
    volume = _Volume(pairs)
    shares = np.mean([volume.along(pairs[order]) for order in orders], axis=0)
    np.testing.assert_allclose(volume.expected(t), shares)


def _cloud(n: int, k: int) -> np.ndarray:
    """``(n, k)`` losses, some of them unknown, some equal."""
    rows = np.random.default_rng(0).normal(size=(n, k)).round(2)
    rows[::7] = np.nan
    rows[5::50] = rows[4::50]
    return rows


@pytest.mark.parametrize("k", [2, 3, 4])
def test_points_are_dominated_first_and_as_often_as_the_definition_says(k: int) -> None:
    rows = _cloud(700, k)
    volume = _Volume(rows)
    first, count = volume._dominated(rows)
    inside = (rows <= volume._end).all(axis=1)
    for p in range(0, len(volume._points), 97):
        by = np.flatnonzero((rows <= volume._points[p]).all(axis=1) & inside)
        assert count[p] == len(by)
        assert first[p] == (by[0] if len(by) else np.inf)


def test_a_curve_of_thousands_of_candidates_takes_a_few_operations_each() -> None:
    rows = _cloud(3000, 2)
    assert operations(lambda: _Volume(rows).along(rows)) < 3000


def test_the_hypervolume_that_is_drawn_is_the_exact_one_to_a_percent(result) -> None:
    drawn = convergence(Facts(result))
    own = drawn.curves[0]
    rows = losses(Facts(result).finished, result)
    reference = np.array([drawn.reference["loss"], drawn.reference["seconds"]])
    whole = hypervolume(rows, reference)
    for n in range(1, len(rows) + 1):
        assert own.at(n) == pytest.approx(100 * hypervolume(rows[:n], reference) / whole, abs=1)
    assert own.at(len(rows)) == pytest.approx(100)
    assert drawn.curves[1].at(len(rows)) == pytest.approx(100)


def test_the_best_value_so_far_is_that_of_the_history(page) -> None:
    result = search({"gain": "max"})
    (curve, order), measure = convergence(Facts(result)).curves, convergence(Facts(result)).measure
    assert measure == "best gain"
    for n in range(1, 37):
        best = result.history.gain[:n].max()
        assert curve.at(n) == best or (math.isnan(best) and math.isnan(curve.at(n)))
    assert order.at(36) == pytest.approx(result.front.gain[0])
    assert page(result).data["candidates"]["x"] is None


def empty() -> Result:
    return Result(SPACE, Goals((Objective("loss"),)), [], "empty", "interrupted", {})


def all_failed() -> Result:
    result = search({"loss": "min"})
    result.trials[:] = [trial for trial in result.trials if trial.state == "failed"]
    for i, trial in enumerate(result.trials):
        trial.number = i
    return result


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: search({"loss": "min"}), ["Proposed by random", "1 candidate on the front"]),
        (lambda: search(MANY), ["the most gain", "hypervolume, % of the final front's"]),
        (
            lambda: search(constraints={"loss": -1}),
            ["The front is empty", "not within loss ≤ -1", "No feasible candidate"],
        ),
        (all_failed, ["The front is empty", "0 on the front"]),
        (empty, ["It has no candidate yet", "No candidate failed, and none broke a bound", "interrupted"]),
    ],
    ids=["one objective", "four objectives", "nothing feasible", "all failed", "empty"],
)
def test_every_kind_of_search_has_a_page(make, words, page) -> None:
    found = page(make())
    for word in words:
        assert word in found.text


@pytest.mark.thorough
def test_a_page_of_thousands_of_candidates_stays_small(tmp_path: Path) -> None:
    space = Space([Choice(f"choice_{i}", range(9)) for i in range(30)])
    rng = np.random.default_rng(0)
    trials = []
    for i, code in enumerate(space.sample(3000, rng)):
        reason = f"bad {i}" if i % 3 == 0 else None
        values = {} if reason else {"a": float(code[:9].sum() + rng.random()), "b": float(72 - code[:9].sum())}
        trials.append(Trial(i, i, 1, code, State.FAILED if reason else State.SCORED, values, {}, reason, "trace" * 700))
    goals = Goals((Objective("a"), Objective("b")))
    path = Result(space, goals, trials, "large", "the budget is spent", {"kind": "function", "function": ""}).report(
        tmp_path / "large.html"
    )
    assert path.stat().st_size < 1_500_000
    found = Page(path)
    assert all(f"bad {i} candidate {i}" in found.text for i in range(0, 3000, 300))
    assert found.text.count("tracetrace") == 40 * 350


def test_the_call_at_the_end_of_the_page_continues_the_study(tmp_path: Path) -> None:
    result = search(storage=tmp_path, constraints={"seconds": 40}, seed=3, budget=20)
    loaded = searchkit.load("forest", tmp_path)
    code = call(Facts(loaded))
    assert "seed=3" in code
    calls: list[dict] = []
    names = {"evaluate": lambda c: calls.append(c) or forest(c)}
    again = code.replace("budget=20", "budget=22").replace('name="forest"', f'storage={str(tmp_path)!r}, name="forest"')
    exec(again, names)
    assert len(calls) == 2  # the twenty of the record are not evaluated again
    assert (
        names["result"]
        .history.iloc[:20]
        .drop(columns="seconds (record)")
        .equals(result.history.drop(columns="seconds (record)"))
    )


def test_the_call_of_a_search_in_memory_is_python_and_says_what_to_fill_in(result) -> None:
    code = call(Facts(result))
    ast.parse(code)
    assert "evaluate=evaluate,  # your function" in code
    assert "seed=seed,  #" in call(Facts(empty()))


def exact(result: Result, other: Result) -> float:
    """The other's hypervolume in percent of the result's, at the reference point that the report takes."""
    reference = np.array(list(convergence(Facts(result)).reference.values()))
    own, others = (hypervolume(losses(r.trials, r), reference) for r in (result, other))
    return 100 * others / own


def test_another_search_is_drawn_beside_and_must_have_the_same_objectives(result, page, tmp_path: Path) -> None:
    other = search(seed=5, name="other", budget=10)
    labels = [curve["label"] for curve in page(result, beside=other).data["progress"]["curves"]]
    assert labels == ["this search (random)", "random order, in expectation", "other (random)"]
    small, whole = search(seed=5, name="small", budget=4), search(name="whole", budget=36)
    better = convergence(Facts(small, (whole,))).curves[-1]
    assert better.at(36) > 100  # of the small search's front
    assert better.at(36) == pytest.approx(exact(small, whole), abs=2)
    with pytest.raises(
        SearchkitError, match=r"'forest' cannot be compared with 'forest': its objectives are loss \(min\), not"
    ):
        result.report(tmp_path / "x.html", beside=search({"loss": "min"}))
    with pytest.raises(SearchkitError, match="beside= takes results of other searches, not 'other'"):
        result.report(tmp_path / "x.html", beside=["other"])


@pytest.mark.slow
def test_a_file_that_cannot_be_a_page_is_refused_before_any_work(result, tmp_path: Path) -> None:
    with pytest.raises(SearchkitError, match=r"a report is written as .html or as .htm; not '.pdf'"):
        result.report(tmp_path / "x.pdf")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(SearchkitError, match=r"the report '.*folder.html' is a folder"):
        result.report(tmp_path / "folder.html")
    assert result.report(tmp_path / "new" / "folder" / "x.html").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nas-bench-201", {"width": 4, "cells": 1}),
        ("macro", {"width": 4}),
        ("mobilenet", {"width": 0.5}),
        ("residual", {"width": [4, 8]}),
    ],
)
def test_networks_of_every_space_are_drawn_and_their_layers_add_up(name, options) -> None:
    space = searchkit.load_space(name, **options).for_data((1, 8, 8), 10)
    for code in space.sample(3, np.random.default_rng(1)):
        trial = Trial(0, 0, 1, code)
        found = layers(space, trial)
        assert sum(layer.params for layer in found) == space_counts(space, code[None])["params"][0]
        assert found[-1].output_shape == (10,)
        picture = drawing(space, trial)
        assert picture.startswith("<svg")
        for node in space.nodes:
            shown = [str(space.decode(code)[0][choice]) for choice in node.choices]
            assert node.optional or all(f"{option}" in picture for option in shown)


def test_a_layer_that_is_used_twice_is_listed_twice_and_counted_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.middle, self.last = nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.last(self.middle(self.middle(self.flat(x))))

    space = NetworkSpace([Choice("a", (1, 2))], lambda choices, shape, n: Twice(), input_shape=(1, 2, 2), n_classes=3)
    found = layers(space, Trial(0, 0, 1, np.array([0])))
    assert [(layer.name, layer.params) for layer in found] == [("flat", 0), ("middle", 20), ("middle", 0), ("last", 15)]


def test_a_cell_is_drawn_from_its_choices_alone() -> None:
    space = Space([Choice(f"edge_{a}_to_{b}", ("none", "skip", "conv")) for a, b in [(0, 1), (0, 2), (1, 2)]])
    picture = drawing(space, Trial(0, 0, 1, np.array([2, 1, 0])))
    assert 'aria-label="0 to 1: conv; 0 to 2: skip; 1 to 2: none"' in picture
    assert re.findall(r'class="edge (\w+)"', picture) == ["working", "passing", "nothing"]
    assert drawing(SPACE, Trial(0, 0, 1, np.array([0, 0, 0]))) == ""


CELLS = searchkit.load_space("nas-bench-201", width=[4, 6, 8, 12], cells=1)


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Result:
    digits = searchkit.load_data("digits", limit=400)
    folder = tmp_path_factory.mktemp("runs")
    searchkit.run(
        "random", space=CELLS, data=digits, objectives=("accuracy", "latency_ms"), proxies=("macs", "naswot"), screen=2,
        budget=7, epochs=1, storage=folder, name="small", constraints={"params": 60_000},
    )  # fmt: skip
    return searchkit.load("small", folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy")
def test_a_search_over_networks_shows_proxies_spreads_layers_and_the_data(networks, page) -> None:
    found = page(networks)
    best = networks.trials[networks.front.trial[0]]
    assert f"± {50 * best.values['latency_ms_spread']:.2g} %" in found.text
    assert networks.methods["latency_ms"][0] in found.text
    for row in networks.signals.to_dict("records"):
        assert f"{row['proxy']} {row['rho']:+.2f}".replace("-", "−") in found.text
    assert [tag for tag, a in found.tags if a.get("class") == "rho"] == ["svg"] * len(networks.signals)
    assert f"{best.values['params']:,.0f} parameters, input 1 × 8 × 8" in found.text
    assert "largest params first" in found.text
    fingerprint = networks.context["fingerprint"]
    assert len(fingerprint) > 8
    assert f"fingerprint {fingerprint}" in found.text
    assert "seed 0 " in found.text
    assert 'searchkit.load_space("nas-bench-201", width=[4, 6, 8, 12], cells=1)' in found.text
    assert "test_accuracy" in [metric["name"] for metric in found.data["candidates"]["metrics"]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy")
def test_the_command_line_writes_a_report(networks, tmp_path: Path, capsys) -> None:
    where = ["--storage", str(networks.folder.parent)]
    assert main(["show", "small", *where, "--report", str(tmp_path / "small.html")]) == 0
    assert "<h1>small</h1>" in (tmp_path / "small.html").read_text(encoding="utf-8")
    assert main(["show", "nothing", *where, "--report", "x.txt"]) == 2
    assert "a report is written as .html" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_a_browser_shows_the_choices_of_a_candidate_and_asks_nobody(result, width, tmp_path: Path) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = result.report(tmp_path / "study.html")
    messages, requests = [], []
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        points = tab.locator("#candidates .point:not(.legend .point)")
        assert points.count() == len(result.front)
        points.first.hover(force=True)
        card = tab.locator("#candidates .tip").inner_text()
        shown = result.history.iloc[int(re.match(r"candidate (\d+)", card)[1])]
        for name in SPACE.names:
            assert name in card
            assert str(shown[name]) in card
        tab.locator("#candidates select").first.select_option(label="gain")
        assert "gain" in tab.locator("#candidates > svg .title").all_text_contents()
        tab.locator("#progress select").select_option("seconds")
        tab.locator("#progress > svg").hover()
        assert "random order, in expectation" in tab.locator("#progress .tip").inner_text()
        tab.locator("table.front th button", has_text="seconds").click()
        column = [cell.get_attribute("data-value") for cell in tab.locator("table.front td:nth-child(4)").all()]
        assert [float(value) for value in column] == sorted(float(value) for value in column)
        browser.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
