"""Checks of a study's header and notes when they are read; the error says in one sentence which part is damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from searchkit.errors import StorageError
from searchkit.problem.numbers import is_whole
from searchkit.storage.header import check_format
from searchkit.storage.recorded_study import RecordedStudy


def checked_header(study: RecordedStudy) -> dict[str, Any]:
    """The header of a study that searchkit recorded, as it was written, after a check of it and of the study's notes.

    Raises:
        StudyMismatchError: the record has a newer format.
        StorageError: the header or a note is damaged; the message names the study, its place and what is wrong.
    """
    name, place, attributes = study.name, study.place, study.attributes
    header: dict[str, Any] = attributes["searchkit"]
    check_header(name, place, header)
    notes = {key: attributes.get(key) for key in _NOTES}
    wrong = [_wrong(key, notes[key], kind) for key, kind in _NOTES.items() if not _KINDS[kind](notes[key])]
    if wrong:
        raise _damaged(name, place, wrong)
    latest = attributes.get("searchkit:latest")
    if latest:
        check_header(name, place, header | {"context": header["context"] | latest})
    return header


def check_header(name: str, place: str, found: object, wanted: dict[str, str] | None = None) -> None:
    """Refuse a header in which a part is missing or is of another kind than it has to be.

    Args:
        name: of the study.
        place: of the record, as text for the message.
        found: the header, as it was read.
        wanted: further parts, by their path with dots, and what each has to be: a key of :data:`_KINDS`.

    Raises:
        StudyMismatchError: the record has a newer format.
        StorageError: the header is damaged; the message names the study, its place and every such part.
    """
    if isinstance(found, dict):
        check_format(name, found)
        parts = _PARTS | (wanted or {})
        space = _at(found, "search.space")
        if isinstance(space, dict) and ("options" in space or "input_shape" in space):
            parts = parts | _OF_NETWORKS
        wrong = [
            _wrong(path, _at(found, path), kind)
            for path, kind in parts.items()
            # if the part that contains it is no mapping, that is said instead
            if isinstance(_at(found, path.rpartition(".")[0]), dict) and not _KINDS[kind](_at(found, path))
        ]
    else:
        wrong = [_wrong("", found, "a mapping")]
    if wrong:
        raise _damaged(name, place, wrong)


def _damaged(name: str, place: str, wrong: list[str]) -> StorageError:
    return StorageError(
        f"the header of study '{name}' in {place} is damaged: {'; '.join(wrong)}. The study cannot be read or "
        "continued; take its record from a copy, or give another name"
    )


_MISSING = object()  # what a header has at the path of a part that it lacks


def _at(found: Any, path: str) -> Any:
    """The part of a header at a path such as "search.space"; :data:`_MISSING` if there is none."""
    for key in path.split(".") if path else ():
        found = found[key] if isinstance(found, dict) and key in found else _MISSING
    return found


def _wrong(path: str, part: Any, kind: str) -> str:
    text = repr(part)
    said = "is missing" if part is _MISSING else f"is {text if len(text) <= 60 else text[:57] + '...'}, not {kind}"
    return f"{path.replace('.', ': ') or 'all of it'} {said}"


def _is_choice(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    if "kind" in value:
        ends = [value.get("low"), value.get("high")]
        return value["kind"] in ("float", "int") and all(map(_is_end, ends)) and None not in ends
    return isinstance(value.get("options"), list) and isinstance(value.get("ordered"), bool)


def _is_model(value: Any) -> bool:
    if not isinstance(value, dict) or not all(isinstance(value.get(part), dict) for part in ("validation", "test")):
        return False
    numbers = [value.get("seconds"), value.get("rows"), *value["validation"].values(), *value["test"].values()]
    texts = (value.get("model"), value.get("reason"))
    return all(isinstance(one, str) for one in texts) and all(one is not None and _is_end(one) for one in numbers)


def _is_clock(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (0, 2) and all(map(is_whole, value))


def _are_blocks(value: Any) -> bool:
    """What the blocks of a network cost: a text and numbers, and for each block texts and numbers."""
    whole = isinstance(value, dict) and isinstance(value.get("blocks"), list) and isinstance(value.get("method"), str)
    if not whole or not all(isinstance(one, dict) for one in value["blocks"]):
        return False
    texts = [one.get(name) for one in value["blocks"] for name in ("block", "choice")]
    numbers = [one.get(name) for one in (value, *value["blocks"]) for name in ("macs", "ms")] + [value.get("call_ms")]
    return all(isinstance(one, str) for one in texts) and all(one is not None and _is_end(one) for one in numbers)


def _is_end(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


_KINDS: dict[str, Callable[[Any], bool]] = {
    "a mapping": lambda part: isinstance(part, dict),
    "a mapping, or nothing": lambda part: part is _MISSING or isinstance(part, dict),
    "a mapping or null": lambda part: part is None or isinstance(part, dict),
    "a mapping of numbers of candidates or null": lambda part: (
        part is None or (isinstance(part, dict) and all(str(key).isdecimal() for key in part))
    ),
    "a mapping of conditions to clocks or null": lambda part: (
        part is None or (isinstance(part, dict) and all(map(_is_clock, part.values())))
    ),
    "a mapping of numbers of candidates to costs of blocks or null": lambda part: (
        part is None
        or (isinstance(part, dict) and all(map(str.isdecimal, part)) and all(map(_are_blocks, part.values())))
    ),
    "a mapping of numbers or nulls, or nothing": lambda part: (
        part is _MISSING or (isinstance(part, dict) and all(map(_is_end, part.values())))
    ),
    "a number or null": _is_end,
    "a list or null": lambda part: part is None or isinstance(part, list),
    "a list of models with their scores or null": lambda part: (
        part is None or (isinstance(part, list) and all(map(_is_model, part)))
    ),
    "a whole number": lambda part: part is _MISSING or is_whole(part),  # the oldest records do not say their format
    "a whole number, null or nothing": lambda part: part is _MISSING or part is None or is_whole(part),
    "a list, or nothing": lambda part: part is _MISSING or isinstance(part, list),
    "a text": lambda part: isinstance(part, str),
    "a text, or null": lambda part: part is None or isinstance(part, str),
    "a number of classes or null": lambda part: part is None or is_whole(part),
    "a list of whole numbers": lambda part: isinstance(part, list) and all(map(is_whole, part)),
    'a mapping of names to "min" or "max"': lambda part: (
        isinstance(part, dict) and len(part) > 0 and all(direction in ("min", "max") for direction in part.values())
    ),
    "a mapping of names to two numbers or nulls": lambda part: (
        isinstance(part, dict)
        and all(isinstance(ends, list) and len(ends) == 2 and all(map(_is_end, ends)) for ends in part.values())
    ),
    "a list of choices, each with its name, options and whether they are ordered": lambda part: (
        isinstance(part, list) and len(part) > 0 and all(map(_is_choice, part))
    ),
}
_PARTS = {
    "format": "a whole number",
    "search": "a mapping",
    "search.objectives": 'a mapping of names to "min" or "max"',
    "search.space": "a mapping",
    "search.space.name": "a text",
    "search.space.choices": "a list of choices, each with its name, options and whether they are ordered",
    "search.data": "a mapping, or nothing",
    "context": "a mapping",
    "context.bounds": "a mapping of names to two numbers or nulls",
    "context.budget": "a mapping of numbers or nulls, or nothing",
    "context.data": "a mapping, or nothing",
    "context.parts": "a mapping, or nothing",
}
_OF_NETWORKS = {
    "search.space.options": "a mapping",
    "search.space.settings": "a mapping, or nothing",
    "search.space.input_shape": "a list of whole numbers",
    "search.space.vocabulary": "a whole number, null or nothing",
    "search.space.n_classes": "a number of classes or null",
    "search.space.output_shape": "a list, or nothing",
}
# for ``wanted=``: further parts that are needed to continue a search from its record alone
TO_RESUME = {
    "search.seed": "a whole number, null or nothing",
    "context.kind": "a text",
    "context.strategy": "a text, or null",
    "context.budget": "a mapping",
    "context.call": "a mapping",
    "context.objects": "a list, or nothing",
    "context.earlier": "a list, or nothing",
}
_NOTES = {
    "searchkit:latest": "a mapping or null",
    "searchkit:test_accuracy": "a mapping of numbers of candidates or null",
    "searchkit:verified": "a mapping of numbers of candidates or null",
    "searchkit:finals": "a mapping of numbers of candidates or null",
    "searchkit:clock": "a mapping of conditions to clocks or null",
    "searchkit:block_costs": "a mapping of numbers of candidates to costs of blocks or null",
    "searchkit:seconds": "a number or null",
    "searchkit:trust": "a list or null",
    "searchkit:baselines": "a list of models with their scores or null",
}
