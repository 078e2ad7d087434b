"""What the tools return: structured content, of which clients see the JSON schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NotRequired

from pydantic import JsonValue, TypeAdapter
from typing_extensions import TypedDict

from searchkit.results.json_values import json_value

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, JsonValue]


class Listed(TypedDict):
    storage: str
    studies: list[Row]


class Described(TypedDict):
    names: NotRequired[dict[str, list[str]]]
    entries: NotRequired[list[Row]]


class Front(TypedDict):
    study: str
    objectives: dict[str, str]
    bounds: list[str]
    strategy: str
    candidates: int
    states: dict[str, int]
    seconds: float
    rows: list[Row]
    left_out: int
    nothing: str


class Compared(TypedDict):
    objectives: dict[str, str]
    studies: list[Row]


class Found(TypedDict):
    study: NotRequired[str]
    stopped: NotRequired[str]
    candidates: NotRequired[int]
    front: NotRequired[list[Row]]
    left_out: NotRequired[int]
    nothing: NotRequired[str]
    baselines: NotRequired[list[Row]]
    verified: NotRequired[list[Row]]
    signals: NotRequired[list[Row]]
    plan: NotRequired[list[str]]
    said: list[str]


class Scored(TypedDict):
    candidates: list[Row]
    trust: NotRequired[list[Row]]
    said: list[str]


class Exported(TypedDict):
    files: list[str]
    bytes: list[int]
    said: list[str]


class Shrunk(TypedDict):
    study: str
    stopped: str
    original: dict[str, float]
    bounds: dict[str, float]
    networks: list[Row]
    files: list[str]
    said: list[str]


Output = Listed | Described | Front | Compared | Found | Scored | Exported | Shrunk


def schema_of(kind: type) -> dict[str, object]:
    """The JSON schema of what a tool returns."""
    found: dict[str, object] = TypeAdapter(kind).json_schema()
    return found


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a table as JSON values."""
    return [{str(name): json_value(cell) for name, cell in row.items()} for row in table.to_dict("records")]


def listed(given: Iterable[object]) -> list[Row]:
    """Dictionaries as JSON values."""
    return [row for row in map(json_value, given) if isinstance(row, dict)]
