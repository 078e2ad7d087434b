"""The commands for those who evaluate elsewhere: suggest candidates, and tell what they are worth, in JSON."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from searchkit import plugins
from searchkit.cli.json_reading import read_json
from searchkit.cli.printing import FAILED, OK, print_json
from searchkit.cli.tables import complain
from searchkit.cli.values import listed, read_constraints
from searchkit.costs.metrics import BUILT_IN
from searchkit.errors import ObjectiveError, SearchkitError, SpaceError
from searchkit.surroundings import settled

if TYPE_CHECKING:
    from searchkit.ask_and_tell import AskAndTell
    from searchkit.space import Space


def suggest(given: argparse.Namespace) -> int:
    """Print candidates to evaluate, as JSON: a list of objects with "candidate" and "choices"."""
    of_a_new_study = _of_a_new_study(given)
    with _opened(given, **({} if given.pending else of_a_new_study)) as study:
        asked = study.pending if given.pending else study.ask(given.n)
    print_json([{"candidate": one.number, "choices": one.choices} for one in asked])
    if not asked and not given.pending:
        complain("every candidate of the space has been asked for")
        return FAILED
    return OK


def tell(given: argparse.Namespace) -> int:
    """Record what candidates are worth; print for each whether it is on the front."""
    entries = _entries(given)
    told = []
    with _opened(given) as study:
        _check(study, entries)
        for entry in entries:
            number, values, failed = entry["candidate"], entry.get("values"), entry.get("failed")
            seconds = entry.get("seconds", 0.0)
            if values is None:
                study.fail(number, str(failed), seconds)
                told.append({"candidate": number, "state": "failed", "front": False})
            else:
                told.append({"candidate": number, "state": "scored", "front": study.tell(number, values, seconds)})
    print_json(told)
    return OK


def _check(study: AskAndTell, entries: Sequence[Mapping[str, Any]]) -> None:
    """Check all that is told before any of it is recorded."""
    numbers: set[int] = set()
    for entry in entries:
        number, values = entry["candidate"], entry.get("values")
        if (values is None) == (entry.get("failed") is None):
            raise SearchkitError(f'candidate {number} has either "values" or the reason why it "failed"')
        try:
            study.check(number, values, entry.get("seconds", 0.0))
        except SearchkitError as error:
            if len(entries) == 1 or f"candidate {number} " in str(error):
                raise
            raise SearchkitError(f"candidate {number}: {error}; nothing was recorded") from error
        if number in numbers:
            raise SearchkitError(f"candidate {number} stands twice in what is told; nothing was recorded")
        numbers.add(number)


def _opened(given: argparse.Namespace, **of_a_new_study: Any) -> AskAndTell:
    from searchkit.ask_and_tell import AskAndTell

    return AskAndTell(given.name, storage=given.storage, **of_a_new_study)


def _of_a_new_study(given: argparse.Namespace) -> dict[str, Any]:
    """What was said of the space, the objectives and the strategy; nothing where a study is continued by its name."""
    if given.n < 1:
        raise SearchkitError(f"--n is a number of candidates of at least 1, not {given.n}")
    made: dict[str, Any] = {}
    if given.space is not None:
        made["space"] = _read_space(given.space, given.name)
    if given.objectives is not None:
        objectives = list(map(_objective, listed(given.objectives) or []))
        made["objectives"] = dict(objectives)
        if len(made["objectives"]) < len(objectives):
            raise ObjectiveError(f"an objective is given twice: {given.objectives}")
    if given.constraint:
        made["constraints"] = read_constraints(given.constraint)
    for name in ("strategy", "budget", "seed"):
        if getattr(given, name) is not None:
            made[name] = getattr(given, name)
    return made


def _read_space(text: str, name: str) -> Space | str:
    """A registered space by its name, or that of a .json or .toml file, or of a JSON object."""
    from searchkit.space.described import read_space

    if text in plugins.names("space"):
        return text
    try:
        if text.lstrip().startswith("{"):
            return read_space(read_json(text), name)
        path = settled(text)
        if path.suffix == ".toml":
            import tomllib

            return read_space(tomllib.loads(path.read_text("utf-8")), name)
        if path.suffix == ".json":
            return read_space(read_json(path.read_text("utf-8")), name)
    except (OSError, ValueError) as error:
        if isinstance(error, SearchkitError):
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SpaceError(f"the space '{text}' cannot be read: {why}") from error
    known = ", ".join(plugins.names("space"))
    raise SpaceError(f"--space is a .json or .toml file, a JSON object, or one of {known}; not {text!r}")


def _objective(text: str) -> tuple[str, str]:
    """The name and the direction of "loss:min"; those of built-in metrics are known."""
    name, colon, direction = text.partition(":")
    if not colon and name in BUILT_IN:
        return name, BUILT_IN[name].direction
    if direction not in ("min", "max"):
        raise ObjectiveError(f"an objective is NAME:min or NAME:max, such as loss:min, not {text!r}")
    return name, direction


def _entries(given: argparse.Namespace) -> list[dict[str, Any]]:
    """What is told: of one candidate on the command line, or objects of several on standard input."""
    if given.candidate == "-":
        if given.values or given.failed is not None:
            raise SearchkitError("with - all that is told stands on standard input")
        return _read_entries("" if sys.stdin is None else sys.stdin.read())
    if not re.fullmatch(r"-?[0-9]{1,18}", given.candidate):
        raise SearchkitError(f"the candidate is its number, or - for standard input, not {given.candidate!r}")
    entry: dict[str, Any] = {"candidate": int(given.candidate)}
    if given.seconds is not None:
        entry["seconds"] = given.seconds
    if given.failed is not None:
        entry["failed"] = given.failed
    if given.values:
        entry["values"] = _values(given.values)
    if (given.values and given.failed is not None) or (not given.values and given.failed is None):
        raise SearchkitError("give values, such as loss=0.3, or --failed with the reason")
    return [entry]


def _values(texts: list[str]) -> dict[str, float]:
    """Values from "loss=0.3", or from a JSON object."""
    if len(texts) == 1 and texts[0].lstrip().startswith("{"):
        try:
            found = read_json(texts[0])
        except ValueError as error:
            raise ObjectiveError(f'values are an object such as {{"loss": 0.3}}, not {texts[0]!r} ({error})') from None
        return dict(found)
    values: dict[str, float] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        try:
            number = float(value)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise ObjectiveError(f"a value is NAME=NUMBER, such as loss=0.3, not {text!r}")
        if name in values:
            raise ObjectiveError(f"'{name}' is given twice")
        values[name] = number
    return values


def _read_entries(text: str) -> list[dict[str, Any]]:
    """Objects from standard input: a JSON list, or one object a line."""
    try:
        try:
            found = read_json(text)
        except json.JSONDecodeError:
            found = [read_json(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise SearchkitError(f"standard input is no JSON: {error}") from error
    entries = found if isinstance(found, list) else [found]
    known = {"candidate", "values", "failed", "seconds"}
    for entry in entries:
        if not isinstance(entry, Mapping) or "candidate" not in entry or not known >= set(entry):
            raise SearchkitError(
                'standard input has objects such as {"candidate": 0, "values": {"loss": 0.3}}, or with "failed" and a '
                f"reason in place of values, not {json.dumps(entry)[:80]}"
            )
    return entries
