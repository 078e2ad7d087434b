"""Costs of blocks as additive models: exact counts, and latency from timing every block once.

MathNAS (Wang et al., NeurIPS 2023, arXiv 2311.04943) and ProxylessNAS (Cai et al., ICLR 2019, arXiv 1812.00332) look
latency up block by block. Here a few whole networks add what the blocks leave out, and a few others measure the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes
from torch import nn

from searchkit.blocks.additive import Additive, Blocks, blocks_of
from searchkit.blocks.modules import node_modules
from searchkit.costs.counts import space_counts
from searchkit.costs.latency import latency
from searchkit.errors import SearchkitError
from searchkit.problem.numbers import number_of
from searchkit.problem.ranks import rank_correlation
from searchkit.random_state import seeded
from searchkit.space import NetworkSpace, Space
from searchkit.space.recipe_space import setting_names
from searchkit.types import Codes, Floats

CHECKED = 300  # random networks on which the sums are compared with the counts
BASES = 8  # base networks that are tried until the sums are exact
EXACT = 1e-9  # relative error; counts are whole numbers
NAMED = 0.25  # share of the errors that a block must explain to be named in the message

Measure = Callable[[nn.Module, Sequence[int]], float]


def count_tables(space: NetworkSpace) -> dict[str, Additive]:
    """Exact "params" and "macs" of a space's networks, over :func:`searchkit.blocks.additive.blocks_of` it.

    One block at a time is switched in a base network. In some bases a switch also removes the cost of other
    blocks (the edges of a cell behind a missing one); so bases are tried until the sums are right for random networks.

    Raises:
        SearchkitError: the space builds no networks, or its counts do not add up.
    """
    if not isinstance(space, NetworkSpace):
        raise SearchkitError(f"space '{space.name}' builds no networks whose parameters and MACs could be counted")
    blocks = blocks_of(space)
    codes = _different(space, CHECKED, 0)
    picked, counts = blocks.choose(codes), space_counts(space, codes)
    nearest: dict[str, Floats] = {}  # relative errors, of the base with the smallest
    for base in range(min(BASES, max(blocks.sizes))):
        models = _switched_counts(space, blocks, np.array([min(base, size - 1) for size in blocks.sizes]))
        errors = {name: model(picked) / np.maximum(counts[name], 1) - 1 for name, model in models.items()}
        if _most(errors) <= EXACT:
            return models
        if not nearest or _most(errors) < _most(nearest):
            nearest = errors
    name = max(nearest, key=lambda name: float(np.abs(nearest[name]).max()))
    breaks = _breaks(blocks, picked, nearest[name] * counts[name])
    raise SearchkitError(
        f"{name} of space '{space.name}' are no sum over its blocks: the nearest sum is off by up to "
        f"{_most(nearest):.1%} on {len(codes)} random networks"
        + (f", and most with '{breaks}', which changes what other blocks cost" if breaks else "")
    )


def _most(errors: Mapping[str, Floats]) -> float:
    """The largest absolute value of all relative errors."""
    return max(float(np.abs(one).max()) for one in errors.values())


def _switched_counts(space: NetworkSpace, blocks: Blocks, base: Codes) -> dict[str, Additive]:
    """Tables from switching one block at a time in a base network ``(m,)``; the least value of each table is 0."""
    sizes, ends = blocks.sizes, np.cumsum(blocks.sizes)
    rows = np.tile(base, (1 + sum(sizes), 1))
    rows[1 + np.arange(sum(sizes)), np.repeat(np.arange(len(sizes)), sizes)] = np.concatenate(
        [np.arange(size) for size in sizes]
    )
    models = {}
    for name, counted in space_counts(space, space.canonical(blocks.codes(rows))).items():
        tables = np.split(counted[1:] - counted[0], ends[:-1])
        fixed = float(counted[0]) + sum(float(table.min()) for table in tables)
        models[name] = Additive(fixed, tuple(table - table.min() for table in tables))
    return models


def _breaks(blocks: Blocks, picked: Codes, errors: Floats) -> str | None:
    """The block that explains most of the errors' size, by adjusted R^2; None where none explains much."""
    size, n, shares = np.abs(errors), len(errors), []
    for column in picked.T:
        _, group = np.unique(column, return_inverse=True)
        means = np.bincount(group, size) / np.bincount(group)
        degrees = n - len(means)
        within = float(np.sum((size - means[group]) ** 2)) / degrees if degrees else np.inf
        shares.append(1 - within / (float(size.var(ddof=1)) or np.inf))
    return blocks.names[int(np.argmax(shares))] if max(shares) >= NAMED else None


@dataclass(frozen=True)
class LatencyTable:
    """Latency as a sum over blocks, in milliseconds at batch 1, with its errors on held-out networks.

    Attributes:
        model: over the blocks of the space; its base is the overhead, its tables are the scaled times of the blocks.
        overhead_ms: time of a network outside its blocks: stem, head, dispatch.
        scale: factor on the blocks' own times; below 1 where blocks are faster within a network than alone.
        held_out: ``(n, d)`` networks that were not used for the fit.
        measured_ms: ``(n,)`` their latency.
        errors: ``(n,)`` predicted over measured, minus 1.
        method: how it was timed.
        n_measured: modules and networks that were timed.
    """

    model: Additive
    overhead_ms: float
    scale: float
    held_out: Codes
    measured_ms: Floats
    errors: Floats
    method: str
    n_measured: int

    @property
    def median_error(self) -> float:
        """Median absolute relative error on the held-out networks."""
        return float(np.median(np.abs(self.errors)))

    @property
    def rank_correlation(self) -> float:
        """Spearman's rho of predicted and measured latency on the held-out networks."""
        return rank_correlation((1 + self.errors) * self.measured_ms, self.measured_ms)

    def report(self) -> str:
        """One line with the fit and its error on the held-out networks."""
        return (
            f"latency = {self.overhead_ms:.3g} ms + {self.scale:.3g} x blocks: on {len(self.errors)} networks that it "
            f"had not seen off by {self.median_error:.1%} (median), {np.abs(self.errors).max():.1%} at most, rank "
            f"correlation {self.rank_correlation:.3f}; {self.n_measured} modules and networks timed, {self.method}"
        )

    def __str__(self) -> str:
        return self.report()


