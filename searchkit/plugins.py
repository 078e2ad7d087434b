"""Names to objects, through entry points: a third party's strategy or space comes in by the same door as ours."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.space import NetworkSpace

if TYPE_CHECKING:
    from searchkit.problem.problem import Problem, Strategy

_KINDS = {
    "executor": "searchkit.executors",
    "proxy": "searchkit.proxies",
    "space": "searchkit.spaces",
    "strategy": "searchkit.strategies",
}
_ADAPTERS = "searchkit.adapters"


def names(kind: str) -> list[str]:
    """Sorted names registered for ``"strategy"``, ``"proxy"``, ``"space"`` or ``"executor"``."""
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
    return _load(kind, found[0])


def signals() -> dict[str, str]:
    """Every signal of the registered proxies -> the proxy that gives it.

    Left out are features without a direction, and proxies that have nothing to say before something was evaluated.
    """
    found: dict[str, str] = {}
    for name in names("proxy"):
        kind = resolve("proxy", name)
        if not getattr(kind, "features_only", False) and not getattr(kind, "learns", False):
            found |= dict.fromkeys((name,) if hasattr(kind, "score") else kind().names, name)
    return found


def strategy_factory(given: Any) -> Callable[[Problem], Strategy]:
    """What makes a strategy, from a name, an optimiser of another library, or a callable ``(problem) -> strategy``.

    Raises:
        UnknownNameError: it is none of these, or no such name.
        SearchkitError: the plug-in or the adapter cannot be imported.
    """
    if isinstance(given, str):
        found: Callable[[Problem], Strategy] = resolve("strategy", given)
        return found
    adapted = adapt(given)
    if adapted is not None:
        return adapted
    if callable(given):
        return given  # type: ignore[no-any-return]
    raise UnknownNameError.of("strategy", given, names("strategy"))


def adapt(given: Any) -> Callable[[Problem], Strategy] | None:
    """What makes a strategy of an optimiser of another library, such as an Optuna sampler or a pymoo algorithm.

    A library's adapter is registered under the library's top-level name in the group ``searchkit.adapters``: a function
    ``object -> (Problem -> strategy) or None``, None of objects it has no use for. The classes that the object's class
    derives from count too, so that a user's own sampler is adapted as Optuna's. Only adapters of libraries that the
    object comes from are imported.

    Returns:
        a factory as ``searchkit.run(strategy=...)`` takes it, or None where nobody adapts the object.

    Raises:
        SearchkitError: the adapter cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=_ADAPTERS)}
    for library in dict.fromkeys(base.__module__.split(".")[0] for base in type(given).__mro__):
        if library in points:
            factory: Callable[[Problem], Strategy] | None = _load("adapter", points[library])(given)
            if factory is not None:
                return factory
    return None


def _load(kind: str, point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise SearchkitError(
            f"{kind} '{point.name}' is registered as {point.value}, which cannot be loaded: {error}"
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
