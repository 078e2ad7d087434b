"""Optuna studies as results of searchkit, and results as Optuna studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.trial import FrozenTrial, TrialState

from searchkit.errors import SearchkitError, StudyMismatchError, readable
from searchkit.integrations.optuna.options import ABSENT, code_of, parameters_of, place
from searchkit.integrations.optuna.outcomes import goals_of
from searchkit.problem.numbers import number_of
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.results.result import Result
from searchkit.results.studies import Study
from searchkit.space import Parameter, Space, is_number
from searchkit.storage.header import FORMAT, plain
from searchkit.storage.optuna_compat import quiet
from searchkit.storage.optuna_record import OptunaRecord
from searchkit.storage.paths import StorageLike, check_storage, open_storage
from searchkit.storage.places import check_new_name
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.urls import shown

_STATES = {
    TrialState.COMPLETE: State.SCORED,
    TrialState.FAIL: State.FAILED,
    TrialState.PRUNED: State.DROPPED,
    TrialState.RUNNING: State.ASKED,
}
# what `searchkit resume` reads; it says then that the function is missing
_CONTEXT = {"kind": "function", "strategy": None, "budget": {"evaluations": None, "seconds": None}, "call": {}}
_UNFINISHED = (TrialState.FAIL, TrialState.RUNNING)  # such a trial may not have come to all parameters


def read_study(study: optuna.Study, space: Space | None = None) -> Result:
    """An Optuna study as a result: front, history, plots; ``start=`` and ``earlier=`` of a search.

    A study that searchkit wrote comes back as :func:`searchkit.load` reads it. Of any other:

    * every trial that was begun is a candidate, in order. Numbers have no gaps: left out are trials that wait, and
      those that ended before they were asked anything (with ``space``, all of its choices; with conditions, all that
      exists);
    * numbers are numbers of their range, scale and steps, of the widest range where that changed. A categorical
      parameter's options are its categories; those that cannot be options, such as several objects of one text, go by
      their ``repr``;
    * a parameter that some trials were not asked exists under a condition, where an earlier parameter decides that in
      all trials. Any other is a choice of the values that occurred, with one option more, "absent";
    * complete trials are scored; one with an infinite value has failed. A pruned trial is infeasible where it broke a
      constraint, else dropped, and its reason says when. Failed trials have the reason that was kept as a user
      attribute (``reason`` or ``error``): Optuna keeps none itself;
    * constraints are metrics that are to be at most 0; numbers among a trial's user attributes are metrics, too.

    Args:
        study: it is only read.
        space: whose choices the trials are of. With it a number that lies between the options of an ordered choice
            counts as the nearest, so that the result can be the ``start=`` or ``earlier=`` of a search of this space.

    Raises:
        StudyMismatchError: a trial is no candidate of the space given.
    """
    if not isinstance(study, optuna.Study):
        raise SearchkitError(f"a study is an optuna.Study, such as optuna.load_study(...) gives, not {study!r}")
    if "searchkit" in study.user_attrs:
        return _own(study, space)
    begun = [
        t
        for t in study.get_trials(deepcopy=False)
        if t.state in _STATES and not (t.state in _UNFINISHED and _lacks(t, space))
    ]
    made = Space(parameters_of(begun), name=study.study_name) if space is None else space
    if space is None and made.conditions is not None:
        begun = [trial for trial in begun if not _ended_early(trial, made)]
    constraints = dict.fromkeys(name for trial in begun for name in trial.constraints)
    goals = goals_of(study, list(constraints))
    zero = min((t.datetime_start for t in begun if t.datetime_start), default=datetime.now())
    trials = [_trial(i, t, _code(t, made, space is None), goals, zero) for i, t in enumerate(begun)]
    return Result(made, goals, trials, study.study_name, "read from an Optuna study", {"chosen": "an Optuna study"})


def write_study(result: Result, storage: StorageLike = None, name: str | None = None) -> optuna.Study:
    """A result as an Optuna study, for Optuna's plots and dashboard or to keep a search that was in memory.

    The study is what a search records: :func:`searchkit.load` and :func:`read_study` read it, with the values, states,
    reasons and order of the result. Trained networks stay where they are, and the search cannot be continued in it.

    Args:
        result: of a search, or of :func:`read_study`.
        storage: None (in memory), or as for :func:`searchkit.run`: a folder, a ``.journal`` file, an SQLAlchemy URL, an
            Optuna storage.
        name: of the study; the result's where not given.

    Raises:
        SearchkitError: there is a study of that name, or the storage cannot be written.
    """
    name = result.name if name is None else check_new_name(name)
    check_storage(storage)
    written = optuna.storages.InMemoryStorage()
    header = _header(result)
    record = OptunaRecord(written, name, result.space, result.goals, header)
    for trial in result.trials:
        record.ask([_copy(trial)])
        if trial.finished:
            record.finish(trial)
    for key, value in _notes(result).items():
        record.note(key, value)
    with quiet():
        source = optuna.load_study(study_name=name, storage=written)
        in_memory = storage is None or storage == "memory"
        target = optuna.storages.InMemoryStorage() if in_memory else open_storage(storage, name)[0]
        try:
            study = optuna.create_study(storage=target, study_name=name, directions=source.directions)
        except DuplicatedStudyError as error:
            raise SearchkitError(
                f"there is a study '{name}' in {shown(storage)} already: give another name="
            ) from error
        for key, value in source.user_attrs.items():
            if key != "searchkit:driver":
                study.set_user_attr(key, value)
        study.set_metric_names(list(result.goals.names))
        study.add_trials(_timed(source.get_trials(deepcopy=False), result.trials))
    return study


def _own(study: optuna.Study, space: Space | None) -> Result:
    found = Study.read(RecordedStudy.of(study), space)
    result = Result(found.space, found.goals, found.trials, found.name, "read from its record", found.header["context"])
    result.test_accuracy, result.verifications, result.trust = found.test_accuracy, found.verified, found.trust
    result.simple = found.simple
    return result


def _ended_early(trial: FrozenTrial, space: Space) -> bool:
    """Whether a trial was not asked all that exists under its other values."""
    exists = space.active(_code(trial, space, True)[None])[0].tolist()
    return any(
        choice.when and on and choice.name not in trial.params for choice, on in zip(space.choices, exists, strict=True)
    )


def _lacks(trial: FrozenTrial, space: Space | None) -> bool:
    always = [] if space is None else [choice.name for choice in space.choices if not choice.when]
    return not (trial.params if space is None else trial.params.keys() >= set(always))


def _code(trial: FrozenTrial, space: Space, made: bool) -> Any:
    """``(d,)`` the candidate of a space that was made from the study, or is the user's."""
    row = []
    for choice in space.choices:
        index = _place(trial, choice, made)
        if index is None:
            said = f"has {trial.params[choice.name]!r} for" if choice.name in trial.params else "says nothing of"
            options = choice.said if is_number(choice) else f"whose options are {list(choice.labels)}"
            raise StudyMismatchError(
                f"trial {trial.number} {said} choice '{choice.name}' of space '{space.name}', {options}"
            )
        row.append(index)
    return space.check(np.array(row))[0]