def measure_latency(
    space: NetworkSpace,
    *,
    device: str = "cpu",
    fitted: int = 12,
    held_out: int = 8,
    seed: int = 0,
    seconds: float = 0.15,
    measure: Measure | None = None,
) -> LatencyTable:
    """Time the module of every alternative of every node alone, and some random networks whole.

    On NAS-Bench-Macro, timed by ONNX Runtime, overhead and scale leave a median error of 2 to 3 %, which fitted
    corrections of single blocks do not lower.

    Args:
        device: as for :func:`searchkit.costs.latency.latency`.
        fitted: networks from which overhead and scale are estimated, by the medians of Theil and Sen, which a few
            disturbed timings do not change.
        held_out: number of other networks on which the errors are measured.
        seed: of the networks that are drawn, and of their weights.
        seconds: of timing for each module and network.
        measure: ``(module, input_shape) -> milliseconds``, in place of :func:`searchkit.costs.latency.latency`.

    Raises:
        SearchkitError: too few networks, or a space with choices that decide no module of its networks.
    """
    if fitted < 3:
        raise SearchkitError(f"overhead and scale are fitted to at least 3 networks, not fitted={fitted!r}")
    if held_out < 2:
        raise SearchkitError(f"the errors are measured on at least 2 networks, not held_out={held_out!r}")
    blocks = blocks_of(space)
    _check_modules(space, blocks)
    methods: dict[str, None] = {}
    n_measured = 0

    def timed(module: nn.Module, input_shape: Sequence[int]) -> float:
        nonlocal n_measured
        n_measured += 1
        if measure is not None:
            methods["given"] = None
            try:
                return number_of(measure(module, input_shape))
            except ValueError as error:
                raise SearchkitError(f"a block's cost by measure(module, input_shape) is {error}") from None
        found = latency(module, input_shape, device=device, seconds=seconds)
        methods[f"{found.method} on {found.device}"] = None
        return found.median_ms

    codes = _different(space, fitted + held_out, seed)
    if len(codes) < fitted + held_out:
        raise SearchkitError(
            f"space '{space.name}' has {len(codes)} different networks; fitted={fitted} and held_out={held_out} "
            f"take {fitted + held_out}"
        )
    with seeded(seed):
        sums = Additive(0.0, tuple(_block_times(space, blocks, i, timed) for i in range(len(blocks.names))))
        whole = np.array([timed(space.build(code), space.input_shape) for code in codes])
    alone = sums(blocks.choose(codes))
    scale, overhead = 1.0, float(np.median(whole[:fitted] - alone[:fitted]))
    if np.ptp(alone[:fitted]):
        scale, overhead = map(float, theilslopes(whole[:fitted], alone[:fitted], method="joint")[:2])
    return LatencyTable(
        model=Additive(overhead, tuple(scale * table for table in sums.tables)),
        overhead_ms=overhead,
        scale=scale,
        held_out=codes[fitted:],
        measured_ms=whole[fitted:],
        errors=(overhead + scale * alone[fitted:]) / whole[fitted:] - 1,
        method=" and ".join(methods),
        n_measured=n_measured,
    )


def _block_times(space: NetworkSpace, blocks: Blocks, block: int, timed: Measure) -> Floats:
    """``(a,)`` milliseconds of a block's alternatives: the sum of its nodes' modules, each timed alone."""
    total = np.zeros(blocks.sizes[block])
    if len(total) == 1 or blocks.names[block] in setting_names(space):  # in every network alike: part of the overhead
        return total
    for column, alternatives in zip(blocks.taken[block].T, node_modules(space, blocks, block), strict=True):
        times = [
            0.0 if one is None or isinstance(one.module, nn.Identity) else timed(one.module, one.input_shape)
            for one in alternatives
        ]
        total += np.array(times)[column]
    return total


def _check_modules(space: Space, blocks: Blocks) -> None:
    """Every block must be made of modules that can be timed."""
    if not isinstance(space, NetworkSpace) or not space.nodes:
        raise SearchkitError(
            f"space '{space.name}' names no nodes, so that its blocks cannot be timed: give NetworkSpace(nodes=) with "
            "a searchkit.Node for each place where a block is chosen, and the node's module="
        )
    modules = {node.name: node.module for node in space.nodes}
    for name, nodes, size in zip(blocks.names, blocks.nodes, blocks.sizes, strict=True):
        if size > 1 and name not in setting_names(space) and not all(modules.get(node) for node in nodes):
            raise SearchkitError(
                f"'{name}' of space '{space.name}' is no module of its networks and cannot be timed alone; "
                "Node(module=) says which module a node is, as in the spaces 'macro' and 'mobilenet'"
            )


def _different(space: Space, n: int, seed: int) -> Codes:
    """``(n, d)`` random candidates, or fewer where the space has no more."""
    drawn = space.sample(4 * n + 100, np.random.default_rng(seed))
    _, first = np.unique(drawn, axis=0, return_index=True)
    found: Codes = drawn[np.sort(first)][:n]
    return found
