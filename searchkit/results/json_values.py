"""Values as JSON has them, for all that prints, writes or sends what a search found."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def json_value(given: object) -> Json:
    """A JSON value: what is missing or not finite becomes null, and an object that JSON does not know its text."""
    if isinstance(given, dict):
        return {str(key): json_value(entry) for key, entry in given.items()}
    if isinstance(given, list | tuple | set | frozenset):
        return [json_value(entry) for entry in given]
    if isinstance(given, np.ndarray | np.generic):
        given = given.tolist()
        return json_value(given) if isinstance(given, list) else _scalar(given)
    return _scalar(given)


def _scalar(given: object) -> Json:
    if isinstance(given, float):
        return float(given) if math.isfinite(given) else None
    if given is None or isinstance(given, str | int):
        return given
    return None if str(given) in ("<NA>", "NaT") else str(given)
