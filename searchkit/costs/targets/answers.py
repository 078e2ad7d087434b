"""What a target has answered: a number or several, checked, or the reason why there is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from searchkit.errors import TargetError, printable

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?)(?![\d_])"
    r"|nan\b|inf(?:inity)?\b)",
    re.IGNORECASE,
)
SPREAD = "_spread"  # latency_ms_spread: relative, may be 0
READ = 10_000  # last characters of an output in which a number is looked for
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
            except (ValueError, RecursionError):  # numbers of thousands of digits, and endless nesting, among others
                continue
            return read_value(found, metric)
    text = text[-READ:]
    if _meant_as_object(text, metric):
        raise TargetError(f"printed {_shown(repr(text))}: a JSON object has to be the whole of the last line")
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        printed = f"printed {_shown(repr(text))}, in which there is no number" if text else "printed nothing"
        raise TargetError(printed)
    last = numbers[-1]
    if re.search(r"\d,$", text[: last.start()]):
        raise TargetError(f"printed {_shown(repr(text))}: a number has a point and no comma before its fraction")
    return read_value(float(last[0].replace(",", "")), metric)


def _meant_as_object(text: str, metric: str) -> bool:
    """Whether an output that is no JSON object looks like one, so that its last number may be any."""
    last = text.rpartition("\n")[2].rstrip()
    key = r"""["']\s*:"""
    return last.endswith(("}", "]")) or bool(re.search(key, last)) or bool(re.search(re.escape(metric) + key, text))


def read_value(given: object, metric: str) -> Answer:
    """The answer in a number, or in a mapping whose numbers are metrics.

    Raises:
        TargetError: it is neither, has no number, or one that is not finite or not above 0; or it has the text "error".
    """
    if not isinstance(given, Mapping):
        if not _is_number(given):
            raise TargetError(f"answered {_shown(repr(given))}, which is no number")
        given = {metric: given}
    try:
        values = {str(name): float(value) for name, value in given.items() if _is_number(value)}
    except OverflowError:
        raise TargetError("answered a number that is too large to be a measurement") from None
    texts = {str(name): printable(value) for name, value in given.items() if isinstance(value, str)}
    if "error" in given:
        raise TargetError(texts.get("error") or f"answered an error, {_shown(repr(given['error']))}")
    for name, value in values.items():
        if not math.isfinite(value) or value < 0 or (value == 0 and not name.endswith(SPREAD)):
            raise TargetError(f"answered {name} = {value:g}, which is no measurement: it has to be above 0 and finite")
    if not values:
        raise TargetError(f"answered {_shown(repr(dict(given)))}, in which there is no number")
    return Answer(values, texts)


def _is_number(given: object) -> TypeGuard[float]:
    return isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)


def _shown(text: str) -> str:
    return printable(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
