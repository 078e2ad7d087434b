"""The section of a compressed network in the report: the drawing, the tables, names of the user, and a browser."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import searchkit
from searchkit.compression.learning import LearningSetting

CHROMIUM = Path("/usr/bin/chromium")
EVIL, ODD = "<script>alert(1)</script>", "a<b>&'c'"


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, 1, 1)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv2(functional.relu(self.conv1(x))) + x)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.add_module(ODD, Block(16))
        self.second, self.third = Block(16), Block(16)
        self.head = nn.Linear(16 * 36, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = getattr(self, ODD)(functional.relu(self.stem(x)))
        logits: Tensor = self.head(self.third(self.second(out)).flatten(1))
        return logits


def alternatives(name: str, module: nn.Module, input_shape: object, output_shape: object) -> dict[str, nn.Module]:
    """A cheaper one, and two that are left out: one is too dear, and one gives another shape."""
    if name != ODD:
        return {}
    return {EVIL: nn.Conv2d(16, 16, 1), "dear <i>": nn.Conv2d(16, 16, 9, padding=4), "flat": nn.Flatten()}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> searchkit.Compressed:
    """Of pictures without labels, so that the network that was given is the most accurate of all."""
    torch.manual_seed(0)
    return searchkit.compress(
        Network(), torch.randn(120, 1, 6, 6), constraints={"params": "50%", "macs": "70%"}, epochs=0, networks=2,
        nodes=[ODD, "second", "third"], alternatives=alternatives, learning=LearningSetting(passes=0.5, least=20),
        storage=tmp_path_factory.mktemp("runs"), name="odd", progress=False,
    )  # fmt: skip


def section_of(result: searchkit.Result, folder: Path) -> ElementTree.Element:
    """The section, which is well-formed."""
    source = result.report(folder / "page.html").read_text(encoding="utf-8")
    start = source.index('<section id="blocks">')
    return ElementTree.fromstring(source[start : source.index("</section>", start)] + "</section>")


@pytest.fixture
def section(result: searchkit.Compressed, tmp_path: Path) -> ElementTree.Element:
    return section_of(result, tmp_path)


def rows_of(section: ElementTree.Element, number: int) -> list[list[str]]:
    body = section.findall(".//tbody")[number]
    return [["".join(cell.itertext()) for cell in row] for row in body]


def values_of(section: ElementTree.Element, number: int) -> list[list[float]]:
    body = section.findall(".//tbody")[number]
    return [[float(cell.get("data-value", "nan")) for cell in row] for row in body]


def chosen_of(result: searchkit.Compressed) -> dict[str, str]:
    return {node.name: str(result.front[node.name][0]) for node in result.network_space.nodes}


@pytest.mark.slow
def test_both_networks_are_drawn_block_by_block(result: searchkit.Compressed, section: ElementTree.Element) -> None:
    texts = [element.text or "" for element in section.findall(".//svg//text")]
    whole = dict(result.original)
    model = result.network_space.build(np.zeros(3, dtype=np.int64))
    places = [texts.index(name) for name in (ODD, "second", "third", "outside of the blocks", "the whole network")]
    assert places == sorted(places)
    for (name, label), start, end in zip(chosen_of(result).items(), places, places[1:], strict=False):
        told = texts[start:end]
        assert told[1].split("\N{MULTIPLICATION SIGN}") == ["16", "6", "6"]
        own = sum(p.numel() for p in model.get_submodule(name).parameters())
        assert told[2:4] == ["original", f"{own:,} params"]
        place = told.index(label, 5) if label == "original" else told.index(label)
        left = own + round(result.costs[0].differences.get((name, label), 0))
        assert told[place + 1] == f"{left:,} params"
        if label == "original":
            assert len(told) == place + 3
            continue
        changes = [cost.differences[name, label] for cost in result.costs]
        assert told[place + 3 : -1 : 2] == [f"{change:,.0f}".replace("-", "\N{MINUS SIGN}") for change in changes]
        assert told[-1] == f"{result.library.errors[name, label]:.3g}"
    last = texts[places[-1] :]
    assert f"{whole['params']:,.0f} params" in last
    assert f"{result.front.params[0]:,.0f} params" in last
    assert f"{result.front.macs[0]:,.0f} MACs" in last


@pytest.mark.slow
def test_every_alternative_has_a_row_with_what_became_of_it(
    result: searchkit.Compressed, section: ElementTree.Element
) -> None:
    rows, values, chosen = rows_of(section, 2), values_of(section, 2), chosen_of(result)
    left_out = {
        (name, label): why
        for name, found in result.network_space.library.left_out.items()  # type: ignore[attr-defined]
        for label, why in found.items()
    }
    assert (ODD, "dear <i>") in left_out
    assert (ODD, "flat") in left_out
    tried = {*result.costs[0].differences}
    assert [tuple(row[:2]) for row in rows] == sorted(
        ({(name, "original") for name in chosen} | tried | set(left_out)),
        key=lambda key: [tuple(row[:2]) for row in rows].index(key),
    )
    for row, numbers in zip(rows, values, strict=True):
        key = row[0], row[1]
        if key in left_out:
            assert row[-1] == f"left out: {left_out[key]}"
            continue
        assert (row[-1] == "chosen") == (chosen[key[0]] == key[1])
        if key[1] != "original":
            assert numbers[6:8] == [cost.differences[key] for cost in result.costs]
        if key in result.library.errors:
            assert numbers[4:6] == [result.library.errors[key], result.library.divergences[key]]
            assert row[-1] in ("chosen", "not chosen")
        elif key[1] != "original":
            assert row[-1].startswith("dropped: ")


def test_bounds_and_scores_stand_beside_those_of_the_network_that_was_given(
    result: searchkit.Compressed, section: ElementTree.Element
) -> None:
    for numbers, row, cost in zip(values_of(section, 0), rows_of(section, 0), result.costs, strict=True):
        assert numbers[1:3] == [result.original[cost.name], cost.asked]
        assert numbers[3] == pytest.approx(numbers[4])
        assert numbers[4] == result.front[cost.name][0] <= cost.asked
        assert row[5] == "kept"
    first, second = values_of(section, 1)[:2]
    assert [row[1] for row in rows_of(section, 1)[:2]] == ["the network that was given", "chosen"]
    assert first[2:4] == [1.0, 1.0]
    assert second[2:4] == [result.front.accuracy_before[0], result.front.accuracy[0]]
    assert [row[-1] for row in rows_of(section, 1)[:2]] == ["no", "yes"]
    assert "Nothing was fine-tuned" in "".join(section.itertext())


def test_names_of_the_user_are_escaped(result: searchkit.Compressed, tmp_path: Path) -> None:
    source = result.report(tmp_path / "page.html").read_text(encoding="utf-8")
    body = source[: source.index('<script type="application/json"')]
    assert EVIL not in body
    assert "dear <i>" not in source
    assert "a<b>" not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body


def test_rows_of_the_front_are_in_the_order_of_the_result(result: searchkit.Compressed, tmp_path: Path) -> None:
    """Row 0 is what `build(0)` gives, and not the most accurate, which is the network that was given."""
    source = result.report(tmp_path / "page.html").read_text(encoding="utf-8")
    start = source.index('<section id="front">')
    section = ElementTree.fromstring(source[start : source.index("</section>", start)] + "</section>")
    assert [int(numbers[1]) for numbers in values_of(section, 0)] == list(result.front.trial)
    assert result.front.trial[0] != 0
    assert f"Candidate {result.front.trial[0]} is row 0 of the front, among" in source
    assert "Candidate 0 is best" not in source


def test_where_no_network_keeps_the_bounds_it_says_so(result: searchkit.Compressed, tmp_path: Path) -> None:
    other = copy.copy(result)
    other.refresh()
    other.bounds = dict.fromkeys(result.bounds, 1.0)
    section = section_of(other, tmp_path)
    assert "no network that was put together and measured did" in "".join(section.itertext())
    assert {row[-1] for row in rows_of(section, 1)} == {"no"}
    other.trials = [copy.copy(result.trials[0])]
    other.trials[0].values = {}
    assert "The front is empty" in "".join(section_of(other, tmp_path).itertext())


def test_a_study_that_was_loaded_has_no_library_and_no_section(result: searchkit.Compressed, tmp_path: Path) -> None:
    assert result.folder is not None
    loaded = searchkit.load("odd", result.folder.parent)
    assert 'id="blocks"' not in loaded.report(tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_errors_and_asks_nobody(
    result: searchkit.Compressed, width: int, scheme: str, tmp_path: Path
) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = result.report(tmp_path / "page.html")
    messages, requests = [], []
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert tab.locator("#blocks svg.sides .block").count() == 10
        seen = tab.locator("table.alternatives tbody tr:visible").count()
        tab.locator("#blocks .more").click()
        assert tab.locator("table.alternatives tbody tr:visible").count() > seen
        tab.locator("table.alternatives th button", has_text="error").click()
        column = tab.locator("table.alternatives td:nth-child(5)").all()
        shown = [float(cell.get_attribute("data-value")) for cell in column]
        assert shown == sorted(shown)
        browser.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
