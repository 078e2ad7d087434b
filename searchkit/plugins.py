"""Plug-ins: names are resolved through entry points, for third parties' strategies and spaces as for our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.space import NetworkSpace

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from searchkit.problem.problem import Problem, Strategy

_KINDS = {
    "executor": "searchkit.executors",
    "proxy": "searchkit.proxies",
    "space": "searchkit.spaces",
    "strategy": "searchkit.strategies",
}
_ADAPTERS = "searchkit.adapters"
OF_THE_DATA = ("input_shape", "n_classes")  # options of a space that its data decide


def _registered(group: str) -> EntryPoints:
    from importlib.metadata import entry_points  # takes as long to import as all of searchkit's own modules

    return entry_points(group=group)


def names(kind: str) -> list[str]:
    """Sorted names registered for ``"strategy"``, ``"proxy"``, ``"space"`` or ``"executor"``."""
    return sorted({point.name for point in _registered(_KINDS[kind])})


def resolve(kind: str, name: str) -> Any:
    """The object that is registered under a name.

    Raises:
        UnknownNameError: no such name; the message lists the names and the nearest one.
        SearchkitError: the plug-in that registered it cannot be imported.
    """
    found = [point for point in _registered(_KINDS[kind]) if point.name == name]
    if not found:
        raise UnknownNameError.of(kind, name, names(kind))
    return _load(kind, found[0])


def signals() -> dict[str, str]:
    """Signals of the registered proxies: name of the signal -> name of its proxy.

    Features without a direction are left out, and proxies that score only after they have learned from evaluations.
    """
    found: dict[str, str] = {}
    for name in names("proxy"):
        kind = resolve("proxy", name)
        if not getattr(kind, "features_only", False) and not getattr(kind, "learns", False):
            found |= dict.fromkeys((name,) if hasattr(kind, "score") else kind().names, name)
    return found


def strategy_factory(given: object) -> Callable[[Problem], Strategy]:
    """A factory of a strategy: from a name, another library's optimiser, or a callable ``(problem) -> strategy``.

    Raises:
        UnknownNameError: none of these, or an unknown name.
        SearchkitError: the plug-in or the adapter cannot be imported.
    """
    if isinstance(given, str):
        found: Callable[[Problem], Strategy] = resolve("strategy", given)
        return found
    adapted = adapt(given)
    if adapted is not None:
        return adapted
    if callable(given):
        return given
    raise UnknownNameError.of("strategy", given, names("strategy"))


def adapt(given: object) -> Callable[[Problem], Strategy] | None:
    """A factory of a strategy from another library's optimiser, such as an Optuna sampler or a pymoo algorithm.

    A library's adapter is registered under the library's top-level name in the group ``searchkit.adapters``: a function
    ``object -> (Problem -> strategy) or None``, with None for objects that it cannot adapt. Base classes of the
    object's class count too, so that a user's subclass of an Optuna sampler is adapted. Only adapters of libraries that
    the object's classes come from are imported.

    Returns:
        a factory for ``searchkit.run(strategy=...)``, or None if no adapter takes the object.

    Raises:
        SearchkitError: the adapter cannot be imported.
    """
    points = {point.name: point for point in _registered(_ADAPTERS)}
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


def load_space(name: str, **options: object) -> NetworkSpace:
    """A registered network space by name, e.g. ``load_space("nas-bench-201", width=16, cells=5)``.

    Args:
        options: of the space. ``precisions=True`` of any space makes the precision of each block a choice, see
            :meth:`searchkit.NetworkSpace.with_precisions`.

    Raises:
        UnknownNameError: no such space.
        SpaceError: options that the space does not take.
    """
    from searchkit.errors import SpaceError

    factory = resolve("space", name)
    precisions = options.pop("precisions", False)
    if not isinstance(precisions, bool):
        raise SpaceError(f"precisions of space '{name}' is True or False, not {precisions!r}")
    try:
        space: NetworkSpace = factory(**options)
    except TypeError as error:
        raise SpaceError(f"space '{name}' cannot be made with {options}: {error}") from error
    return space.with_precisions() if precisions else space


def load_space_for_data(name: str, **options: object) -> NetworkSpace:
    """A registered network space for a search or a score, whose data decide the shapes.

    Raises:
        UnknownNameError: no such space.
        SpaceError: options that the space does not take, or that the data decide.
    """
    from searchkit.errors import SpaceError

    for option in OF_THE_DATA:
        if option in options:
            raise SpaceError(f"{option} of space '{name}' is what the data have: leave it out, and give the data")
    return load_space(name, **options)
