"""Those who only read a journal file see what Optuna's storage makes of it, and only the file that they need."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import searchkit
from searchkit import Choice, Space
from searchkit.errors import StorageError
from searchkit.storage.journal import JournalFile, line_of
from searchkit.storage.journal_reader import read_journal
from searchkit.storage.optuna_compat import quiet

# Floats are written as JSON as Python has it, so nan and infinities are among them.
ATTRIBUTES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)
DISTRIBUTIONS = (
    CategoricalDistribution((1, 1.0, True, None, "a", "ä", math.inf)),
    CategoricalDistribution(("x",)),
    FloatDistribution(-1.5, 2.5),
    FloatDistribution(1e-6, 1e3, log=True),
    FloatDistribution(0.0, 1.0, step=0.1),
    IntDistribution(-3, 7),
    IntDistribution(1, 1024, log=True),
    IntDistribution(0, 10, step=5),
)
TIMES = ("2026-01-02T03:04:05.678901+00:00", "2026-07-02T23:59:59.000000+00:00", "2026-07-02T23:59:59+05:30")


def as_optuna_reads(path: Path) -> str:
    """Studies, their attributes and trials as text, in which nan is nan."""
    with quiet():
        storage = JournalStorage(JournalFileBackend(str(path)))
    names = [study.study_name for study in storage.get_all_studies()]
    studies = [optuna.load_study(study_name=name, storage=storage) for name in names]
    return repr([(study.study_name, study.user_attrs, study.get_trials()) for study in studies])


def as_we_read(path: Path) -> str:
    return repr([(study.name, study.attributes, study.trials()) for study in read_journal(path)])


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Operations in the format of a journal, also on what is not there, has ended, was deleted or is there already."""
    study, trial = st.integers(0, 3), st.integers(-1, 6)
    name, time = st.sampled_from("ab"), st.sampled_from(TIMES)
    state = st.sampled_from([int(state) for state in TrialState])
    values = st.one_of(st.none(), st.lists(st.floats(), min_size=1, max_size=2))
    attribute = st.dictionaries(st.sampled_from("kl"), ATTRIBUTES, min_size=1, max_size=1)

    def parameters(distributions: dict[str, int]) -> dict[str, Any]:
        return {
            "distributions": {n: distribution_to_json(DISTRIBUTIONS[i]) for n, i in distributions.items()},
            "params": {n: draw(internal(DISTRIBUTIONS[i])) for n, i in distributions.items()},
        }

    def internal(distribution: Any) -> st.SearchStrategy[Any]:
        if isinstance(distribution, CategoricalDistribution):
            return st.integers(0, len(distribution.choices) - 1)
        return st.floats(0, 1) if isinstance(distribution, FloatDistribution) else st.integers(0, 1)

    def operation() -> dict[str, Any]:
        code = draw(st.sampled_from([0, 1, 2, 3, 4, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10]))
        found: dict[str, Any] = {"op_code": code, "worker_id": "w"}
        if code == 0:
            return found | {"study_name": draw(name), "directions": draw(st.lists(st.integers(1, 2), max_size=2))}
        if code in (1, 2, 3, 4):
            found["study_id"] = draw(study)
        elif code != 10:
            found["trial_id"] = draw(trial)
        if code == 4 and draw(st.booleans()):
            return found | {"datetime_start": draw(time)}  # as study.ask() writes it
        if code == 4:
            value = draw(st.one_of(st.none(), st.floats()))
            return found | parameters(draw(st.dictionaries(name, st.integers(0, len(DISTRIBUTIONS) - 1)))) | {
                "datetime_start": draw(st.one_of(st.none(), time)), "datetime_complete": draw(time),
                "state": draw(state), "value": value, "values": draw(values) if value is None else None,
                "user_attrs": draw(attribute), "system_attrs": draw(attribute),
                "intermediate_values": draw(st.dictionaries(st.integers(0, 5).map(str), st.floats(), max_size=2)),
            }  # fmt: skip
        if code == 5:
            distribution = draw(st.sampled_from(DISTRIBUTIONS))
            return found | {
                "param_name": draw(name), "param_value_internal": draw(internal(distribution)),
                "distribution": distribution_to_json(distribution),
            }  # fmt: skip
        return found | {
            1: {}, 10: {}, 2: {"user_attr": draw(attribute)}, 3: {"system_attr": draw(attribute)},
            6: {"state": draw(state), "values": draw(values), "datetime_start": draw(time),
                "datetime_complete": draw(time)},
            7: {"step": draw(st.integers(0, 5)), "intermediate_value": draw(st.floats())},
            8: {"user_attr": draw(attribute)}, 9: {"system_attr": draw(attribute)},
        }[code]  # fmt: skip

    first = {"op_code": 0, "worker_id": "w", "study_name": "a", "directions": [1]}
    return [first, *(operation() for _ in range(draw(st.integers(1, 25))))]


