"""How options are recorded and found again: labels that a record can hold, and keys that options are compared by."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Hashable
from types import ModuleType
from typing import Any

import numpy as np

from searchkit.errors import SpaceError, message_of, readable

Label = str | int | float | bool | None

_ADDRESS = " at 0x"
_LOCAL = "object in this process"  # in a key: what only this process can tell apart
_LARGEST = 2**1023  # Optuna compares categories as floats, which larger whole numbers cannot be
_SHOWN = 60  # characters of an option in an error
_LISTED = 20  # options in an error


def labels_of(name: str, options: tuple[Any, ...]) -> tuple[Label, ...]:
    """One label per option that a record can hold, all different: the option itself where possible, else its text.

    Where the texts of several options are equal, their types, their ``repr`` or a digest of what they hold tell them
    apart, the same in every process.

    Args:
        name: of the choice, for errors.

    Raises:
        SpaceError: an option has no text, or only one with its address in memory; or two cannot be told apart.
    """
    texts = [_text(name, i, option) for i, option in enumerate(options)]
    numbers = Counter(plain(option) for option in options if _is_scalar(option))
    own = [_is_scalar(option) and numbers[plain(option)] == 1 for option in options]
    said = Counter(str(plain(option)) for option, itself in zip(options, own, strict=True) if itself)
    open_rows = [i for i, itself in enumerate(own) if not itself]
    labels = dict(enumerate(map(plain, options)))
    for rung in _RUNGS:
        tried = {i: rung(options[i], texts[i]) for i in open_rows}
        times = Counter(label for label in tried.values() if label is not None)
        left = []
        for i, label in tried.items():
            if label is None or times[label] > 1 or said[label]:
                left.append(i)
            else:
                labels[i] = label
                said[label] += 1
        open_rows = left
    if open_rows:
        twice = sorted({cut(texts[i]) for i in open_rows})
        hint = "; define functions by def, each under its own name" if "<lambda>" in "".join(twice) else ""
        raise SpaceError(
            f"choice '{name}' lists {', '.join(twice)} more than once; options must differ, in their text too"
            f"{hint}. Give strings, and look the objects up by them where you build"
        )
    return tuple(labels[i] for i in range(len(options)))


def key_of(value: object) -> Hashable:
    """What a value is compared by, exactly: equal for copies, and for values in other processes; None where unknown.

    Types count (1, 1.0 and True differ), and the last bit and the sign of numbers; NaN is itself.
    """
    try:
        key = _key(value)
        hash(key)
    except Exception:  # of the value's own code, or a value that contains itself
        return None
    return key


def cut(text: str) -> str:
    """The text of an option as an error shows it, on one line."""
    return readable(" ".join(text[: 20 * _SHOWN].split()), _SHOWN)


def shown(value: object) -> str:
    """The ``repr`` of any value, cut to a length, also where it raises."""
    try:
        return cut(repr(value))
    except Exception as error:
        return f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"


def listed(labels: tuple[Label, ...]) -> str:
    """The options as an error lists them."""
    more = f", ... ({len(labels):,} in all)" if len(labels) > _LISTED else ""
    return f"[{', '.join(shown(label) for label in labels[:_LISTED])}{more}]"


def is_named(option: object) -> bool:
    """Whether it is a function or a class, which is recorded by its name."""
    return callable(option) and hasattr(option, "__qualname__") and hasattr(option, "__module__")


def plain(option: object) -> Any:
    """A number or text of numpy as Python's; anything else as it is."""
    return option.item() if isinstance(option, np.generic) and option.dtype.kind in "biufU" else option


def _is_scalar(option: Any) -> bool:
    """Of a type that JSON restores exactly; a subclass, such as an enumeration's, would be restored as another type."""
    value = plain(option)
    if type(value) is int:
        return abs(value) < _LARGEST
    return type(value) in (str, bool, type(None)) or (type(value) is float and math.isfinite(value))


def _text(name: str, place: int, option: Any) -> str:
    """An option as text that is the same in every process."""
    try:
        text = label_text(option)
    except Exception as error:
        raise SpaceError(
            f"choice '{name}' has as option {place} a {type(option).__name__} that has no text to record it by "
            f"({type(error).__name__}: {cut(message_of(error))}). Give a string, and look the object up by it "
            "where you build; or a __str__ of its own"
        ) from error
    if _ADDRESS in text and not isinstance(option, str):
        raise SpaceError(
            f"choice '{name}' has an option without a name, {cut(text)}: a record could not tell it in another "
            "process. Give strings, and look the objects up by them where you build; or a __str__ of its own"
        )
    return text


def label_text(option: Any) -> str:
    """Functions and classes by name, other options by ``str``; sets in order, and functions inside by name."""
    if isinstance(option, enum.Enum):
        return f"{type(option).__qualname__}.{option.name}"
    if is_named(option):
        return str(option.__qualname__)
    text = str(option)
    if type(option) is not str and (_ADDRESS in text or _has_set(option)):
        return described(option)
    return text


