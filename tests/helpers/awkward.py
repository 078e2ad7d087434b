"""Options of every kind: groups whose options are easily taken for one another, and those that cannot be options."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import functools
import math
import operator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
import torch


class Colour(enum.Enum):
    RED = 1
    GREEN = 1.0 + 1


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Layer:
    width: float
    tags: frozenset[str] = frozenset()
    activation: Any = None
    hidden: int = dataclasses.field(default=0, repr=False)


class Named:
    """Without an equality of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Named({self.name})"


class Refusing(Named):
    """Whose equality raises, and which has no hash."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")


class Elementwise(Named):
    """Whose equality is an array, and which has no hash."""

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError("no text")


class Textless:
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # what a mistake looks like


def double(x: float) -> float:
    return 2 * x


def made(n: int) -> Any:
    def inner(x: float) -> float:
        return n * x

    return inner


def _near(value: np.ndarray, place: int) -> np.ndarray:
    other = value.copy()
    other.flat[place] = np.nextafter(other.flat[place], 9)
    return other


GROUPS: dict[str, list[Any]] = {
    "ones": [1, 1.0, True, "1", "1.0", "True", np.float64(1), np.float32(1), np.int8(1), np.bool_(True), Decimal(1)],
    "more ones": [1, Decimal("1.0"), Fraction(1), 1 + 0j, np.datetime64(1, "ns"), np.timedelta64(1, "ns"), Level.LOW],
    "zeros": [0.0, -0.0, 0, False, "0", None, "", "None", 0j, complex(0.0, -0.0)],
    "not finite": [math.nan, math.inf, -math.inf, "nan", "inf", 10**400, 10**400 + 1, np.float32("nan")],
    "close": [1.7e12, 1.7e12 + 1, math.nextafter(1.7e12, 0), 1_700_000_000_000, 0.1 + 0.2, 0.3, 2**63, 2.0**63],
    "numbers and None": [1, None, 2],
    "whole and broken": [1, 2.5],
    "texts": ["a\nb", "a\\nb", "<script>alert(1)</script>", "&amp;", "\ud800", "\\ud800", "\0", " a", "a", "at 0x10"],
    "more texts": ["x" * 100_000, "x" * 99_999 + "y", "[bold]", "%s {0}", "é", "e\u0301", "=1+1", "a,b", '"a"', "'a'"],
    "bytes": [b"a", "a", "b'a'", bytearray(b"a"), b"\xff"],
    "containers": [(1, 2), [1, 2], "(1, 2)", {1: 2}, (1.0, 2), ((1,), 2), {"a": {"b": [1]}}, {"a": {"b": (1,)}}, ()],
    "orders": [{"a": 1, "b": 2}, {"b": 2, "a": 1}, range(3), slice(0, 3)],
    "sets": [{"relu", "gelu", "silu"}, frozenset({"relu", "gelu", "silu"}), {"relu"}, set(), frozenset(), {}],
    "dataclasses": [
        Layer(1), Layer(1.0), Layer(2, frozenset("abcdef")), Layer(3, activation=double), Layer(1, hidden=1),
    ],
    "enums": [*Colour, *Level, *Access, Access.READ | Access.WRITE, "Level.LOW"],
    "classes": [int, float, torch.nn.ReLU, torch.nn.GELU, Layer, "int", type(None), None],
    "functions": [
        math.sin, np.sin, torch.sin, double, made(1), functools.partial(round, ndigits=1), functools.partial(double, 1),
        functools.partial(double, 2), operator.itemgetter(1), str.lower, lambda x: x, (double, math.sin),
    ],
    "times": [
        datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), datetime.timedelta(1), "2024-01-01",
        datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2024, 1, 1, fold=1),
    ],
    "paths": [Path("a"), "a", Path("a/b"), PurePosixPath("c")],
    "exact": [Decimal("0.1"), Decimal("0.10"), 0.1, Fraction(1, 10), "0.1", 1 + 2j, 1 - 2j],
    "arrays": [np.zeros(2), np.zeros(2, int), np.zeros((2, 1)), [0.0, 0.0], _near(np.zeros(2), 1), np.array("a")],
    "large arrays": [np.ones(3000), _near(np.ones(3000), 1500), np.array([1, "a", None], dtype=object)],
    "torch": [
        torch.float32, torch.float64, torch.device("cpu"), torch.device("cuda:0"), "cpu", torch.strided,
        torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16), torch.ones(3000), torch.channels_last,
    ],
    "objects": [Named("a"), Named("b"), Refusing("c"), Refusing("d"), Elementwise("e"), Elementwise("f"), "Named(a)"],
    "modules": [math, operator, "math"],
}  # fmt: skip

REFUSED: list[tuple[list[Any], str]] = [
    ([1, 1], "lists 1 more than once; options must differ"),
    ([1, np.int64(1), np.int64(1)], "lists 1 more than once"),
    (["a", "a"], "lists a more than once"),
    ([math.nan, float("nan")], "lists nan more than once"),
    ([None, None], "lists None more than once"),
    ([[1], [1]], r"lists \[1\] more than once"),
    ([np.zeros(2), np.zeros(2)], "more than once"),
    ([Named("a"), Named("a")], r"lists Named\(a\) more than once.*Give strings, and look the objects up by them"),
    ([made(1), made(2)], "inner more than once.*Give strings"),
    ([lambda x: x, lambda x: 2 * x], "<lambda> more than once.*define functions by def"),
    ([object(), 1], "an option without a name, <object object at 0x.*Give strings"),
    ([(object(), 1), 1], r"an option without a name, \(<object object at 0x.*Give strings"),
    ([1, Unprintable()], r"has as option 1 a Unprintable that has no text .*\(ZeroDivisionError: no text\).*a string"),
    ([1, (Unprintable(),)], "has as option 1 a tuple that has no text"),
    ([1, Textless()], "has as option 1 a Textless that has no text .*TypeError"),
    ([1, 10**5000], "has as option 1 a int that has no text .*ValueError"),
]


def copied(option: Any) -> Any:
    """A copy, as another call would give it; modules are what they are."""
    return option if isinstance(option, ModuleType) else copy.deepcopy(option)


def same(one: object, other: object) -> bool:
    """Of one type and one value, to the last bit, at any depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | torch.Tensor) and isinstance(other, np.ndarray | torch.Tensor):
        return (
            str(one.dtype) == str(other.dtype)
            and one.shape == other.shape
            and repr(one.tolist()) == repr(other.tolist())
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(map(same, one.values(), other.values()))
    if isinstance(one, Layer):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, set | frozenset):
        return one == other
    if callable(one):
        return one is other or repr(one) == repr(other)
    return repr(one) == repr(other)