@contextlib.contextmanager
def written(lines: list[str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.journal"
        path.write_text("".join(line + "\n" for line in lines))
        yield path


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=logs(), checked=st.booleans())
def test_any_operations_come_to_what_optuna_makes_of_them(history: list[dict[str, Any]], checked: bool) -> None:
    with written([line_of(log) if checked else json.dumps(log) for log in history]) as path:
        assert as_we_read(path) == as_optuna_reads(path)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=logs(), data=st.data())
def test_what_optuna_cannot_read_is_damaged_and_the_line_is_named(
    history: list[dict[str, Any]], data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(history) - 1))
    key = data.draw(st.sampled_from(sorted(history[number].keys() - {"worker_id"})))
    wrong = data.draw(st.sampled_from([77, "x", None, [], {"k": 1, "l": 2}, "missing"]))
    assume(key != "study_name" or wrong in ("x", "missing"))  # Optuna may take others and we do not: the next tests
    history[number] = {k: v for k, v in history[number].items() if k != key} | (
        {} if wrong == "missing" else {key: wrong}
    )
    with written([line_of(log) for log in history]) as path:
        try:
            theirs = as_optuna_reads(path)
        except Exception:
            with pytest.raises(StorageError, match=rf"is damaged in line {number + 1} "):
                as_we_read(path)
        else:
            assert as_we_read(path) == theirs


@pytest.mark.parametrize("name", [None, "missing"])
def test_a_study_without_a_name_is_damaged_and_the_line_is_named(name: str | None) -> None:
    """Of one named None Optuna says that there is not exactly one study."""
    first = {"op_code": 0, "worker_id": "w", "study_name": "a", "directions": [1]}
    second = {"op_code": 0, "worker_id": "w", "directions": [1]} | ({} if name else {"study_name": None})
    with written([line_of(log) for log in (first, second)]) as path:
        with (
            pytest.raises(ValueError, match="not contain exactly 1 study") if name is None else pytest.raises(KeyError)
        ):
            as_optuna_reads(path)
        with pytest.raises(StorageError, match="is damaged in line 2 "):
            as_we_read(path)


