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

NEEDED = ("reward", "together", "share", "begin", "draw", "tell", "state", "restore")


def made_policy(given: object, paths: Paths) -> Policy:
    """A policy by its name, or by a function of :class:`~searchkit.sharing.paths.Paths`.

    Raises:
        ProxyError: there is no policy of that name, or what the function returns is none.
    """
    if callable(given):
        policy: Policy = given(paths)
        lacks = [name for name in NEEDED if not hasattr(policy, name)]
        if lacks:
            raise ProxyError(f"policy= returns {policy!r:.80}, which is no policy: it has no {lacks[0]!r}")
        return policy
    if not isinstance(given, str) or given not in POLICIES:
        near = nearest(given, POLICIES) if isinstance(given, str) else None
        hint = f"; is {near!r} meant?" if near else ""
        raise ProxyError(f"policy is one of {', '.join(POLICIES)}, or a function of paths, not {given!r}{hint}")
    return POLICIES[given](paths)
