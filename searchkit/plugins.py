"""Names to objects, through entry points: a third party's strategy or space comes in by the same door as ours."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.space import NetworkSpace

_KINDS = {"strategy": "searchkit.strategies", "proxy": "searchkit.proxies", "space": "searchkit.spaces"}


def names(kind: str) -> list[str]:
    """Sorted names registered for ``"strategy"``, ``"proxy"`` or ``"space"``."""
    return sorted({point.name for point in entry_points(group=_KINDS[kind])})


def resolve(kind: str, name: str) -> Any:
    """The object registered under a name.

    Raises:
        UnknownNameError: no such name; it lists those there are and the nearest.
        SearchkitError: the plug-in that registered it cannot be imported.
    """
    found = [point for point in entry_points(group=_KINDS[kind]) if point.name == name]
    if not found:
        raise UnknownNameError.of(kind, name, names(kind))
    try:
        return found[0].load()
    except (ImportError, AttributeError) as error:
        raise SearchkitError(
            f"{kind} '{name}' is registered as {found[0].value}, which cannot be loaded: {error}"
        ) from error


def load_space(name: str, **options: Any) -> NetworkSpace:
    """A registered network space by name, e.g. ``load_space("nas-bench-201", width=16, cells=5)``.

    Raises:
        UnknownNameError: no such space.
        SpaceError: options that the space does not take.
    """
    from searchkit.errors import SpaceError

    factory = resolve("space", name)
    try:
        space: NetworkSpace = factory(**options)
    except TypeError as error:
        raise SpaceError(f"space '{name}' cannot be made with {options}: {error}") from error
    return space
