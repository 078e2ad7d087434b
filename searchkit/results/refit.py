"""A network of a study trained anew, for longer and on the validation part as well."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.costs.task_scores import SCORES
from searchkit.errors import SearchkitError
from searchkit.problem.trial import Trial
from searchkit.results.notes import NOTE, TESTED
from searchkit.results.recorded_data import data_of
from searchkit.runtime.devices import resolve_device
from searchkit.training.evaluator import STEPS_MADE, Training, score_kept
from searchkit.training.own_recipe import recorded_recipe
from searchkit.training.recipe import LEAST_STEPS, Recipe, final_recipe, recipe_of_length
from searchkit.training.speed import measure
from searchkit.training.weights import aside_of, delivered_path, final_path, keep_aside, weights_path

if TYPE_CHECKING:
    from searchkit.results.result import Result


def refit(
    result: Result, trial: Trial, data: object, seconds: float | None, epochs: int | None, device: str
) -> dict[str, Any]:
    """See :meth:`searchkit.results.result.Result.refit`."""
    _check_length(seconds, epochs)
    if result.open_record is None or result.folder is None or "data" not in result.context:
        raise SearchkitError(f"study '{result.name}' trained no networks that searchkit could train for longer")
    if "trained_by" in result.context:
        raise SearchkitError(
            f"the networks of study '{result.name}' were trained by {result.context['trained_by']}, your function, "
            f"which searchkit cannot make train for longer: give result.build(trial={trial.number}) to it"
        )
    began, known = time.perf_counter(), data_of(result, data)
    where = str(resolve_device(device))
    scored = SCORES[known.task][:1]
    space, own = result.network_space, recorded_recipe(result.context, result.network_space)
    training = Training(space, known.without_test(), Recipe(), where, (), result.folder, scored=scored, own=own)
    path, earlier = final_path(result.folder, trial.code), _earlier(result, trial)
    recipe = _recipe(training, trial, seconds, epochs)
    steps = training.recipe_of(trial.code, recipe).steps_over(len(known.train) + len(known.val))
    if seconds is None and steps < earlier:
        raise SearchkitError(
            f"candidate {trial.number} has had a final training of {earlier:,.0f} steps, and epochs={epochs} are "
            f"{steps:,}: give more epochs, and it is trained for longer"
        )
    within = None if seconds is None else seconds - (time.perf_counter() - began)
    keep_aside(path)
    try:
        values = training(trial.code, int(result.context.get("seed") or 0), None, within, recipe)
        entry: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 3)}
        entry[STEPS_MADE] = values.get(STEPS_MADE, steps)
        if entry[STEPS_MADE] < earlier:
            raise SearchkitError(
                f"candidate {trial.number} has had a final training of {earlier:,.0f} steps, and in {seconds:g} s it "
                f"made {entry[STEPS_MADE]:,.0f}: the earlier one is kept; give more seconds"
            )
        tested = score_kept(space, trial.code, path, known, where) if len(known.test) else math.nan
        _record(result, trial, entry, tested)
    except BaseException:
        if aside_of(path).exists():
            aside_of(path).replace(path)
        else:
            path.unlink(missing_ok=True)
        raise
    aside_of(path).unlink(missing_ok=True)
    return entry | ({} if math.isnan(tested) else {result.tested: tested})


def steps_on_record(finals: Mapping[str, Mapping[str, Any]], number: str) -> float:
    """Steps of a candidate's final training; 0 where there is none."""
    return float(finals.get(number, {}).get(STEPS_MADE) or 0)


def _earlier(result: Result, trial: Trial) -> float:
    """Steps of the final training whose weights the candidate has; 0 where there are none."""
    folder = result.folder or Path()
    there = delivered_path(folder, trial.code) != weights_path(folder, trial.code)
    number = str(trial.number)
    return steps_on_record({number: result.finals.get(trial.number, {})}, number) if there else 0.0


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
    least = LEAST_STEPS * speed.step
    if seconds < least:
        raise SearchkitError(
            f"seconds={seconds:g} is too short: a training of {LEAST_STEPS} steps takes {least:.2g} s here"
        )
    return final_recipe(data, n, seconds / speed.example)


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