def _place(trial: FrozenTrial, choice: Parameter, made: bool) -> int | None:
    """The code of a trial's value; None where it is none of the parameter."""
    if choice.name in trial.params:
        return code_of(choice, trial) if made else place(choice, trial.params[choice.name])
    if choice.when:
        return 0  # it does not exist
    if made:
        return 0 if choice.ordered else len(choice.options) - 1  # where "absent" stands
    return place(choice, ABSENT)


def _trial(number: int, frozen: FrozenTrial, code: Any, goals: Goals, zero: datetime) -> Trial:
    state, values = _STATES[frozen.state], dict(frozen.constraints)
    values = _numbers(frozen.user_attrs) | values
    reason = None
    if frozen.state is TrialState.COMPLETE:
        values |= dict(zip(goals.names, frozen.values, strict=True))
        if not np.isfinite(frozen.values).all():
            state, reason = State.FAILED, f"its values are {', '.join(map(str, frozen.values))}"
    elif frozen.state is TrialState.PRUNED:
        broken = [bound.name for bound in goals.bounds if frozen.constraints.get(bound.name, 0.0) > 0]
        state, reason = (State.INFEASIBLE, f"breaks {', '.join(broken)}") if broken else (state, _when(frozen))
    elif frozen.state is TrialState.FAIL:
        kept = [frozen.user_attrs.get("reason"), frozen.user_attrs.get("error"), "failed; Optuna kept no reason"]
        reason = next(readable(text) for text in map(_said, kept) if text)
    if frozen.state is TrialState.COMPLETE:  # a constraint that was not set is kept, as in Optuna
        values = dict.fromkeys((bound.name for bound in goals.bounds), 0.0) | values
    start, end = frozen.datetime_start, frozen.datetime_complete
    return Trial(
        number=number,
        batch=number,
        batch_size=1,
        code=code,
        state=state,
        values=values,
        reason=reason,
        seconds=(end - start).total_seconds() if start and end else 0.0,
        elapsed=(end - zero).total_seconds() if end else 0.0,
    )


