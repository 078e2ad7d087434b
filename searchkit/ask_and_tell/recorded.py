"""A recorded study whose candidates are evaluated elsewhere: what its record says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.problem.objectives import Goals
from searchkit.results.found_studies import recorded_header
from searchkit.results.studies import goals_of, read_study, space_of
from searchkit.runtime.fingerprint import fingerprint
from searchkit.space import Space
from searchkit.storage.paths import StorageLike

USUAL = 100  # evaluations that a strategy reckons with where no budget is given


def evaluated_elsewhere(choices: Mapping[str, object]) -> dict[str, float]:
    """In the place of the function that evaluates."""
    raise SearchkitError("the candidates of this study are evaluated elsewhere: ask for them and tell their values")


ELSEWHERE = fingerprint(evaluated_elsewhere)  # what the record of such a study has in the place of a function's


@dataclass(frozen=True)
class Known:
    """What a record says.

    Attributes:
        header: of the study.
        arguments: with which it was begun, as :func:`searchkit.run` takes them.
    """

    header: dict[str, Any]
    arguments: dict[str, Any]
    space: Space
    goals: Goals


def on_record(name: str, storage: StorageLike, given: Mapping[str, object]) -> Known:
    """A study that is on record.

    Args:
        given: of the arguments for a new study, those that are not None.

    Raises:
        SearchkitError: it is not on record, or it is continued by :func:`searchkit.run`.
    """
    if storage == "memory" or (given.keys() & {"space", "objectives"} and recorded_header(name, storage) is None):
        lacking = " and ".join(one for one in ("space", "objectives") if one not in given)
        raise SearchkitError(f"a new study needs its {lacking}, and '{name}' is not on record")
    try:
        header = read_study(name, storage).header
    except UnknownNameError as error:
        raise UnknownNameError(f"{error} A new study needs a space and objectives") from None
    context, search, goals, space = header["context"], header["search"], goals_of(header), space_of(header)
    if context["strategy"] is None or context["kind"] == "networks":
        how = "its networks are trained by searchkit" if context["strategy"] else "its strategy was given as an object"
        raise SearchkitError(f"study '{name}' is continued by searchkit.run: {how}")
    arguments = {
        "strategy": context["strategy"],
        "space": space,
        "objectives": dict(search["objectives"]),
        "constraints": {bound.name: (bound.low, bound.high) for bound in goals.bounds},
        "budget": context["budget"].get("evaluations") or USUAL,
        "seed": search.get("seed") or 0,
    }
    return Known(header, arguments, space, goals)
