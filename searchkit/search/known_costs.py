"""What is known of the costs on other devices: ``known=`` of a target, read and checked against the space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from searchkit.blocks.latency_tables import LatencyTable
from searchkit.costs.targets.target import Target
from searchkit.costs.task_scores import AT
from searchkit.errors import DeviceError, SearchkitError, SpaceError, UnknownNameError, first_line_said
from searchkit.problem.numbers import number_of, shown
from searchkit.problem.trial import Trial
from searchkit.results.result import Result
from searchkit.results.studies import load
from searchkit.search.target_columns import is_measured
from searchkit.space import NetworkSpace, Space, keys
from searchkit.space.recipe_space import RecipeSpace
from searchkit.storage.paths import SUFFIX
from searchkit.types import Codes, Floats

FORMS = "a function of a candidate's choices, a DataFrame, a LatencyTable, a Result, or a pair (result, column)"


@dataclass(frozen=True)
class Known:
    """What is known of one device.

    Attributes:
        values: codes ``(n, d)`` of networks -> their costs ``(n,)``, NaN where not known.
        listed: ``(k, d)`` the networks that are known, where they are listed.
    """

    values: Callable[[Codes], Floats]
    listed: Codes


def networks_of(space: NetworkSpace) -> NetworkSpace:
    """The space of the networks alone, without choices of how they are trained."""
    return space.networks if isinstance(space, RecipeSpace) else space


def with_known(targets: Mapping[str, Target], space: NetworkSpace) -> dict[str, Target]:
    """The targets, with what they know of other devices as :class:`Known`; ``first`` is checked too.

    Raises:
        DeviceError: ``first`` is more than the space has; what is known is none of the forms allowed, or says nothing
            of the space's candidates.
        UnknownNameError: families of a device that is not there; a study that is not recorded.
    """
    networks, found = networks_of(space), dict(targets)
    for name, target in targets.items():
        if target.first is None:
            continue
        if networks.size <= 10**4 and target.first > (there := len(networks.enumerate())):
            raise DeviceError(
                f"target '{name}' has first={target.first}, and space '{networks.name}' has {there} networks: give a "
                "smaller number, or leave first out"
            )
        others = [*target.known, *(other for other in targets if other != name)]
        for device in target.families:
            if device not in others:
                raise UnknownNameError.of(f"device in families of target '{name}'", device, others)
        known = {}
        for device, given in target.known.items():
            try:
                known[device] = read_known(given, f"{target.metric}{AT}{device}", networks)
            except SearchkitError as error:
                said = f"known device '{device}' of target '{name}' {first_line_said(error)}"
                raise type(error)(said) from error
        found[name] = replace(target, known=known)
    return found


def read_known(given: object, column: str, space: NetworkSpace) -> Known:
    """One value of ``known=``.

    Args:
        column: of a Result, where none is named.
        space: of the networks.

    Raises:
        SearchkitError: it cannot be read; the message continues a sentence that begins with the device.
    """
    import pandas as pd

    if isinstance(given, Known):
        return given
    if isinstance(given, pd.DataFrame):
        return _of_frame(given, space)
    if isinstance(given, LatencyTable):
        return _of_blocks(given, space)
    if isinstance(given, Result):
        return _of_result(given, column, space)
    if isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[1], str):
        if isinstance(given[0], Result):
            return _of_result(given[0], given[1], space)
        if isinstance(given[0], str):
            return _of_result(_recorded(given[0]), given[1], space)
    if callable(given):
        return Known(_by_function(given, space), np.empty((0, space.n_choices), dtype=np.int64))
    raise DeviceError(f"is {shown(given)}: what is known is {FORMS}")


def _recorded(name: str) -> Result:
    """A study of this folder's ``searchkit-runs``, or the one that a journal file is named after."""
    try:
        return load(Path(name).stem, name) if name.endswith(SUFFIX) else load(name)
    except SearchkitError as error:
        raise type(error)(f"is to be read from a study, and that fails: {first_line_said(error)}") from error


