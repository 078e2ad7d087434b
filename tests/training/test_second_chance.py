"""A second chance on the ladder: who comes back, once, with its values, and as a function of the record."""

from __future__ import annotations

import math
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.killing import in_a_process_that_is_killed
from hypothesis import given, settings
from hypothesis import strategies as st

import searchkit
from searchkit.errors import SearchkitError
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.trial import State, Trial
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.training.evaluator import Training
from searchkit.training.fidelity import ETA, Ladder, Rung, n_promoted, read_ladder
from searchkit.training.second_chance import carry, returning
from searchkit.types import Codes

DIGITS = searchkit.load_data("digits", limit=400)
CELLS = nas_bench_201(width=[4, 6, 8, 12], cells=1)
RUNGS = ({"epochs": 1, "again": True}, {"epochs": 3, "data": 0.5, "again": True})
FIRST, SECOND = "accuracy (epochs=1)", "accuracy (epochs=3, data=0.5)"
GOALS = Goals((Objective("accuracy", "max"),), ())
LADDER = Ladder((Rung(epochs=1, again=True),), ("accuracy",))


def imagined(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
    """An accuracy that costs nothing: that of a rung is near the full one, and of the candidate's own."""
    full = (code * np.arange(1, len(code) + 1)).sum() % 23 / 23
    return {"accuracy": float(full if rung is None else full * 0.9 + (seed % 7) / (100 * (rung + 1)))}


@pytest.fixture(autouse=True)
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "__call__", imagined)


def search(strategy: str = "random", **changed) -> searchkit.Result:
    call = {
        "space": CELLS, "data": DIGITS, "budget": 30, "batch": 5, "epochs": 4, "ladder": RUNGS, "storage": "memory",
        "objectives": ("accuracy",),
    }  # fmt: skip
    return searchkit.run(strategy, **(call | changed))


def history(result: searchkit.Result):
    return result.history.drop(columns="seconds")


def trial(number: int, batch: int, accuracy: float, state: State, code: int | None = None) -> Trial:
    return Trial(number, batch, 1, np.array([number if code is None else code]), state, {FIRST: accuracy})


def twice(trials: list[Trial]) -> list[tuple[Trial, Trial]]:
    """Trials of one candidate, the earlier and the later."""
    seen: dict[bytes, Trial] = {}
    pairs = []
    for one in trials:
        if one.code.tobytes() in seen:
            pairs.append((seen[one.code.tobytes()], one))
        seen[one.code.tobytes()] = one
    return pairs


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=30), st.integers(1, 9), st.integers(0, 10_000))
def test_the_best_third_of_a_rung_comes_back_in_its_order(values: list[int], size: int, seed: int) -> None:
    dropped = np.random.default_rng(seed).random(len(values)) < 0.7
    trials = [
        trial(i, i, float(v), State.DROPPED if gone else State.SCORED)
        for i, (v, gone) in enumerate(zip(values, dropped, strict=True))
    ]
    best = sorted(trials, key=lambda t: (-t.values[FIRST], t.number))[: n_promoted(len(trials))]
    wanted = [t.number for t in best if t.state is State.DROPPED][: math.ceil(size / ETA)]
    assert [t.number for t in returning(LADDER, trials, GOALS, size)] == wanted
    assert returning(Ladder((Rung(epochs=1),), ("accuracy",)), trials, GOALS, size) == []


def test_a_candidate_comes_back_once_and_is_compared_there_no_more() -> None:
    trials = [trial(0, 0, 0.8, State.DROPPED), *(trial(i, 1, 0.1 * i, State.DROPPED) for i in (1, 2))]
    assert [t.number for t in returning(LADDER, trials, GOALS, 3)] == [0]
    back = Trial(3, 2, 1, np.array([0]))
    trials += [back]
    carry(LADDER, trials)
    assert back.values == {FIRST: 0.8}
    trials += [trial(i, 3, 0.9, State.ASKED) for i in range(4, 9)]
    assert LADDER.dropped([back], trials, 0, GOALS) == {}
    back.state = State.DROPPED  # whatever becomes of it
    assert 0 not in [t.code[0] for t in returning(LADDER, trials, GOALS, 9)]
    assert [t.number for t in LADDER.order(trials, 0, GOALS) if t.code[0] == 0] == [3]