def described(value: Any) -> str:
    """The ``repr`` of a value, with sets in order and functions by their full name, at any depth."""
    kind = type(value)
    if kind in (set, frozenset):
        inner = ", ".join(sorted(map(described, value)))
        bare = f"{{{inner}}}" if inner else "set()"
        return bare if kind is set else f"frozenset({bare if inner else ''})"
    if kind is list:
        return f"[{', '.join(map(described, value))}]"
    if kind is tuple:
        return f"({', '.join(map(described, value))}{',' * (len(value) == 1)})"
    if kind is dict:
        return f"{{{', '.join(f'{described(k)}: {described(v)}' for k, v in value.items())}}}"
    if isinstance(value, functools.partial):
        given = [*map(described, value.args), *(f"{k}={described(v)}" for k, v in value.keywords.items())]
        return f"functools.partial({', '.join([described(value.func), *given])})"
    if _is_record(value):
        fields = [f for f in dataclasses.fields(value) if f.repr]
        return f"{kind.__qualname__}({', '.join(f'{f.name}={described(getattr(value, f.name))}' for f in fields)})"
    if is_named(value) and not isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def _is_record(value: Any) -> bool:
    """A dataclass's instance with the ``repr`` that dataclasses give."""
    if isinstance(value, type) or not dataclasses.is_dataclass(value):
        return False
    return hasattr(type(value).__repr__, "__wrapped__")  # one that the class defines itself has no such attribute


def _has_set(value: Any) -> bool:
    kind = type(value)
    if kind in (set, frozenset):
        return True
    if kind in (list, tuple):
        return any(map(_has_set, value))
    if kind is dict:
        return any(map(_has_set, value.values())) or any(map(_has_set, value))
    if isinstance(value, functools.partial):
        return _has_set(value.args) or _has_set(value.keywords)
    return _is_record(value) and any(_has_set(getattr(value, f.name)) for f in dataclasses.fields(value))


def _by_module(option: Any, text: str) -> str | None:
    return f"{option.__module__}.{text}" if is_named(option) else None


def _by_type(option: Any, text: str) -> str | None:
    return None if is_named(option) else f"{text} ({type(option).__qualname__})"


def _by_repr(option: Any, _: str) -> str | None:
    try:
        text = described(option)
    except Exception:
        return None
    return None if _ADDRESS in text else text


def _by_digest(option: Any, text: str) -> str | None:
    """What the option holds, where it is plain data: arrays of which ``repr`` shows a part, numbers to the last bit."""
    key = key_of(option)
    held = repr(key)
    if key is None or _LOCAL in held or _ADDRESS in held:
        return None
    return f"{text} ({type(option).__qualname__} {hashlib.blake2b(held.encode(), digest_size=6).hexdigest()})"


_RUNGS: tuple[Callable[[Any, str], str | None], ...] = (
    lambda _, text: text,
    _by_module,
    _by_type,
    _by_repr,
    _by_digest,
)


def _key(value: Any) -> Hashable:
    kind = type(value)
    if value is None or kind in (bool, int, str, bytes):
        return kind, value
    if kind is float:
        return kind, value.hex()
    if kind is complex:
        return kind, value.real.hex(), value.imag.hex()
    if kind in (tuple, list):
        return kind, *map(_key, value)
    if kind is dict:
        return kind, *((_key(k), _key(v)) for k, v in value.items())
    if kind in (set, frozenset):
        return kind, *sorted(map(_key, value), key=repr)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return kind, value.shape, *map(_key, value.ravel())
    if isinstance(value, np.ndarray | np.generic):
        return kind, value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, enum.Enum):
        return kind, value.name
    if isinstance(value, functools.partial):
        return kind, _key(value.func), _key(value.args), _key(value.keywords)
    if is_named(value):
        return _named_key(value)
    if dataclasses.is_dataclass(value):
        return kind, *(_key(getattr(value, f.name)) for f in dataclasses.fields(value))
    return _other_key(value)


def _named_key(value: Any) -> Hashable:
    owner = getattr(value, "__self__", None)
    bound = () if owner is None or isinstance(owner, ModuleType) else (_key(owner),)
    nameless = "<l" in value.__qualname__ and not bound  # of <locals> or <lambda>: a closure may share its name
    local = (_LOCAL, id(value)) if nameless else ()
    return "named", value.__module__, value.__qualname__, *bound, *local


def _other_key(value: Any) -> Hashable:
    """By what it holds, where it is a tensor, else by its text."""
    kind: Any = type(value)
    if callable(getattr(value, "detach", None)) and callable(getattr(value, "numpy", None)):
        whole = value.detach().cpu()
        return kind, str(value.dtype), str(value.device), tuple(value.shape), *map(_key, whole.flatten().tolist())
    text, exact = label_text(value), repr(value)
    if _ADDRESS in text:
        return kind, _LOCAL, id(value)
    return kind, text, "" if _ADDRESS in exact else exact
