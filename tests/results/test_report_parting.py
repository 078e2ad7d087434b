"""Where MACs and milliseconds part: when blocks are timed and kept, and what the page says of them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import searchkit
from searchkit import Metric, NetworkSpace
from searchkit.blocks.block_costs import OUTSIDE, BlockCost, BlockCosts

SPACE = searchkit.load_space("macro", width=8, input_shape=(1, 8, 8))
EVIL = "<script>alert('1')</script>"


def search(storage: Any, budget: Any = 3, objectives: Any = ("params", "latency_ms"), **given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", objectives=objectives, budget=budget, storage=storage, name="s", **{"space": SPACE} | given
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def found(folder: Path) -> searchkit.Result:
    """A search without training, for params and latency."""
    return search(folder)


def section_of(result: searchkit.Result, folder: Path) -> ElementTree.Element | None:
    """The section, which is well-formed; None where there is none."""
    source = result.report(folder / "page.html").read_text(encoding="utf-8")
    start = source.find('<section id="parting">')
    if start < 0:
        return None
    return ElementTree.fromstring(source[start : source.index("</section>", start)] + "</section>")


def rows_of(section: ElementTree.Element, number: int = 0) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in section.findall(".//tbody")[number]]


def text_of(section: ElementTree.Element) -> str:
    return "".join(section.itertext())


@pytest.fixture
def made(found: searchkit.Result, monkeypatch: pytest.MonkeyPatch) -> searchkit.Result:
    """The same result, with costs of blocks that were made up for its first network."""
    blocks = (
        BlockCost("stage1", "mb3", 8_000_000, 0.6),
        BlockCost(EVIL, EVIL, 800_000, 0.31),
        BlockCost("stage3", "identity", 0, 0.2),
    )
    number = int(found.front.trial[0])
    monkeypatch.setattr(found, "timed_blocks", {number: BlockCosts(blocks, 10_000_000, 1.0, 0.005, "by hand")})
    return found


@pytest.mark.slow
def test_a_search_for_latency_times_the_blocks_of_the_first_network_of_its_front(
    found: searchkit.Result, folder: Path, tmp_path: Path
) -> None:
    first = int(found.front.trial[0])
    assert list(found.timed_blocks) == [first]
    loaded = searchkit.load("s", folder)
    assert loaded.timed_blocks == found.timed_blocks
    section = section_of(loaded, tmp_path)
    assert section is not None
    said = found.timed_blocks[first]
    assert [row[0] for row in rows_of(section)] == [*(one.block for one in said.sorted), OUTSIDE]
    assert said.method in text_of(section)


@pytest.mark.slow
def test_the_table_adds_up_to_the_network(found: searchkit.Result) -> None:
    table = found.blocks(0)
    assert list(table) == ["block", "choice", "macs", "macs_share", "ms", "ms_share", "ratio"]
    assert table.macs.sum() == found.front.macs[0]
    assert table.ms.sum() == pytest.approx(found.timed_blocks[int(found.front.trial[0])].ms)
    assert table[["macs_share", "ms_share"]].sum().tolist() == pytest.approx([1, 1])
    blocks = table[:-1]
    apart = (blocks.ms_share - blocks.macs_share).abs()
    assert apart.is_monotonic_decreasing
    known = table[table.macs > 0]
    assert (known.ratio * known.macs_share).tolist() == pytest.approx(known.ms_share.tolist())
    assert table.block.iloc[-1] == OUTSIDE


@pytest.mark.slow
def test_other_networks_are_timed_when_asked_for_and_kept(
    found: searchkit.Result, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(found, "timed_blocks", dict(found.timed_blocks))
    first = int(found.front.trial[0])
    other = next(trial.number for trial in found.trials if trial.number != first)
    table = found.blocks(trial=other, seconds=0.01)
    loaded = searchkit.load("s", folder)
    assert set(loaded.timed_blocks) == {first, other}
    monkeypatch.setattr("searchkit.results.block_costs.block_costs", never)
    assert loaded.blocks(trial=other).equals(table)
    with pytest.raises(AssertionError, match="measured"):
        loaded.blocks(trial=other, again=True)
    section = section_of(loaded, tmp_path)
    assert section is not None
    assert len(section.findall(".//svg")) == len(section.findall(".//table")) == 2


def never(*_: object, **__: object) -> BlockCosts:
    raise AssertionError("measured")


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"objectives": ("params", "macs")},
        {"objectives": ("params", Metric("latency_ms", lambda network: 1.0))},
        {"budget": {"evaluations": 3, "seconds": 20}},  # of which a hundredth is too short
        {"space": searchkit.load_space("nas-bench-201", cells=1, input_shape=(1, 8, 8))},
    ],
    ids=["not asked for", "the user's own", "little time", "no modules"],
)
def test_nothing_is_timed_where_it_is_not_asked_for_or_takes_too_long(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("searchkit.results.block_costs.block_costs", never)
    result = search("memory", **given)
    assert result.timed_blocks == {}
    assert section_of(result, tmp_path) is None


@pytest.mark.slow
def test_a_network_that_cannot_be_timed_in_parts_is_no_failure_of_the_search(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("searchkit.results.block_costs.block_costs", never)
    with caplog.at_level("INFO", "searchkit"):
        result = search("memory")
    assert len(result.trials) == 3
    assert [r.getMessage() for r in caplog.records if "were not timed: measured" in r.getMessage()]


@pytest.mark.slow
def test_a_study_that_is_continued_times_a_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = search(tmp_path)
    monkeypatch.setattr("searchkit.results.block_costs.block_costs", never)
    assert search(tmp_path).timed_blocks == first.timed_blocks


def test_the_largest_disagreement_stands_first_and_is_told_in_a_sentence(
    made: searchkit.Result, tmp_path: Path
) -> None:
    section = section_of(made, tmp_path)
    assert section is not None
    number = made.front.trial[0]
    assert (
        f"Candidate {number}, row 0 of the front: '{EVIL}' has 8 % of the MACs and 31 % of the milliseconds."
        in text_of(section)
    )
    assert rows_of(section) == [
        [EVIL, EVIL, "800,000", "8.0 %", "0.31", "31.0 %", "3.88"],
        ["stage1", "mb3", "8,000,000", "80.0 %", "0.6", "60.0 %", "0.75"],
        ["stage3", "identity", "0", "0.0 %", "0.2", "20.0 %", "\N{EN DASH}"],
        [OUTSIDE, "", "1,200,000", "12.0 %", *(f"\N{MINUS SIGN}{value}" for value in ("0.11", "11.0 %", "0.92"))],
    ]
    said = text_of(section)
    assert "the blocks take 1.11 ms together, and the network takes 1 ms" in said
    assert "5 µs, is taken off every module" in said
    assert "by hand" in said


def test_bars_are_as_long_as_the_shares_in_the_order_of_the_network(made: searchkit.Result, tmp_path: Path) -> None:
    section = section_of(made, tmp_path)
    assert section is not None
    bars = [rect for rect in section.iter("rect") if "amount" in rect.get("class", "")]
    widths = [float(rect.get("width", "nan")) / 200 * 0.8 for rect in bars]
    assert widths == pytest.approx([0.8, 0.6, 0.08, 0.31, 0, 0.2, 0.12, 0], abs=1e-3)
    names = [text.text for text in section.iter("text") if text.get("x") == "0"]
    assert names[0] == "block"
    assert [name for name in names[1:] if name != f"…{EVIL[-23:]}"] == ["stage1", "stage3", OUTSIDE]
    source = made.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert EVIL not in source


@pytest.mark.parametrize(("ms", "said"), [(0.52, "no block's share"), (0.6, "'a' has 50 % of the MACs and 60 %")])
def test_where_shares_agree_the_page_says_that(
    ms: float, said: str, found: searchkit.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = BlockCosts((BlockCost("a", "x", 50, ms),), 100, 1.0, 0.0, "by hand")
    monkeypatch.setattr(found, "timed_blocks", {int(found.front.trial[0]): costs})
    section = section_of(found, tmp_path)
    assert section is not None
    assert said in text_of(section)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv2(torch.relu(self.conv1(x))) + x
        return y


@pytest.mark.slow
def test_blocks_of_a_space_made_of_a_trained_network_stand_in_its_page(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), Block(16), Block(16), nn.Flatten(), nn.Linear(1024, 10))
    space = NetworkSpace.from_model(model, torch.randn(4, 1, 8, 8).numpy(), nodes=["1", "2"])
    result = search("memory", space=space)
    section = section_of(result, tmp_path)
    assert section is not None
    table = result.blocks(0)
    assert set(table.block) == {"1", "2", OUTSIDE}
    assert {row[1] for row in rows_of(section)} == {str(result.front["1"][0]), str(result.front["2"][0]), ""}
    assert table.macs.sum() == result.front.macs[0]