def _by_function(function: Callable[[dict[str, Any]], object], space: Space) -> Callable[[Codes], Floats]:
    def values(codes: Codes) -> Floats:
        found = np.empty(len(codes))
        for i, choices in enumerate(space.decode(codes)):
            try:
                found[i] = number_of(function(choices))
            except ValueError as error:
                raise DeviceError(f"returned {error}, for {choices}") from error
            except SearchkitError:
                raise
            except Exception as error:
                said = f"{type(error).__name__}: {first_line_said(error)}".removesuffix(": ")
                raise DeviceError(f"raised {said}, for {choices}") from error
        return found

    return values


def _of_frame(frame: Any, space: Space) -> Known:
    columns = [str(column) for column in frame.columns]
    lacking = [name for name in space.names if name not in columns]
    others = [name for name in columns if name not in space.names]
    if lacking:
        raise UnknownNameError(
            f"has no column '{lacking[0]}': a table has a column for each choice of space '{space.name}', "
            f"{', '.join(space.names)}, and one of latencies; it has {', '.join(columns) or 'none'}"
        )
    if len(others) != 1:
        raise DeviceError(
            f"has {'the columns ' + ', '.join(others) if others else 'no column'} beside the choices of space "
            f"'{space.name}': one is allowed, of latencies, as in table[[*space.names, 'latency_ms']]"
        )
    values = frame[others[0]]
    codes, kept, problem = [], [], None
    for choices, value in zip(frame[list(space.names)].to_dict("records"), values, strict=True):
        try:
            codes.append(space.encode(choices)[0])
            kept.append(number_of(value))
        except SpaceError as error:  # of a larger space
            problem = problem or error
        except ValueError as error:
            raise DeviceError(f"has in column '{others[0]}' {error}") from error
    if not codes:
        why = f" ({first_line_said(problem)})" if problem else ""
        raise DeviceError(f"is a table without any candidate of space '{space.name}'{why}")
    return _listed(np.stack(codes), np.array(kept))


def _of_result(result: Result, column: str, space: Space) -> Known:
    same = {choice.name: choice.labels for choice in result.space.choices}
    for choice in space.choices:
        if same.get(choice.name) != choice.labels:
            raise SpaceError(f"is study '{result.name}' of another space: choice '{choice.name}' is not as in this one")
    measured = {name for trial in result.trials for name in trial.values if _told(name, trial)}
    if column not in measured:
        if not measured:
            raise DeviceError(f"is study '{result.name}', which has no values yet")
        raise UnknownNameError(f"is study '{result.name}': {UnknownNameError.of('column', column, measured)}")
    at = [result.space.names.index(name) for name in space.names]
    kept = [trial for trial in result.trials if column in trial.values and _told(column, trial)]
    codes = np.stack([trial.code[at] for trial in kept])
    return _listed(space.check(codes), np.array([trial.values[column] for trial in kept]))


def _told(name: str, trial: Trial) -> bool:
    """Whether a value of a trial was found out and not predicted."""
    return AT not in name or is_measured(name, trial.values)


def _of_blocks(table: LatencyTable, space: Space) -> Known:
    if sum(map(len, table.blocks.columns)) != space.n_choices:
        raise SpaceError(f"is a table of the blocks of another space than '{space.name}'")

    def values(codes: Codes) -> Floats:
        return table.model(table.blocks.choose(codes))

    try:
        values(space.sample(8, np.random.default_rng(0)))
    except (SpaceError, IndexError, ValueError) as error:
        raise SpaceError(f"is a table of the blocks of another space than '{space.name}'") from error
    return Known(values, np.empty((0, space.n_choices), dtype=np.int64))


def _listed(codes: Codes, values: Floats) -> Known:
    """Of candidates ``(n, d)`` and their costs ``(n,)``; the mean where there are several of one candidate."""
    there = ~np.isnan(values)
    distinct, at = np.unique(codes[there], axis=0, return_inverse=True)
    at = at.reshape(-1)
    means = np.bincount(at, values[there], len(distinct)) / np.maximum(np.bincount(at, minlength=len(distinct)), 1)
    known = dict(zip(keys(distinct), means, strict=True)) if len(distinct) else {}

    def look_up(asked: Codes) -> Floats:
        return np.array([known.get(key, np.nan) for key in keys(asked)], dtype=np.float64)

    return Known(look_up, distinct)
