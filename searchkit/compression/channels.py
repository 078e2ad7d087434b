"""Which inner channels of a module belong together, found by disturbing them, and how much each of them carries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from searchkit.compression.layer_calls import Call, Dense, PerChannel, Recorder, held_by
from searchkit.costs.meta_tensors import no_gradients
from searchkit.errors import PASSED_ON
from searchkit.random_state import seeded

FEWEST = 4  # channels of a group that is worth to be cut
_SCALES = (1.0, 10.0)  # of disturbances, in deviations: some functions hide small ones, others large ones


@dataclass(frozen=True)
class Group:
    """Inner channels that are removed together: channel i of every writer is channel i of every reader.

    Attributes:
        size: number of channels.
        granule: channels that can only be removed together, as those of one group of a grouped convolution.
        writers, readers: dense layers that give and take the channels.
        between: what acts on them channel by channel: norms, biases, depthwise and grouped convolutions.
        importance: ``(size,)`` mean square of a channel's activation times the squared norm of the weights that read
            it: what a reader's output loses in squares when the channel is removed.
        inexact: a norm over these channels changes the others when one is removed.
    """

    size: int
    granule: int
    writers: tuple[Dense, ...]
    readers: tuple[Dense, ...]
    between: tuple[Dense | PerChannel, ...]
    importance: Tensor
    inexact: bool

    def most_important(self, n: int) -> Tensor:
        """``(n,)`` indices of the channels that are kept, in their order; n is a multiple of the granule."""
        granules = self.importance.reshape(-1, self.granule).sum(1)
        first = torch.topk(granules, n // self.granule).indices.sort().values * self.granule
        return (first[:, None] + torch.arange(self.granule)).flatten()


@dataclass
class _Reach:
    """Where a disturbance arrives: places of readers and of operations in between; what it spoils."""

    readers: set[int] = field(default_factory=set)
    between: set[int] = field(default_factory=set)
    spoiled: set[int] = field(default_factory=set)
    out: bool = False


def groups_of(module: nn.Module, fed: Tensor) -> list[Group]:
    """The groups of inner channels of a module in evaluation mode; empty where none can be told.

    Args:
        module: not changed.
        fed: ``(n, ...)`` inputs of the module, from which the importance of its channels is taken.
    """
    try:
        with no_gradients(), seeded(0):
            return _Finder(module, fed).groups()
    except PASSED_ON:
        raise
    except Exception:  # of the module's own code under the recorder: such a module is not narrowed
        return []


class _Finder:
    def __init__(self, module: nn.Module, fed: Tensor) -> None:
        self.module, self.fed = module, fed[:1]
        self.held = held_by(module)
        self.calls, self.out = self._run()
        self.activations = [call.fed for call in self._run(fed=fed)[0]]
        self.dense = [i for i, call in enumerate(self.calls) if isinstance(call.what, Dense) and not call.what.grouped]

    def groups(self) -> list[Group]:
        reaches = {i: self._reach(i) for i in self._writers()}
        by_input = self._changed(self._run(fed=self.fed + torch.randn_like(self.fed))[0], self.calls)
        bad = {("reader", i) for i in self.dense if by_input[i]}
        above: dict[tuple[str, int], tuple[str, int]] = {}

        def root(key: tuple[str, int]) -> tuple[str, int]:
            while above.setdefault(key, key) != key:
                key = above[key]
            return key

        for i in self.dense:
            reach = reaches.get(i)
            if reach is None or reach.out or reach.spoiled:
                bad.add(("writer", i))
            for j in reach.readers | reach.spoiled if reach else ():
                above[root(("reader", j))] = root(("writer", i))
            bad |= {("reader", j) for j in reach.spoiled} if reach else set()
        spoiled = {root(key) for key in bad}
        found = []
        for top in dict.fromkeys(root(("writer", i)) for i in reaches):
            writers = [i for i in reaches if root(("writer", i)) == top]
            readers = [j for j in self.dense if root(("reader", j)) == top]
            if top not in spoiled and readers:
                between = sorted(set().union(*(reaches[i].between for i in writers)))
                found.append(self._group(writers, readers, between))
        return [group for group in found if group.size // group.granule >= 2 and self._once(group)]

    def _group(self, writers: list[int], readers: list[int], between: list[int]) -> Group:
        first: Dense = self.calls[writers[0]].what  # type: ignore[assignment]
        importance = torch.zeros(first.n_out)
        for j in readers:
            what: Dense = self.calls[j].what  # type: ignore[assignment]
            weight = getattr(self.module.get_submodule(what.weight.owner), what.weight.attribute).detach()
            squares = self.activations[j].movedim(what.axis, 0).flatten(1).square().mean(1)
            importance += squares * weight.movedim(what.in_axis, 0).flatten(1).square().sum(1)
        inside = [self.calls[j].what for j in between]
        return Group(
            first.n_out,
            math.lcm(1, *(what.granule for what in inside)),
            tuple(self.calls[i].what for i in writers),  # type: ignore[misc]
            tuple(self.calls[j].what for j in readers),  # type: ignore[misc]
            tuple(inside),
            importance,
            any(isinstance(what, PerChannel) and what.inexact for what in inside),
        )

    def _once(self, group: Group) -> bool:
        """Whether no weight of the group is read by two calls, which could differ in what they make of it."""
        read = [call.what.weight for call in self.calls if isinstance(call.what, Dense)]
        inside = [*group.writers, *group.readers, *(what for what in group.between if isinstance(what, Dense))]
        return all(read.count(what.weight) == 1 for what in inside)

    def _writers(self) -> Iterator[int]:
        return (i for i in self.dense if self.calls[i].what.n_out >= FEWEST)  # type: ignore[union-attr]

    def _run(
        self, at: int = -1, disturb: Callable[[Tensor], Tensor] | None = None, fed: Tensor | None = None
    ) -> tuple[list[Call], Tensor]:
        """The calls of a pass; repeated with a disturbance of a call's output, or of the input, if calls are known."""
        again = getattr(self, "calls", None)
        whole = fed is not None and len(fed) != len(self.fed)
        with Recorder(self.held, None if whole else again, at, disturb) as recorder:
            out = self.module((self.fed if fed is None else fed).clone())
        return recorder.calls, out

    @staticmethod
    def _changed(calls: list[Call], before: list[Call]) -> list[bool]:
        return [not torch.equal(call.fed, earlier.fed) for call, earlier in zip(calls, before, strict=True)]

    def _reach(self, at: int) -> _Reach:
        """Where the output of a dense call arrives."""
        what: Dense = self.calls[at].what  # type: ignore[assignment]
        reach = _Reach()
        granule = math.lcm(1, *(call.what.granule for call in self.calls if self._size(call) == what.n_out))
        if what.n_out % granule or what.n_out // granule < 2:
            granule = 1
        n = what.n_out // granule
        half = torch.zeros(n, dtype=torch.bool)
        half[torch.randperm(n)[: n // 2]] = True
        for scale in _SCALES:
            for some in (half, ~half):
                self._disturbed(at, what.axis, some.repeat_interleave(granule), scale, reach)
                if reach.out:
                    return reach
        return reach

    @staticmethod
    def _size(call: Call) -> int:
        if isinstance(call.what, Dense):
            return call.what.n_in if call.what.grouped else 0
        return call.fed.shape[1] if call.what.granule > 1 else 0

    def _disturbed(self, at: int, axis: int, some: Tensor, scale: float, reach: _Reach) -> None:
        """One pass in which some channels of a call's output are disturbed; what it reaches is added."""

        def disturb(out: Tensor) -> Tensor:
            noise = torch.randn_like(out) * scale * (float(out.std()) + 1e-3)
            shape = [-1 if i == axis else 1 for i in range(out.ndim)]
            return torch.where(some.reshape(shape), out + noise, out)

        calls, out = self._run(at, disturb)
        reach.out |= not torch.equal(out, self.out)
        for j in range(at + 1, len(calls)):
            different = calls[j].fed != self.calls[j].fed
            if not bool(different.any()):
                continue
            what = calls[j].what
            fits = bool(_axes(different, some, what.axis if isinstance(what, Dense) else None))
            if isinstance(what, Dense) and not what.grouped:
                (reach.readers if fits else reach.spoiled).add(j)
            elif fits:
                reach.between.add(j)
            else:
                reach.out = True  # channels are mixed in a way that is not known


def _axes(different: Tensor, some: Tensor, axis: int | None) -> list[int]:
    """The axes along which nothing outside of some channels is different."""
    axes = range(1, different.ndim) if axis is None else [axis]
    found = []
    for i in axes:
        if different.shape[i] == len(some):
            along = different.movedim(i, 0).flatten(1).any(1)
            if not bool((along & ~some).any()):
                found.append(i)
    return found