def _numbers(attributes: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among user attributes, which may be anything."""
    found = {}
    for name, value in attributes.items():
        if isinstance(value, bool | np.bool_):
            continue
        try:
            number = number_of(value)
        except ValueError:
            continue
        if np.isfinite(number):
            found[name] = number
    return found


def _said(kept: Any) -> str:
    """The text of a reason that was kept, whatever it is; empty where there is none."""
    if kept is None:
        return ""
    try:
        return str(kept)
    except Exception as error:  # of the object's own code
        return f"a {type(kept).__name__} that has no text ({type(error).__name__})"


def _when(frozen: FrozenTrial) -> str:
    if not frozen.intermediate_values:
        return "pruned"
    step, value = max(frozen.intermediate_values.items())
    return f"pruned at step {step}, with {value:g}"


def _header(result: Result) -> dict[str, Any]:
    from searchkit.version import __version__

    goals, infinite = result.goals, float("inf")
    bounds = {b.name: [None if abs(end) == infinite else end for end in (b.low, b.high)] for b in goals.bounds}
    return dict(
        plain(
            {
                "format": FORMAT,
                "version": __version__,
                "search": {
                    "kind": "written",
                    "objectives": {o.name: o.direction for o in goals.objectives},
                    "constraints": [str(bound) for bound in goals.bounds],
                    "space": result.space.describe(),
                },
                "context": _CONTEXT | result.context | {"bounds": bounds},
            }
        )
    )


def _notes(result: Result) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    if result.test_accuracy:
        notes["test_accuracy"] = {str(number): value for number, value in result.test_accuracy.items()}
    if result.verifications:
        notes["verified"] = {str(number): entry for number, entry in result.verifications.items()}
    if result.trust is not None:
        notes["trust"] = result.trust
    if result.simple:
        notes["baselines"] = result.simple
    return notes


def _copy(trial: Trial) -> Trial:
    """As it was when it was asked for: the record keeps its own list."""
    return Trial(trial.number, trial.batch, trial.batch_size, trial.code)


def _timed(frozen: Sequence[FrozenTrial], trials: Sequence[Trial]) -> list[FrozenTrial]:
    """With the times that the search took (its last candidate ended now), and constraints in their old form too.

    optuna-dashboard 0.21 shows what is infeasible by the form that Optuna had before version 5.
    """
    now, last = datetime.now(), max((trial.elapsed for trial in trials), default=0.0)
    for theirs, ours in zip(frozen, trials, strict=True):
        if theirs.constraints and "constraints" not in theirs.system_attrs:
            theirs.system_attrs["constraints"] = list(theirs.constraints.values())
        end = now - timedelta(seconds=last - ours.elapsed)
        if theirs.state.is_finished():
            theirs.datetime_start, theirs.datetime_complete = end - timedelta(seconds=ours.seconds), end
    return list(frozen)
