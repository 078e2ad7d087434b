"""An option is any Python value: told apart, found again, the same in another process, and back as it was."""

from __future__ import annotations

import itertools
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.awkward import GROUPS, REFUSED, copied, same
from helpers.marks import slow_if
from hypothesis import given
from hypothesis import strategies as st

import searchkit
from searchkit import Choice, Space
from searchkit.cli import main
from searchkit.errors import SpaceError, StudyMismatchError
from searchkit.integrations.jsonlines import JSONLines

SAID = r"choice 'c' has no option .*choose from .* \(1,003 in all\)"
A_FEW = ("ones", "not finite", "bytes", "objects")  # of which a journal and a database are asked for each
GROUP = pytest.mark.parametrize("group", GROUPS)
FRESH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from helpers.awkward import GROUPS
from searchkit import Choice
print(json.dumps({name: Choice(name, options).labels for name, options in GROUPS.items()}))
"""


@GROUP
def test_options_are_told_apart_and_found_as_themselves_as_copies_and_by_their_labels(group: str) -> None:
    options = GROUPS[group]
    choice = Choice("c", options)
    assert len({(type(label), label) for label in choice.labels}) == len(set(choice.texts)) == len(options)
    for i, (option, label) in enumerate(zip(options, choice.labels, strict=True)):
        assert [choice.index(given) for given in (option, copied(option), label)] == [i, i, i]
        assert same(choice.option(i), option)
    again = Choice("c", choice.labels)  # how a record without its space is read
    assert [(type(label), label) for label in again.labels] == [(type(label), label) for label in choice.labels]
    assert choice == Choice("c", [*map(copied, options)])
    assert hash(choice) == hash(Choice("c", [*map(copied, options)]))


@pytest.mark.slow
def test_labels_are_the_same_in_a_process_with_another_order_of_sets() -> None:
    tests = str(Path(__file__).parents[1])
    said = [
        subprocess.run(
            [sys.executable, "-c", FRESH, tests],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    here = {name: list(Choice(name, options).labels) for name, options in GROUPS.items()}
    assert json.loads(said[0]) == json.loads(said[1]) == here


@pytest.mark.parametrize("group", [name for name in GROUPS if name not in ("functions", "modules")])
def test_a_choice_that_was_sent_to_another_process_finds_its_options(group: str) -> None:
    choice = Choice("c", GROUPS[group])
    choice.index(GROUPS[group][0])
    sent = pickle.loads(pickle.dumps(choice))
    assert [sent.index(option) for option in GROUPS[group]] == list(range(len(GROUPS[group])))
    assert sent == choice


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_options_that_cannot_be_recorded_or_told_apart_are_refused_when_the_choice_is_made(
    options: list[Any], said: str
) -> None:
    with pytest.raises(SpaceError, match=f"(?s)choice 'opt' .*{said}"):
        Choice("opt", options)


@pytest.mark.parametrize(("options", "said"), [({1, 2}, "order differs between processes"), (b"ab", "bytes"), (3, "3")])
def test_what_is_no_sequence_of_options_is_refused(options: Any, said: str) -> None:
    with pytest.raises(SpaceError, match=f"choice 'c' got .*{said}.*give a (list|sequence) of options"):
        Choice("c", options)


@pytest.mark.slow
def test_what_is_not_an_option_is_refused_in_a_sentence_whatever_it_is() -> None:
    choice = Choice("c", [1, 2.5, "a", *(f"option {i}" for i in range(1000))])
    for options in GROUPS.values():
        for option in options:
            if type(option) not in (int, float, str):
                if isinstance(option, Exception) or (not isinstance(option, bool) and _equals_an_option(option)):
                    continue
                with pytest.raises(SpaceError, match=SAID) as told:
                    choice.index(option)
                assert len(str(told.value)) < 3000


def _equals_an_option(option: Any) -> bool:
    try:
        return any(bool(option == known) for known in (1, 2.5, "a"))
    except Exception:
        return False


NUMBERS = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=3), st.none(), st.decimals(), st.complex_numbers(),
    st.fractions(), st.binary(max_size=2), st.floats(width=32).map(np.float32), st.integers(-9, 9).map(np.int8),
)  # fmt: skip
NESTED = st.recursive(
    NUMBERS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


@pytest.mark.slow
@given(st.lists(NESTED, min_size=1, max_size=8, unique_by=_shown))
def test_any_values_that_differ_in_type_or_text_are_options_that_are_found_again(options: list[Any]) -> None:
    choice = Choice("c", options)
    assert [choice.index(copied(option)) for option in options] == list(range(len(options)))
    assert [choice.index(label) for label in json.loads(json.dumps(choice.labels))] == list(range(len(options)))
    assert all(same(choice.option(i), option) for i, option in enumerate(options))


@pytest.mark.parametrize(
    ("group", "storage"),
    slow_if(
        lambda group, storage: group not in A_FEW or storage != "journal",
        itertools.product(GROUPS, ("memory", "journal", "sqlite")),
        lambda group, storage: group not in A_FEW and storage != "journal",
    ),
)
def test_a_search_records_options_and_gives_them_back(
    group: str, storage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = GROUPS[group]
    place = {"memory": "memory", "journal": str(tmp_path), "sqlite": f"sqlite:///{tmp_path}/all.db"}[storage]
    space = Space([Choice("c", options), Choice("n", (1, 2))])
    given: list[Any] = []

    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        given.append(choices["c"])
        return {"loss": float(len(given))}

    start = [{"c": copied(option), "n": 1} for option in options]
    call: dict[str, Any] = {"space": space, "evaluate": evaluate, "objectives": {"loss": "min"}, "progress": False}
    call |= {"storage": place, "name": "awkward", "callbacks": [JSONLines(tmp_path / "lines.jsonl")]}
    result = searchkit.run("random", start=start, budget=len(options), **call)
    assert all(map(same, given, options))
    found = [result]
    if storage != "memory":
        found.append(searchkit.load("awkward", place, space=space))
        searchkit.run("random", start=start, budget=len(options) + 1, **call)
        assert len(given) == len(options) + 1
        assert main(["show", "awkward", "--history", "--storage", place]) == 0
        assert main(["show", "awkward", "--history", "--json", "--storage", place]) == 0
        capsys.readouterr().out.encode("utf-8")
        labels = searchkit.load("awkward", place).history["c"].tolist()[: len(options)]
        assert all(map(same, labels, space.choices[0].labels))
    for one in found:
        assert all(map(same, one.history["c"].tolist(), options))
        assert same(one.best()["c"], options[0])
        assert same(one.front["c"].tolist()[0], options[0])
        assert len(one._repr_html_()) > 0
        one.report(tmp_path / "page.html")
        assert (tmp_path / "page.html").read_text(encoding="utf-8").count("awkward")
    written = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    lines = [line["choices"]["c"] for line in written if line["event"] == "candidate"][: len(options)]
    assert all(map(same, lines, space.choices[0].labels))


def test_the_best_row_has_whole_numbers_where_the_options_are() -> None:
    space = Space([Choice("width", (8, 16)), Choice("lr", (0.5, 1.0))])
    result = searchkit.run(
        "random", space=space, evaluate=lambda c: {"loss": c["width"] + c["lr"]}, objectives={"loss": "min"},
        budget=4, storage="memory", progress=False,
    )  # fmt: skip
    assert [type(result.best()[name]) for name in ("width", "lr", "loss")] == [int, float, float]
    assert (result.best()["width"], result.best()["lr"]) == (8, 0.5)


def test_a_record_of_whole_numbers_is_not_continued_with_broken_ones_or_truths(tmp_path: Path) -> None:
    def search(options: list[Any]) -> Any:
        return searchkit.run(
            "random", space=Space([Choice("c", options)]), evaluate=lambda c: {"loss": 1.0}, objectives={"loss": "min"},
            budget=1, storage=str(tmp_path), name="numbers", progress=False,
        )  # fmt: skip

    search([1, 0])
    for others in ([1.0, 0.0], [True, False]):
        with pytest.raises(StudyMismatchError, match="study 'numbers' holds another search"):
            search(others)


def test_a_nan_option_is_found_by_another_nan() -> None:
    assert Choice("c", [1.0, math.nan]).index(float("nan")) == 1
    assert Choice("c", [1.0, math.nan]).index(np.float64("nan")) == 1


def test_an_earlier_study_of_truths_does_not_teach_one_of_whole_numbers() -> None:
    def search(options: list[Any], **more: Any) -> searchkit.Result:
        return searchkit.run(
            "random", space=Space([Choice("c", options)]), evaluate=lambda c: {"loss": 1.0}, objectives={"loss": "min"},
            budget=2, storage="memory", progress=False, **more,
        )  # fmt: skip

    with pytest.raises(searchkit.SearchkitError, match="choice 'c' differs"):
        search([1, 0], earlier=search([True, False]))


def test_the_call_that_a_report_prints_has_options_that_python_reads(tmp_path: Path) -> None:
    for options, written in (([1, 2], True), ([1.0, math.inf], False), ([0.0, math.nan], False)):
        result = searchkit.run(
            "random", space=Space([Choice("c", options)]), evaluate=lambda c: {"loss": 1.0}, objectives={"loss": "min"},
            budget=2, storage="memory", progress=False,
        )  # fmt: skip
        page = result.report(tmp_path / "page.html").read_text(encoding="utf-8")
        assert ("searchkit.Choice(" in page) is written


@pytest.mark.slow
@pytest.mark.parametrize(
    "group", [pytest.param(name, marks=pytest.mark.thorough) for name in ("ones", "sets", "functions")] + ["objects"]
)
def test_worker_processes_are_given_the_options_themselves(group: str) -> None:
    options = GROUPS[group]
    result = searchkit.run(
        "random", space=Space([Choice("c", options)]), objectives={"loss": "min"}, executor=2, batch=4,
        evaluate=lambda c: {"loss": 1.0, "length": _length(c["c"])},
        start=[{"c": copied(option)} for option in options], budget=len(options), storage="memory", progress=False,
    )  # fmt: skip
    lengths = [_length(option) for option in options]
    assert result.history["length"].tolist() == lengths
    assert all(map(same, result.history["c"].tolist(), options))


def _length(option: Any) -> int:
    """That tells options apart, whatever the process: of the type's name, and of the text without addresses."""
    return len(f"{type(option).__qualname__} {str(option).partition(' at 0x')[0]}")
