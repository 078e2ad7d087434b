"""What a report says of data that were objects, of candidates without an outcome, and of the time of a search."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import searchkit
from searchkit.errors import StudyMismatchError
from searchkit.problem.trial import State
from searchkit.results.report.call import call
from searchkit.results.report.facts import Facts
from searchkit.results.result import Result

SPACE = searchkit.load_space("nas-bench-201", width=[4], cells=1)


def search(folder: Path | str, data: Any, **given: Any) -> Result:
    call: dict[str, Any] = {"budget": 2, "epochs": 1, "proxies": (), "name": "s"} | given
    return searchkit.run("random", space=SPACE, data=data, storage=folder, **call)


def text(result: Result, folder: Path) -> str:
    """The words of a page, without its markup."""
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", result.report(folder / "page.html").read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_the_call_of_a_search_over_an_object_leaves_it_to_be_filled_in_and_then_continues(tmp_path: Path) -> None:
    few = replace(searchkit.load_data("digits", limit=200), loaded=None)
    search(tmp_path, few)
    loaded = searchkit.load("s", tmp_path)
    code = call(Facts(loaded))
    assert "data=data,  # " in code
    assert "the same data" in code
    names: dict[str, Any] = {"data": few}
    exec(code.replace('name="s"', f'storage={str(tmp_path)!r}, name="s"'), names)
    assert len(names["result"].trials) == 2


def test_the_call_of_a_search_over_data_that_were_loaded_loads_them(tmp_path: Path) -> None:
    search(tmp_path, searchkit.load_data("digits", limit=200, seed=1))
    code = call(Facts(searchkit.load("s", tmp_path)))
    assert 'data=searchkit.load_data("digits", seed=1, limit=200),' in code
    names: dict[str, Any] = {}
    exec(code.replace('name="s"', f'storage={str(tmp_path)!r}, name="s"'), names)
    assert len(names["result"].trials) == 2


@pytest.mark.slow
def test_the_call_of_a_search_over_a_name_has_the_name(tmp_path: Path) -> None:
    assert 'data="digits",' in call(Facts(search(tmp_path, "digits", budget=1)))


def test_a_record_that_does_not_say_how_data_were_given_has_their_name(tmp_path: Path) -> None:
    result = search(tmp_path, searchkit.load_data("digits", limit=200), budget=1)
    del result.context["data"]["object"]
    assert 'data="digits",' in call(Facts(result))


def test_other_data_of_the_same_name_are_refused_in_words(tmp_path: Path) -> None:
    search(tmp_path, searchkit.load_data("digits", limit=200), budget=1)
    said = (
        r"differs in data, which are others, or are split or limited otherwise \(fingerprint recorded \w+, asked \w+\)"
    )
    with pytest.raises(StudyMismatchError, match=said):
        search(tmp_path, "digits", budget=1)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2])
def test_candidates_without_an_outcome_of_a_search_that_ended(n: int, tmp_path: Path) -> None:
    result = search("memory", searchkit.load_data("digits", limit=200), budget=4)
    for trial in result.trials[-n:]:
        trial.state = State.ASKED
    said = text(result, tmp_path)
    have = "1 candidate has" if n == 1 else "2 candidates have"
    assert f"{have} no outcome: the search ended before" in said
    assert "outcome yet" not in said


@pytest.mark.slow
def test_one_candidate_that_breaks_a_bound_is_one(tmp_path: Path) -> None:
    result = search("memory", searchkit.load_data("digits", limit=200), budget=4)
    result.trials[-1].state = State.INFEASIBLE
    said = text(result, tmp_path)
    assert "1 candidate breaks a bound that is known without training, and was not trained." in said


@pytest.mark.parametrize(
    "given",
    [{"budget": 2, "epochs": 1}, pytest.param({"budget": {"seconds": 6}, "epochs": None}, marks=pytest.mark.thorough)],
)
@pytest.mark.slow
def test_the_time_of_a_search_includes_what_came_after_its_last_candidate(
    given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchkit.planned.WORTH", 0.0)  # the ending of so small a search is worth no note otherwise
    result = search(tmp_path, searchkit.load_data("digits", limit=200), **given)
    last = max(trial.elapsed for trial in result.trials)
    for one in (result, searchkit.load("s", tmp_path)):
        facts = Facts(one)
        assert facts.took > last
        said = text(one, tmp_path)
        assert "until its last candidate ended" in said
        trained = sum(entry["seconds"] for entry in one.finals.values())
        assert ("final training" in said) == bool(trained)
        assert trained < facts.took
    before, n = Facts(result).took, len(result.trials)
    again = search(tmp_path, searchkit.load_data("digits", limit=200), **given)
    more = given["budget"] != 2 and len(again.trials) > n  # what was left of the time was enough for another candidate
    assert Facts(again).took == pytest.approx(before, abs=2e-3) or (more and Facts(again).took > before)
