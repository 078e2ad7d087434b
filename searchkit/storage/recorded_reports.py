"""What training functions reported of a trial, as attributes of the trial in an Optuna storage.

The reports are in lists of a limited length, since databases limit the length of an attribute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from searchkit.problem.trial import Report

LONGEST = 30_000  # characters of an attribute
NAME = "reports"  # of the first attribute; the others are "reports:1" and so on


def report_attributes(reports: Sequence[Report]) -> dict[str, list[list[object]]]:
    """The attributes of a trial: name -> list of ``[epoch, {name: value}]``; none where nothing was reported."""
    parts: list[list[list[object]]] = []
    length = LONGEST
    for epoch, values in reports:
        row: list[object] = [epoch, values]
        length += len(json.dumps(row))
        if length > LONGEST:
            parts.append([])
            length = len(json.dumps(row))
        parts[-1].append(row)
    return {f"{NAME}:{i}" if i else NAME: part for i, part in enumerate(parts)}


def read_reports(attributes: Mapping[str, object]) -> list[Report]:
    """The reports in the attributes of a trial.

    Raises:
        TypeError, ValueError: they are damaged.
    """
    found: list[Report] = []
    name, i = NAME, 0
    while name in attributes:
        part = attributes[name]
        if not isinstance(part, list):
            raise ValueError(f"its {name} are {type(part).__name__}, not a list")
        for epoch, values in part:
            found.append((float(epoch), {str(key): float(value) for key, value in values.items()}))
        i += 1
        name = f"{NAME}:{i}"
    return found
