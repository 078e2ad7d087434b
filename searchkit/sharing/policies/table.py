"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable

from searchkit.errors import ProxyError, nearest
from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.grouped import Grouped
from searchkit.sharing.policies.protocol import Policy
from searchkit.sharing.policies.shrinking import Shrinking
from searchkit.sharing.policies.tree import Tree
from searchkit.sharing.policies.uniform import Fair, Uniform

POLICIES: dict[str, Callable[[Paths], Policy]] = {
    "uniform": Uniform,
    "fair": Fair,
    "tree": Tree,
    "shrinking": Shrinking,
    "grouped": Grouped,
}


def made_policy(given: object, paths: Paths) -> Policy:
    """A policy by its name, or by a function of :class:`~searchkit.sharing.paths.Paths`.

    Raises:
        ProxyError: there is no policy of that name.
    """
    if callable(given):
        policy: Policy = given(paths)
        return policy
    if not isinstance(given, str) or given not in POLICIES:
        near = nearest(given, POLICIES) if isinstance(given, str) else None
        hint = f"; is {near!r} meant?" if near else ""
        raise ProxyError(f"policy is one of {', '.join(POLICIES)}, or a function of paths, not {given!r}{hint}")
    return POLICIES[given](paths)
