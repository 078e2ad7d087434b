"""What a proxy is: an estimate, cheap and mostly without training, of which candidates are better.

There are two kinds, and a plug-in (entry-point group "searchkit.proxies") may register either:

* a :class:`Proxy` scores candidates from their codes; it is made with the space: ``factory(space)``;
* a :class:`NetworkProxy` scores one network from passes through it; it is made without arguments: ``factory()``.
  It says which passes it reads; equal passes of several proxies run once (:mod:`searchkit.scoring.passes.passes`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.data.data import Data
    from searchkit.scoring.passes.passes import Built


@runtime_checkable
class Proxy(Protocol):
    """Scores candidates from their codes.

    Attributes:
        name: of its signal. One with several signals also has ``names: tuple[str, ...]``; a class may say
            ``needs_networks = True`` (it is refused for spaces without), ``cached = False`` (its scores are cheaper
            than a look-up) and ``features_only = True`` (no direction: nothing to be an objective). Where all scores
            are NaN for one reason, ``no_score`` may say it, for the warning; where candidates have reasons of their
            own, ``why_none(code) -> str | None`` may, of a candidate ``(d,)`` that was scored. One that trains for long
            may have ``train_until(until)``, a time by ``time.perf_counter()`` at which a search wants it to be done.
        ``needs_data = True``: it is made with ``factory(space, setting)``, see :class:`Setting`.
    """

    name: str

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` float64 for codes ``(n, d)``: higher is better, NaN where it cannot; ``(n, p)`` with p ``names``."""
        ...


@runtime_checkable
class Learner(Proxy, Protocol):
    """A proxy that learns from what a search evaluates: its class says ``learns = True``.

    Attributes:
        fitted: whether it has learned from enough networks to give scores.
        left_out: ``(n,)`` leave-one-out predictions of the networks that it learned from.
    """

    learns: bool

    @property
    def fitted(self) -> bool: ...

    @property
    def left_out(self) -> Floats: ...

    def fit(self, codes: Codes, values: Floats) -> Self:
        """A new proxy, fitted to networks ``(n, d)`` of values ``(n,)``, higher is better; a pure function."""
        ...


@dataclass(frozen=True)
class Setting:
    """The second argument of a proxy with ``needs_data``, which trains something.

    Attributes:
        data: train on its train part, evaluate on its validation part.
        device: "cpu", "cuda:1", or "cuda": any visible GPU.
        seed: as of the search.
        executor: as of the search: None, a number of processes, or a ``concurrent.futures`` executor.
        folder: where it may keep what it trained; None: it keeps nothing.
    """

    data: Data
    device: str = "cpu"
    seed: int = 0
    executor: object = None
    folder: Path | None = None


class Pass(Protocol):
    """One way of running a network, and what is recorded of it. Immutable.

    One that runs a reduced network in place of the candidate's says which in an attribute ``reduction``, see
    :class:`searchkit.training.reduced.Reduction`, which is then part of its key.
    """

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
