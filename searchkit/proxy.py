"""What a proxy is: something that says cheaply, without training, which candidates are worth more.

There are two kinds, and a plug-in (entry-point group "searchkit.proxies") may register either:

* a :class:`Proxy` scores candidates from their codes; it is made with the space: ``factory(space)``;
* a :class:`NetworkProxy` scores one network from passes through it; it is made without arguments: ``factory()``.
  It says which passes it reads; equal passes of several proxies run once (:mod:`searchkit.passes`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from searchkit.space import Codes, Floats

if TYPE_CHECKING:
    from searchkit.passes import Built


@runtime_checkable
class Proxy(Protocol):
    """Scores candidates from their codes.

    Attributes:
        name: of its signal. One with several signals also has ``names: tuple[str, ...]``; a class may say
            ``needs_networks = True`` (it is refused for spaces without), ``cached = False`` (its scores are cheaper
            than a look-up) and ``features_only = True`` (no direction: nothing to be an objective).
    """

    name: str

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` float64 for codes ``(n, d)``: higher is better, NaN where it cannot; ``(n, p)`` with p ``names``."""
        ...


class Pass(Protocol):
    """One way of running a network: what is run, and what is recorded of it. Immutable."""

    @property
    def key(self) -> Hashable:
        """Passes with equal keys are run once, joined."""
        ...

    def joined(self, other: Self) -> Self:
        """The pass that records what either does; only called with a pass of equal key."""
        ...

    def run(self, built: Built) -> Any:
        """Run it on a network that has its initial weights, and return what the proxies read."""
        ...


@runtime_checkable
class NetworkProxy(Protocol):
    """Scores one network from passes through it.

    Attributes:
        names: of its signals, one or more.
        passes: what it needs run.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def passes(self) -> tuple[Pass, ...]: ...

    def values(self, recordings: Sequence[Any]) -> Mapping[str, float]:
        """``{name: value}`` from what each of ``passes`` returned, in that order; higher is better.

        Raises:
            CandidateError: why this network cannot be scored. Any other exception is treated alike.
        """
        ...