@pytest.mark.parametrize("name", ["a\ud800b", 5, [1], {}])
def test_a_study_whose_name_is_no_text_is_damaged_and_hides_no_other(
    name: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file, called in (("s", name), ("other", "other")):
        log = {"op_code": 0, "worker_id": "w", "study_name": called, "directions": [1]}
        (tmp_path / f"{file}.journal").write_text(line_of(log) + "\n")
    with caplog.at_level(logging.WARNING, "searchkit"):
        assert len(searchkit.list_studies(tmp_path)) == 0  # the other has no header of ours
    assert "s.journal is damaged in line 1 (the name of its study" in caplog.text
    assert caplog.text.count("\n") == 1
    with pytest.raises(StorageError, match=r"is damaged in line 1 \(the name of its study"):
        searchkit.load("s", tmp_path)


KINDS = {
    "float": lambda trial, name: trial.suggest_float(name, -1, 1),
    "log": lambda trial, name: trial.suggest_float(name, 1e-6, 1e3, log=True),
    "step": lambda trial, name: trial.suggest_float(name, 0, 1, step=0.25),
    "int": lambda trial, name: trial.suggest_int(name, -5, 5),
    "categorical": lambda trial, name: trial.suggest_categorical(name, (1, "1", None, True, 2.5)),
}


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 1),  # which study
            st.lists(st.sampled_from(sorted(KINDS)), max_size=4),
            st.lists(
                st.tuples(st.integers(0, 9), st.floats()), max_size=3, unique_by=lambda report: report[0]
            ),  # reported
            ATTRIBUTES,
            st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, None]),
            st.booleans(),  # whether another is queued, and whether that is taken up
        ),
        max_size=8,
    ),
    ours=st.booleans(),
)
def test_what_optuna_writes_is_read_as_optuna_reads_it(steps: list[Any], ours: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "s.journal"
        storage = JournalStorage(JournalFile(path) if ours else JournalFileBackend(str(path)))
        sampler = optuna.samplers.RandomSampler(seed=0)
        studies = [optuna.create_study(storage=storage, study_name=name, sampler=sampler) for name in ("a", "b")]
        for which, kinds, reported, attribute, end, queued in steps:
            study = studies[which]
            if queued:
                study.enqueue_trial({"float": 0.5}, user_attrs={"queued": attribute})
            trial = study.ask()
            for kind in kinds:
                KINDS[kind](trial, kind)
            for step, value in reported:
                trial.report(value, step)
            trial.set_user_attr("attribute", attribute)
            trial.set_constraint("size", 1.5)
            study.set_user_attr("latest", attribute)
            if end is not None:
                study.tell(trial, 0.25 if end is TrialState.COMPLETE else None, state=end)
        assert as_we_read(path) == as_optuna_reads(path)


SPACE = Space([Choice("a", range(6)), Choice("b", range(6))])


def search(storage: Path, name: str, budget: int = 4) -> searchkit.Result:
    return searchkit.run(
        "random", evaluate=lambda choices: {"loss": choices["a"]}, space=SPACE, objectives={"loss": "min"},
        storage=storage, name=name, budget=budget, batch=2,
    )  # fmt: skip


def test_a_half_written_line_is_not_read_and_stays(tmp_path: Path) -> None:
    search(tmp_path, "s")
    path = tmp_path / "s.journal"
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    before = sorted(tmp_path.iterdir())
    assert [trial.finished for trial in searchkit.load("s", tmp_path).trials] == [True] * 3 + [False]
    assert path.read_bytes() == torn
    assert sorted(tmp_path.iterdir()) == before


def test_only_the_file_of_the_study_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    search(tmp_path, "s")
    (tmp_path / "a.journal").write_text("no journal\n")
    with caplog.at_level(logging.WARNING, "searchkit"):
        assert len(searchkit.load("s", tmp_path).trials) == 4
    assert not caplog.text
    (tmp_path / "s.journal").rename(tmp_path / "other.journal")
    with caplog.at_level(logging.WARNING, "searchkit"):
        assert len(searchkit.load("s", tmp_path).trials) == 4, "a study may be in a file of another name"
    assert "a.journal" in caplog.text


def test_of_two_files_with_a_study_the_one_of_its_name_counts(tmp_path: Path) -> None:
    search(tmp_path, "s")
    for copy in ("a", "s.before"):
        (tmp_path / f"{copy}.journal").write_bytes((tmp_path / "s.journal").read_bytes())
    search(tmp_path, "s", budget=8)
    assert len(searchkit.load("s", tmp_path).trials) == 8
    assert searchkit.list_studies(tmp_path)[["study", "candidates"]].values.tolist() == [["s", 8]]
