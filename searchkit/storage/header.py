"""The header of a record: it identifies a search, so that no other search continues the record by mistake."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from searchkit.errors import SearchkitError, StudyMismatchError

HEADER_COPY = "searchkit:header"  # attribute of a study in a journal file: a copy of the header, for repairs
TRAINED = (
    "recipe",
    "ladder",
    "training",
    "early_stopping",
    "weights",
    "evaluation",
)  # parts of a search that are left out where they are not given
FORMAT = 2  # version of the record; newer ones are refused, older ones are read


def compare_headers(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a recorded study whose header differs from the search that wants to continue it.

    Raises:
        StudyMismatchError: they differ; the message lists each difference, as recorded and as called now.
    """
    check_format(name, found)
    recorded, asked = upgraded(found)["search"], wanted["search"]
    if "objectives" in asked:  # a whole search, in which what is not given is not there
        asked = dict.fromkeys(key for key in TRAINED if key in recorded) | asked
    differing = [
        _difference(key, recorded.get(key), value)
        for key, value in asked.items()
        if _exact(recorded.get(key)) != _exact(value)
        # data that the user has split have a fingerprint and no seed
        and (key != "split_seed" or recorded.get(key) is not None)
    ]
    if differing:
        raise StudyMismatchError(
            f"study '{name}' holds another search; it differs in {'; '.join(differing)}. "
            f"Give another name, or call it as it was begun{_time_hint(recorded, asked)}"
        )


def _time_hint(recorded: dict[str, Any], asked: dict[str, Any]) -> str:
    """What to give for a study whose time was planned, where this call has no time, or the other way round."""
    before, now = recorded.get("epochs"), asked.get("epochs")
    if (before == "planned") == (now == "planned") or None in (before, now):
        return ""
    if before == "planned":
        return ": with seconds in its budget, by which its trainings were planned, and without epochs"
    return f": with epochs={before}, or a number of evaluations as its budget"


def upgraded(header: dict[str, Any]) -> dict[str, Any]:
    """A header in the current format.

    In format 1, the seed of the search also split the data.
    """
    if header.get("format", 0) >= 2:
        return header
    search = header["search"]
    return header | {"search": {"split_seed": search.get("seed")} | search}


def check_format(name: str, found: dict[str, Any]) -> None:
    """Refuse a record that was written by a newer searchkit.

    Raises:
        StudyMismatchError: the record has a newer format; the message gives both.
    """
    version = found.get("format", 0)
    if isinstance(version, int) and version > FORMAT:
        raise StudyMismatchError(
            f"study '{name}' was written in format {version} by searchkit {found.get('version')}, which is "
            f"newer than the format {FORMAT} that this version reads; update searchkit"
        )


def plain(value: object) -> Any:
    """Convert a value to what is read back after writing it as JSON: tuples to lists, numpy numbers to Python's.

    Raises:
        SearchkitError: the value cannot be written as JSON.
    """
    try:
        return json.loads(json.dumps(value, default=_python))
    except (TypeError, ValueError) as error:
        raise SearchkitError(f"the search cannot be recorded: {error}") from error


def _python(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is not a JSON value")


def _exact(value: Any) -> Any:
    """A value for an exact comparison.

    Mappings become lists of pairs, because their order matters: Optuna's values are in the order of the objectives.
    Choices become their ``repr``, because options of different types are different: 1, 1.0 and True.
    """
    if not isinstance(value, dict):
        return value
    return [(key, repr(without_guesses(entry)) if key == "choices" else entry) for key, entry in value.items()]


def without_guesses(choices: Any) -> Any:
    """Described parameters without their priors, which may be changed: they lead a search, and change no candidate."""
    if not isinstance(choices, list):
        return choices
    return [{k: v for k, v in one.items() if k != "prior"} if isinstance(one, dict) else one for one in choices]


def _difference(key: str, recorded: Any, asked: Any) -> str:
    """Text for one difference; for dictionaries, for each entry that differs."""
    if key.endswith("choices") and isinstance(recorded, list) and isinstance(asked, list):
        both = zip(without_guesses(recorded), without_guesses(asked), strict=False)
        pairs = [(was, now) for was, now in both if repr(was) != repr(now)]
        if len(recorded) == len(asked) and pairs and all(was.get("name") == now.get("name") for was, now in pairs):
            return ", ".join(_difference(f"choice '{was['name']}'", was, now) for was, now in pairs[:3])
    if isinstance(recorded, dict) and isinstance(asked, dict):
        inner = [n for n in {**recorded, **asked} if repr(recorded.get(n)) != repr(asked.get(n))]
        if not inner:
            return f"the order of {key} (recorded {', '.join(recorded)}, asked {', '.join(asked)})"
        if key == "data" and inner == ["fingerprint"]:
            was, now = recorded.get("fingerprint"), asked.get("fingerprint")
            return (
                f"data, which are others, or are split or limited otherwise (fingerprint recorded {was}, asked {now})"
            )
        if "name" not in inner:
            return ", ".join(_difference(f"{key}.{name}", recorded.get(name), asked.get(name)) for name in inner)
        recorded, asked = recorded.get("name"), asked.get("name")
    was, now = (text if len(text) <= 60 else text[:57] + "..." for text in (str(recorded), str(asked)))
    return f"{key} (recorded {was}, asked {now})"
