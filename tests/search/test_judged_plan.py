"""What a plan says of the proxies that judge candidates, and that it counts their time."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit.errors import StopSearch
from searchkit.search.plan import Plan
from searchkit.types import Codes, Floats

DATA = searchkit.load_data("digits", limit=120)
SPACE = searchkit.load_space("nas-bench-201", width=[4], cells=1)


class Slow:
    """A proxy that takes a quarter of a second for each network."""

    name = "slow"

    def score(self, codes: Codes) -> Floats:
        time.sleep(0.25 * len(codes))
        return codes[:, 0].astype(float)


def planned(**given: Any) -> Any:
    call: dict[str, Any] = {"space": SPACE, "data": DATA, "budget": {"seconds": 60}, "storage": "memory"} | given
    return searchkit.plan("random", **call)


def said_of_proxies(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith("proxies: ")]


@pytest.mark.slow
def test_a_plan_says_which_proxies_judge_and_counts_what_they_take() -> None:
    none, slow = planned(proxies=()), planned(proxies=[Slow()])
    assert said_of_proxies(none.lines) == []
    (line,) = said_of_proxies(slow.lines)
    assert "slow" in line
    assert 0.25 <= slow.score_seconds < 0.5
    assert f"{round(1000 * slow.score_seconds)} ms a network" in line or "no time for as many" in line


def test_scores_take_the_place_of_candidates() -> None:
    made = planned(proxies=())
    assert isinstance(made, Plan)
    whole = replace(made, candidates=40, slot=2.0)
    judged = whole.judged_in("proxies: slow", 0.1, 20, 5)
    assert judged.with_scores.candidates == int((40 * 2.0 - 20 * 0.1) / (2.0 + 5 * 0.1))
    assert whole.with_scores == whole
    assert judged.lines[-1] == "proxies: slow"
    assert Plan.from_record(judged.described()) == judged
    later = judged.continued(200.0, 1, spent=50.0, done=20)
    assert later.candidates < whole.continued(200.0, 1, spent=50.0, done=20).candidates


def words_of(line: str) -> str:
    """Without its numbers, which are of how fast the machine was at the time."""
    return re.sub(r"[\d.,]+", "0", line)


@pytest.mark.slow
def test_the_plan_of_the_default_call_has_the_line_that_its_search_logs(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = said_of_proxies(planned(budget={"seconds": 8, "evaluations": 4}).lines)
    with caplog.at_level(logging.INFO, "searchkit"):
        searchkit.run(
            "random", space=SPACE, data=DATA, budget={"seconds": 8, "evaluations": 4}, storage="memory",
            callbacks=[stop],
        )  # fmt: skip
    assert [words_of(said) for said in said_of_proxies(caplog.messages)] == [words_of(line)]
    assert line.startswith("proxies: none, since judging before training pays from")


@pytest.mark.slow
def test_an_estimate_has_them_too() -> None:
    call: dict[str, Any] = {"budget": 30, "epochs": 1}
    none, slow = planned(proxies=(), **call), planned(proxies=[Slow()], **call)
    (line,) = said_of_proxies(slow.lines)
    assert "slow judge networks before they are trained, which takes 2" in line
    assert slow.seconds > none.seconds + 0.25 * 30 * 16
    assert len(said_of_proxies(planned(**call).lines)) == 1
    assert said_of_proxies(none.lines) == []


@pytest.mark.slow
def test_what_trains_before_it_scores_is_not_measured() -> None:
    made = planned(
        space="macro", data=searchkit.load_data("digits", limit=120), proxies=["dna"], budget={"seconds": 90}
    )
    (line,) = said_of_proxies(made.lines)
    assert line.endswith("for a time that is not known before")


def stop(trial: Any, trials: Sequence[Any]) -> None:
    raise StopSearch


@pytest.mark.thorough
@pytest.mark.parametrize("names", [(), ("params", "macs")], ids=["none", "some"])
@pytest.mark.parametrize("given", [{"budget": 30, "epochs": 1}, {"budget": {"seconds": 20}}], ids=["number", "time"])
def test_a_continued_study_says_again_what_judges(
    names: tuple[str, ...], given: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from searchkit.proxy_layer.automatic import Judges

    monkeypatch.setattr("searchkit.judged._chosen", lambda *_: Judges(names, "proxies: as a test says", 0.001))
    call: dict[str, Any] = {"space": SPACE, "data": DATA, "storage": tmp_path, "name": "s", "callbacks": [stop]} | given
    searchkit.run("random", **call)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO, "searchkit"):
            searchkit.run("random", **call)
        (line,) = said_of_proxies(caplog.messages)
        judge = "params, macs judge networks before they are trained" if names else "none"
        assert line == f"proxies: {judge}, as this study was begun"
    assert said_of_proxies(searchkit.plan("random", **call).lines) == [line]


def test_a_search_without_proxies_says_nothing_of_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    call: dict[str, Any] = {"space": SPACE, "data": DATA, "storage": tmp_path, "budget": 2, "epochs": 1}
    with caplog.at_level(logging.INFO, "searchkit"):
        for _ in range(2):
            searchkit.run("random", proxies=(), **call)
    assert said_of_proxies(caplog.messages) == []
    assert np.isfinite(planned(proxies=()).slot)
