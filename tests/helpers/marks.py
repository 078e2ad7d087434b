"""Parameters of which some run in CI only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def slow_if(is_slow: Callable[..., bool], values: Iterable[Any]) -> list[Any]:
    """The values as parameters of a test, marked slow where ``is_slow(value)``, or ``is_slow(*value)`` of a tuple."""
    marked = []
    for value in values:
        parts = value if isinstance(value, tuple) else (value,)
        marked.append(pytest.param(*parts, marks=pytest.mark.slow if is_slow(*parts) else ()))
    return marked
