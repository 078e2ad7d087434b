"""Fingerprints of functions and objects by code and settings: equal in every process, different once code changes.

Lambdas, closures of one function, partials and objects have different fingerprints if their code or settings differ; a
function gets another fingerprint when its code is edited, or that of the functions and classes of its module that it
uses, or a constant of its module: a number, a text, or a tuple of these. Not included are other modules, and lists,
dictionaries and sets in a closure or of a module, because functions often use these as caches. Of an object, the code
of its class is included where that is neither installed nor searchkit's own.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import hashlib
import sys
import types
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DEPTH = 12  # of nested objects; differences below that depth are not seen


def fingerprint(*things: object) -> str:
    """A digest of 12 hexadecimal digits; see the module for what it includes."""
    described: set[int] = set()
    trees = [_tree(thing, DEPTH, set(), described) for thing in things]
    return hashlib.blake2b(repr(trees).encode(), digest_size=6).hexdigest()


def _tree(thing: Any, depth: int, above: set[int], described: set[int]) -> Any:
    """A description made of nested tuples, lists and strings, without memory addresses.

    Args:
        depth: levels of nesting that are still described.
        above: ids of the objects that contain this one, to stop at cycles.
        described: ids of the functions and classes whose code is in the description already; it is there once.
    """
    if thing is None or isinstance(thing, str | bytes | int | float | complex):
        return f"{type(thing).__name__} {thing!r}"
    if depth == 0 or id(thing) in above:
        return type(thing).__qualname__
    above, depth = above | {id(thing)}, depth - 1

    def inside(part: Any) -> Any:
        return _tree(part, depth, above, described)

    if isinstance(thing, types.FunctionType):
        again = id(thing) in described
        described.add(id(thing))
        return (thing.__module__, thing.__qualname__) if again else _function(thing, inside)
    if isinstance(thing, types.CodeType):
        return thing.co_code.hex(), thing.co_names, [inside(constant) for constant in thing.co_consts]
    if isinstance(thing, functools.partial):
        return "partial", inside(thing.func), inside(thing.args), inside(thing.keywords)
    if isinstance(thing, types.MethodType):
        return "method", inside(thing.__func__), inside(thing.__self__)
    if isinstance(thing, type) and _is_own(thing.__module__):
        again = id(thing) in described
        described.add(id(thing))
        return thing.__module__, thing.__qualname__, None if again else _class(thing, inside)
    if isinstance(thing, type | types.ModuleType | types.BuiltinFunctionType):
        return getattr(thing, "__module__", ""), getattr(thing, "__qualname__", thing.__name__)
    if isinstance(thing, list | tuple):
        return type(thing).__name__, [inside(part) for part in thing]
    if isinstance(thing, set | frozenset):
        return "set", sorted(repr(inside(part)) for part in thing)
    if isinstance(thing, dict):
        return "dict", [(inside(key), inside(value)) for key, value in thing.items()]
    if isinstance(thing, np.ndarray | np.generic) and thing.dtype != object:
        return str(thing.dtype), thing.shape, hashlib.blake2b(np.ascontiguousarray(thing).tobytes()).hexdigest()
    if isinstance(thing, np.ndarray):  # of objects
        return "objects", thing.shape, [inside(part) for part in thing.ravel().tolist()]
    if isinstance(thing, deque):
        return "deque", [inside(part) for part in thing]
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.Tensor):
        return "tensor", str(thing.dtype), tuple(thing.shape), _values(thing)
    kind = type(thing)
    called = inside(kind) if _is_own(kind.__module__) else inside(kind.__call__) if callable(thing) else None
    return kind.__module__, kind.__qualname__, called, inside(_dictionary(thing)), inside(_slots(thing))


def _values(tensor: Any) -> str:
    """A digest of a tensor's numbers; of one that has none to read, such as a meta tensor, what kind it is."""
    try:
        numbers = tensor.detach().cpu().contiguous().flatten().tolist()
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return f"{tensor.layout} {tensor.device}"
    return hashlib.blake2b(repr(numbers).encode()).hexdigest()


def _dictionary(thing: Any) -> Any:
    """An object's ``__dict__``, or None, read without running any code of its class."""
    try:
        held = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None
    left = {name for base in type(thing).__mro__ for name in vars(base).get("_no_identity", ())}
    return {name: value for name, value in held.items() if name not in left} if left else held


def _slots(thing: Any) -> dict[str, Any]:
    """What an object keeps in ``__slots__``, read without running any code of its class."""
    found = {}
    for base in type(thing).__mro__:
        for name, member in vars(base).items() if "__slots__" in vars(base) else ():
            if isinstance(member, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # not set
                    found[name] = member.__get__(thing)
    return found


def _function(function: types.FunctionType, inside: Callable[[Any], Any]) -> Any:
    where = (function.__module__, function.__qualname__)
    if str(function.__module__).split(".")[0] == "searchkit":
        return where  # its code may change with searchkit's version, but the tests keep its behaviour
    names, changed = _names(function.__code__)
    cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    kept = [cell for cell in cells if not isinstance(cell, list | dict | set)]
    used = [function.__globals__[name] for name in names if name in function.__globals__ and name not in changed]
    helpers = [
        found
        for found in used
        if (isinstance(found, types.FunctionType | type) and found.__module__ == function.__module__)
        or _is_constant(found)
    ]
    parts = (function.__code__, function.__defaults__, function.__kwdefaults__, kept, helpers)
    return where, [inside(part) for part in parts]


def _class(kind: type, inside: Callable[[Any], Any]) -> Any:
    """The code of a class and of those of its bases that are the user's, too."""
    parts = [
        (name, _code_of(member) or member)
        for base in kind.__mro__
        if _is_own(base.__module__)
        for name, member in vars(base).items()
        if _code_of(member) is not None or (_is_constant(member) and not name.startswith("__"))
    ]
    return [(name, inside(part)) for name, part in parts]


def _code_of(member: Any) -> types.FunctionType | None:
    """The function of a method, of a property, or of a method of the class."""
    if isinstance(member, functools.cached_property):
        member = member.func
    if isinstance(member, property):
        member = member.fget
    function = getattr(member, "__func__", member)
    return function if isinstance(function, types.FunctionType) else None


def _names(code: types.CodeType) -> tuple[list[str], set[str]]:
    """Names that code and the code inside it use, and the global variables that it sets."""
    names, changed = list(code.co_names), {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_GLOBAL"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner, set_there = _names(constant)
            names, changed = names + inner, changed | set_there
    return list(dict.fromkeys(names)), changed


def _is_constant(thing: Any) -> bool:
    if isinstance(thing, tuple | frozenset):
        return all(map(_is_constant, thing))
    return thing is None or type(thing) in (bool, int, float, complex, str, bytes)


@functools.cache
def _is_own(module: str) -> bool:
    """Whether a module is the user's: not searchkit's, not Python's, and not installed."""
    top = str(module).partition(".")[0]
    if top == "searchkit" or top in sys.stdlib_module_names - {"__main__"}:
        return False
    found = sys.modules.get(module)
    parts = Path(getattr(found, "__file__", None) or "").parts
    return not {"site-packages", "dist-packages"} & set(parts)


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where the variable is not set yet
    except ValueError:
        return False
    return True
