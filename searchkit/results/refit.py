"""A network of a study trained anew, for longer and on the validation part as well."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.data.data import Data
from searchkit.errors import SearchkitError
from searchkit.problem.trial import Trial
from searchkit.results.recorded_data import data_of
from searchkit.runtime.devices import resolve_device
from searchkit.training.evaluator import STEPS_MADE, Training, score_kept
from searchkit.training.own_recipe import recorded_recipe
from searchkit.training.recipe import Recipe, final_recipe, recipe_of_length
from searchkit.training.speed import measure
from searchkit.training.weights import final_path

if TYPE_CHECKING:
    from searchkit.results.result import Result

NOTE = "finals"  # of a record: final trainings by the number of the trial
TESTED = "test_accuracy"  # of a record: scores on the test part by the number of the trial


def refit(
    result: Result, trial: Trial, data: object, seconds: float | None, epochs: int | None, device: str
) -> dict[str, Any]:
    """See :meth:`searchkit.results.result.Result.refit`."""
    _check_length(seconds, epochs)
    if result.open_record is None or result.folder is None or "data" not in result.context:
        raise SearchkitError(f"study '{result.name}' trained no networks that searchkit could train for longer")
    began, known = time.perf_counter(), data_of(result, data)
    where = str(resolve_device(device))
    scored = ("r2",) if known.task == "regression" else ("accuracy",)
    space, own = result.network_space, recorded_recipe(result.context, result.network_space)
    training = Training(space, known.without_test(), Recipe(), where, (), result.folder, scored=scored, own=own)
    recipe = _recipe(training, trial, seconds, epochs)
    within = None if seconds is None else seconds - (time.perf_counter() - began)
    seed = int(result.context.get("seed") or 0)
    values = training(trial.code, seed, None, within, recipe)
    entry: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 3)}
    steps = training.recipe_of(trial.code, recipe).steps_over(len(known.train) + len(known.val))
    entry[STEPS_MADE] = values.get(STEPS_MADE, steps)
    tested = _tested(result, trial, known, where)
    _record(result, trial, entry, tested)
    return entry | ({} if math.isnan(tested) else {result.tested: tested})


def _check_length(seconds: Any, epochs: Any) -> None:
    if (seconds is None) == (epochs is None):
        raise SearchkitError("say how long the network is trained: either seconds= or epochs=")
    given, name = (epochs, "epochs") if seconds is None else (seconds, "seconds")
    number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not number or not 0 < given < 1e9 or (name == "epochs" and given != int(given)):
        raise SearchkitError(f"{name} is a {'whole ' * (name == 'epochs')}number above 0, not {given!r}")


def _recipe(training: Training, trial: Trial, seconds: float | None, epochs: int | None) -> Recipe:
    data = training.data
    n = len(data.train) + len(data.val)
    if seconds is None:
        assert epochs is not None
        return replace(recipe_of_length(data.kind, n, epochs, data.augment), epochs=int(epochs))
    short = replace(recipe_of_length(data.kind, n, 1.0, data.augment), steps=10**6)
    speed = measure(replace(training, recipe=short), trial.code[None])[0]
    return final_recipe(data, n, seconds / speed.example)


def _tested(result: Result, trial: Trial, data: Data, device: str) -> float:
    """The score on the test part; NaN where there is none."""
    if not len(data.test):
        return math.nan
    return score_kept(result.network_space, trial.code, final_path(result.folder or Path(), trial.code), data, device)


def _record(result: Result, trial: Trial, entry: dict[str, Any], tested: float) -> None:
    assert result.open_record is not None
    record = result.open_record()
    try:
        finals = dict(record.notes(NOTE) or {}) | {str(trial.number): entry}
        record.note(NOTE, finals)
        if not math.isnan(tested):
            record.note(TESTED, dict(record.notes(TESTED) or {}) | {str(trial.number): tested})
    finally:
        record.close()
    result.finals[trial.number] = entry
    if not math.isnan(tested):
        result.test_accuracy[trial.number] = tested
