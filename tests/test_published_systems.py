"""docs/published-systems.md: what it calls a proxy, a strategy, a space or a policy is one; figures were measured."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import searchkit
from searchkit import benchmarks, plugins
from searchkit.sharing.policies.table import POLICIES

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "published-systems.md").read_text()
MEASURED = (DOCS / "benchmarks.md").read_text()

KINDS = {"proxies": "proxy", "strategies": "strategy", "spaces": "space", "policies": "policy"}
NAMES = r"`[^`]+`(?:(?:, | and )`[^`=.]+`)*"
CLAIM = re.compile(rf"\b(proxy|proxies|strategy|strategies|spaces?|policy|policies|benchmark) ({NAMES})")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def rows() -> Iterator[dict[str, str]]:
    """Every row of every table, by the headings of its columns."""
    for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head, _, *lines = [
            [cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in table.splitlines()
        ]
        for cells in lines:
            assert len(cells) == len(head), cells
            yield dict(zip(head, cells, strict=True))


HERE = [(row["system"], row["here"]) for row in rows() if "here" in row]


def claimed(cell: str) -> list[tuple[str, str]]:
    """``(kind, name)`` of each name that follows "proxy", "strategies" and the like."""
    found = []
    for word, names in CLAIM.findall(LINK.sub(r"\1", cell)):
        found += [(KINDS.get(word, word.removesuffix("s")), name) for name in re.findall(r"`([^`]+)`", names)]
    return found


def registered(kind: str) -> set[str]:
    if kind == "policy":
        return set(POLICIES)
    return set(benchmarks.names() if kind == "benchmark" else plugins.names(kind))


def taken_names() -> set[str]:
    """Names of the arguments that the page writes as ``name=``."""
    takers: list[Any] = [searchkit.run, searchkit.score, searchkit.SharedWeights, searchkit.NetworkSpace]
    takers += [searchkit.Choice, importlib.import_module("searchkit.sharing.policies.shrinking").Shrinking]
    return {"precisions"} | {name for taker in takers for name in inspect.signature(taker).parameters}


@pytest.mark.parametrize(("system", "here"), HERE, ids=[system for system, _ in HERE])
def test_every_name_that_is_given_for_a_system_is_there(system: str, here: str) -> None:
    claims = claimed(here)
    for kind, name in claims:
        assert name in registered(kind), f"{system}: {kind} {name}"
    arguments = taken_names()
    for span in set(re.findall(r"`([^`]+)`", here)) - {name for _, name in claims}:
        if span.startswith("searchkit."):
            assert resolved(span) is not None, f"{system}: {span}"
        elif "=" in span:
            name = span.partition("=")[0]
            assert name in arguments, f"{system}: {span}"
        else:
            assert span in {"accuracy@int8", '"again": True'} | registered("proxy"), f"{system}: what kind is {span}?"


def resolved(path: str) -> object:
    """The module or the member that a dotted path stands for."""
    parts = path.split(".")
    found: object = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 1):
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(".".join(parts[: i + 1]))
    return found


def section(anchor: str) -> str | None:
    """The text under a heading of docs/benchmarks.md, with the headings below it; None where there is none."""
    headings = list(re.finditer(r"^(#+) (.*)$", MEASURED, re.MULTILINE))
    for at, heading in enumerate(headings):
        if re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading[2].lower())) == anchor:
            after = (other.start() for other in headings[at + 1 :] if len(other[1]) <= len(heading[1]))
            return MEASURED[heading.start() : next(after, None)]
    return None


FIGURES = [
    (row["system"], row["measured here"])
    for row in rows()
    if "measured here" in row and re.search(r"\d\.\d", row["measured here"])
]


@pytest.mark.parametrize(("system", "measured"), FIGURES, ids=[system for system, _ in FIGURES])
def test_figures_stand_in_the_section_that_the_cell_links_to(system: str, measured: str) -> None:
    anchors = re.findall(r"\]\(benchmarks\.md#([\w-]+)\)", measured)
    assert anchors, system
    sections = {anchor: section(anchor) for anchor in anchors}
    missing = {anchor for anchor, text in sections.items() if text is None}
    assert not missing, f"{system}: no section {missing}"
    text = " ".join(filter(None, sections.values()))
    for figure in re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.]*\d)", LINK.sub(r"\1", measured)):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", text), f"{system}: {figure} is not in {anchors}"