def test_who_came_back_is_a_trial_of_its_own_and_trained_in_full_without_its_rung() -> None:
    calls: list[tuple[bytes, int | None]] = []

    def counted(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        calls.append((code.tobytes(), rung))
        return imagined(training, code, seed, rung)

    Training.__call__ = counted  # type: ignore[method-assign]  # the fixture takes it back
    result = search(ladder=RUNGS[:1], budget=60)
    pairs = twice(result.trials)
    assert pairs
    for before, after in pairs:
        assert before.state is State.DROPPED
        assert after.state is State.SCORED
        assert before.batch < after.batch
        assert after.values[FIRST] == before.values[FIRST]
    assert set(Counter(calls).values()) == {1}
    assert len(result.history) == 60
    loads = Counter(one.batch for one in result.trials)
    assert set(loads.values()) == {5}


def test_without_again_nothing_changes_and_the_record_says_what_it_did() -> None:
    assert Rung(epochs=3).written == Rung(epochs=3).given == {"epochs": 3}
    assert Rung(epochs=3, again=True).written == {"epochs": 3, "again": True}
    assert Rung(epochs=3, again=True).label == "epochs=3"
    off = tuple({name: value for name, value in rung.items() if name != "again"} for rung in RUNGS)
    assert read_ladder(off, 4) == read_ladder([rung | {"again": False} for rung in off], 4)
    assert not twice(search(ladder=off).trials)


@pytest.mark.parametrize("strategy", ["random", "nsga2"])
@pytest.mark.parametrize("stopped", [13, 27])
def test_an_interrupted_search_goes_on_to_the_same_history(strategy: str, stopped: int, tmp_path: Path) -> None:
    def stop(trial: Trial, trials: list[Trial]) -> None:
        if sum(one.finished for one in trials) == stopped:
            raise KeyboardInterrupt

    given = {"storage": tmp_path, "name": "s"}
    assert search(strategy, callbacks=[stop], **given).stopped == "interrupted"
    whole = search(strategy)
    assert history(search(strategy, **given)).equals(history(whole))
    assert twice(whole.trials)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("count", [11, 31])
def test_killed_in_the_middle_of_a_write_it_goes_on_to_the_same_history(count: int, tmp_path: Path) -> None:
    in_a_process_that_is_killed("write", count, "training", lambda tick: search(storage=tmp_path, name="s"))
    assert history(search(storage=tmp_path, name="s")).equals(history(search()))


@pytest.mark.slow
def test_as_workers_free_candidates_come_back_and_nothing_is_trained_twice_or_lost(tmp_path: Path) -> None:
    def stop(trial: Trial, trials: list[Trial]) -> None:
        if sum(one.finished for one in trials) == 25:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        given = {"executor": pool, "workers": 2, "batch": None, "budget": 60, "storage": tmp_path, "name": "s"}
        search(callbacks=[stop], **given)
        result = search(**given)
    pairs = twice(result.trials)
    assert len(result.trials) == 60
    assert all(one.finished for one in result.trials)
    assert pairs
    assert max(Counter(one.code.tobytes() for one in result.trials).values()) == 2
    for before, after in pairs:
        assert (before.state, before.values[FIRST]) == (State.DROPPED, after.values[FIRST])


def test_econas_is_three_rungs_from_which_candidates_come_back() -> None:
    assert read_ladder("econas", 200) == tuple(Rung(epochs=n, again=True) for n in (20, 40, 60))
    assert [rung.label for rung in read_ladder("econas", 10)] == ["epochs=1", "epochs=2", "epochs=3"]
    with pytest.raises(SearchkitError, match="ladder='econas' trains for a tenth of the epochs first; 9 are too few"):
        read_ladder("econas", 9)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"ladder": ({"epochs": 1, "again": 1},)}, "again in rung 1 of the ladder is True or False, not 1"),
        ({"ladder": ({"again": True},)}, "rung 1 of the ladder sets some of epochs, resolution, width, data; it is"),
        ({"ladder": ({"epochs": 1, "agian": True},)}, "unknown setting of a rung 'agian': .* Did you mean 'again'"),
        (
            {"ladder": RUNGS[:1], "training": lambda network, data, report: {"accuracy": 1.0}, "epochs": None},
            "says again=True, but your training function is stopped in the middle",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(changed: dict, sentence: str) -> None:
    with pytest.raises(SearchkitError, match=sentence) as refused:
        search(**changed)
    assert "\n" not in str(refused.value)
