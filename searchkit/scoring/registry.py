"""Names of proxies to proxy objects, checked against the space that they are to score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from searchkit import plugins
from searchkit.errors import SearchkitError, check_name
from searchkit.scoring.protocols import NetworkProxy, Proxy, Setting
from searchkit.space import NetworkSpace, Space

AnyProxy = Proxy | NetworkProxy


@dataclass(frozen=True)
class Configured:
    """A registered proxy that trains something, by its name, with settings of how.

    Attributes:
        settings: keyword arguments of its factory, JSON values.
    """

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)


def made(
    proxies: Sequence[str | AnyProxy | Configured], space: Space, setting: Setting | None = None
) -> list[AnyProxy]:
    """Proxy objects from names and objects.

    Args:
        setting: for proxies that train something; None where there is no data.

    Raises:
        UnknownNameError: nothing is registered under a name.
        SearchkitError: something that is no proxy, proxies of networks for a space that builds none, or proxies that
            train something and no data.
    """
    found: list[AnyProxy] = []
    needing: list[str] = []
    for given in proxies:
        settings = given.settings if isinstance(given, Configured) else {}
        given = given.name if isinstance(given, Configured) else given
        factory = plugins.resolve("proxy", given) if isinstance(given, str) else None
        if factory is None:
            proxy = given
        elif hasattr(factory, "score"):
            if getattr(factory, "needs_networks", False) and not isinstance(space, NetworkSpace):
                needing.append(str(given))
                continue
            if getattr(factory, "needs_data", False):
                if setting is None:
                    raise SearchkitError(f"proxy '{given}' trains networks on images: give data=")
                proxy = factory(space, setting, **settings)
            else:
                proxy = factory(space)
        else:
            proxy = factory()
        if not isinstance(proxy, Proxy | NetworkProxy):
            raise SearchkitError(
                f"{proxy!r} is no proxy: it has neither 'name' and 'score', nor 'names', 'passes' and 'values'"
            )
        if isinstance(proxy, NetworkProxy) and not isinstance(space, NetworkSpace):
            needing.append(proxy.names[0] if factory is None else str(given))
        for name in names_of(proxy):
            check_name("a proxy", name, SearchkitError)
        found.append(proxy)
    if needing:
        raise SearchkitError(
            f"space '{space.name}' builds no networks, which {_listed(needing)} would need. "
            f"Proxies that work on it: {_listed(without_networks())}, and any of your own with score(codes)"
        )
    return found


def without_networks() -> list[str]:
    """Names of the registered proxies that score any space."""
    kinds = {name: plugins.resolve("proxy", name) for name in plugins.names("proxy")}
    return [n for n, kind in kinds.items() if hasattr(kind, "score") and not getattr(kind, "needs_networks", False)]


def names_of(proxy: AnyProxy) -> tuple[str, ...]:
    """The proxy's columns."""
    return tuple(getattr(proxy, "names", ())) or (getattr(proxy, "name", ""),)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
