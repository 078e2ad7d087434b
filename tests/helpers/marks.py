"""Parameters of which some run in CI only, or in `make thorough` only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def none(*value: Any) -> bool:
    return False


def slow_if(is_slow: Callable[..., bool], values: Iterable[Any], is_thorough: Callable[..., bool] = none) -> list[Any]:
    """The values as parameters of a test, marked slow where ``is_slow(value)``, or ``is_slow(*value)`` of a tuple.

    Args:
        is_thorough: the same of what runs in `make thorough` only.
    """
    marked = []
    for value in values:
        parts = value if isinstance(value, tuple) else (value,)
        marks = [pytest.mark.slow] if is_slow(*parts) else []
        marks += [pytest.mark.thorough] if is_thorough(*parts) else []
        marked.append(pytest.param(*parts, marks=marks))
    return marked


def thorough_if(is_thorough: Callable[..., bool], values: Iterable[Any]) -> list[Any]:
    """The values as parameters of a test, of which some run in `make thorough` only."""
    return slow_if(none, values, is_thorough)
