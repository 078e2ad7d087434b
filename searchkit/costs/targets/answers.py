"""What a target has answered: a number or several, checked, or the reason why there is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from searchkit.errors import TargetError, printable

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?|nan\b|inf(?:inity)?\b)",
    re.IGNORECASE,
)
SPREAD = "_spread"  # latency_ms_spread: relative, may be 0
SHOWN = 80  # characters of an answer that a reason shows


@dataclass(frozen=True)
class Answer:
    """Values by metric, all finite and above 0, and the texts that came with them, such as versions."""

    values: dict[str, float]
    texts: dict[str, str]

    @property
    def label(self) -> str:
        """The texts as one, for records and tables: "onnxruntime 1.20.1, machine aarch64"."""
        return ", ".join(f"{name} {text}" for name, text in self.texts.items())


def read_output(output: str, metric: str) -> Answer:
    """The answer in what a command has printed: the JSON object of its last line, or its last number.

    Args:
        metric: what a single number is.

    Raises:
        TargetError: there is neither, or a value that no measurement can have.
    """
    text = output.strip()
    for candidate in (text, text.rpartition("\n")[2]):
        if candidate.startswith("{"):
            try:
                found = json.loads(candidate)
            except json.JSONDecodeError:
                continue
            return read_value(found, metric)
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        printed = f"printed {_shown(repr(text))}, in which there is no number" if text else "printed nothing"
        raise TargetError(printed)
    last = numbers[-1]
    if re.search(r"\d,$", text[: last.start()]):
        raise TargetError(f"printed {_shown(repr(text))}: a number has a point and no comma before its fraction")
    return read_value(float(last[0].replace(",", "")), metric)


def read_value(given: object, metric: str) -> Answer:
    """The answer in a number, or in a mapping whose numbers are metrics.

    Raises:
        TargetError: it is neither, has no number, or one that is not finite or not above 0; or it has the text "error".
    """
    if not isinstance(given, Mapping):
        if not _is_number(given):
            raise TargetError(f"answered {_shown(repr(given))}, which is no number")
        given = {metric: given}
    numbers: dict[str, Any] = {str(name): value for name, value in given.items() if _is_number(value)}
    values = {name: float(value) for name, value in numbers.items()}
    texts = {str(name): printable(value) for name, value in given.items() if isinstance(value, str)}
    if "error" in texts:
        raise TargetError(texts["error"])
    for name, value in values.items():
        if not math.isfinite(value) or value < 0 or (value == 0 and not name.endswith(SPREAD)):
            raise TargetError(f"answered {name} = {value:g}, which is no measurement: it has to be above 0 and finite")
    if not values:
        raise TargetError(f"answered {_shown(repr(dict(given)))}, in which there is no number")
    return Answer(values, texts)


def _is_number(given: object) -> bool:
    return isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)


def _shown(text: str) -> str:
    return printable(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
