"""A sampler reads of a study what is new or had not finished, whatever keeps the study and whoever writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from searchkit.integrations.optuna import SearchkitSampler
from searchkit.storage.optuna_compat import all_trials, quiet, unread_trials
from searchkit.strategies.optuna_storage import Shelf

RANGE = {"x": FloatDistribution(0, 1)}


@pytest.fixture(autouse=True)
def _no_chatter() -> Iterator[None]:
    with quiet():
        yield


def opened(kind: str, folder: Path) -> Any:
    if kind == "memory":
        return InMemoryStorage()
    if kind == "sqlite":
        return f"sqlite:///{folder}/study.db"
    return JournalStorage(JournalFileBackend(f"{folder}/study.log"))


@pytest.mark.parametrize("kind", ["memory", "sqlite", "journal"])
def test_a_reader_is_given_the_trials_that_are_new_or_had_not_finished(kind: str, tmp_path: Path) -> None:
    storage = opened(kind, tmp_path)
    written = optuna.create_study(study_name="s", storage=storage)
    read = written if kind == "memory" else optuna.load_study(study_name="s", storage=opened(kind, tmp_path))
    rng, running, n_read, unfinished = np.random.default_rng(0), [], 0, []
    for _ in range(12):
        for action in rng.integers(4, size=2).tolist():
            if action < 2:
                running.append(written.ask(RANGE))
            elif action == 2:
                written.enqueue_trial({"x": 0.5})
            elif running:
                state = TrialState.PRUNED if rng.random() < 0.3 else TrialState.COMPLETE
                written.tell(running.pop(int(rng.integers(len(running)))), None if state.value == 2 else 1.0, state)
        found, there = unread_trials(read, unfinished, n_read), all_trials(read)
        assert [t.number for t in found] == [*unfinished, *range(n_read, len(there))]
        assert found == [there[t.number] for t in found]
        n_read, unfinished = len(there), [t.number for t in there if not t.state.is_finished()]
    assert n_read > 8
    assert 0 < len(unfinished) < n_read


def test_of_a_storage_that_is_not_optunas_all_trials_are_listed() -> None:
    shelf = Shelf(1)
    for _ in range(3):
        shelf.finish(optuna.create_trial(value=1.0))
    shelf.begin()
    study = optuna.Study("searchkit", shelf)
    assert [t.number for t in unread_trials(study, [0], 2)] == [0, 2, 3]


def test_a_number_that_is_not_written_yet_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(storage="sqlite://")
    for _ in range(4):
        study.ask(RANGE)
    assert [t.number for t in unread_trials(study, [], 0)] == [0, 1, 2, 3]
    del study._storage._studies[study._study_id].trials[2]
    monkeypatch.setattr(study._storage, "_read_trials_from_remote_storage", lambda *_: None)
    assert [t.number for t in unread_trials(study, [], 0)] == [0, 1, 3]


def test_a_suggestion_lists_no_finished_trials_again(monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(sampler=SearchkitSampler("random", seed=0))
    for _ in range(3):
        study.tell(study.ask(RANGE), 1.0)
    listed = []
    whole = InMemoryStorage.get_all_trials

    def counted(self: Any, study_id: int, deepcopy: bool = True, states: Any = None) -> Any:
        listed.append(states)
        return whole(self, study_id, deepcopy, states)

    monkeypatch.setattr(InMemoryStorage, "get_all_trials", counted)
    study.tell(study.ask(RANGE), 1.0)
    assert listed == [(TrialState.WAITING,)], "which is Optuna's own"


@pytest.mark.parametrize("state", [optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL])
def test_a_parameter_that_no_complete_trial_has_does_no_harm(state: optuna.trial.TrialState) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            trial.suggest_int("depth", 1, 3)
            raise optuna.TrialPruned if state is optuna.trial.TrialState.PRUNED else ValueError
        return x

    study = optuna.create_study(sampler=SearchkitSampler("tpe", seed=0))
    study.optimize(objective, n_trials=5, catch=(ValueError,))
    assert [trial.state.is_finished() for trial in study.trials] == [True] * 5
    assert study.trials[1].state is state
