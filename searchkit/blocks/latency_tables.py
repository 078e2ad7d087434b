"""Latency as a sum over blocks: every block is timed alone, and some whole networks correct what that leaves out.

MathNAS (Wang et al., NeurIPS 2023, arXiv 2311.04943) and ProxylessNAS (Cai et al., ICLR 2019, arXiv 1812.00332) look
latency up block by block. Within a network, blocks are faster or slower than alone, the call that each of them takes
alone is saved, and weights that do not fit into the cache have to be loaded again: an overhead, a scale, and times for
each parameter and each module are fitted to whole networks, and others measure the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from searchkit.blocks.additive import Additive, Blocks, blocks_of
from searchkit.blocks.cost_tables import different
from searchkit.blocks.latency_fit import corrected
from searchkit.blocks.latency_terms import BLOCKS, Timed, terms_of
from searchkit.blocks.modules import node_modules
from searchkit.costs.latency import latency
from searchkit.costs.together import twice_together
from searchkit.errors import SearchkitError
from searchkit.problem.numbers import number_of
from searchkit.problem.ranks import rank_correlation
from searchkit.random_state import seeded
from searchkit.space import NetworkSpace, Space
from searchkit.space.precision_space import precisions_of, rest_precision
from searchkit.space.recipe_space import setting_names
from searchkit.types import Codes, Floats

FITTED, HELD_OUT = 24, 8  # networks that are measured whole, where a space has as many

Measure = Callable[[nn.Module, Sequence[int]], float]


@dataclass(frozen=True)
class LatencyTable:
    """Latency as a sum over blocks, in milliseconds at batch 1, with its errors on held-out networks.

    Attributes:
        model: over the blocks of the space; its base is the overhead, its tables are the sum of the terms.
        blocks: of the space.
        overhead_ms: time of a network outside its blocks: stem, head, dispatch.
        factors: term -> its factor, in milliseconds but for the first: that of the blocks' own times, below 1 where
            blocks are faster within a network than alone. A factor is below 0 where what it counts was timed with it,
            as the call of each module is.
        terms: what the model is made of (:mod:`searchkit.blocks.latency_terms`).
        held_out: ``(n, d)`` networks that were not used for the fit.
        measured_ms: ``(n,)`` their latency.
        errors: ``(n,)`` predicted over measured, minus 1.
        repeated: ``(n,)`` the relative difference of two measurements of each of them, one after the other; no model
            can be expected to be nearer. Empty where networks were not measured twice.
        method: how it was timed.
        n_measured: modules and networks that were timed.
    """

    model: Additive
    blocks: Blocks
    overhead_ms: float
    factors: Mapping[str, float]
    terms: Mapping[str, Additive]
    held_out: Codes
    measured_ms: Floats
    errors: Floats
    repeated: Floats
    method: str
    n_measured: int

    @property
    def scale(self) -> float:
        """The factor of the blocks' own times."""
        return self.factors[BLOCKS]

    @property
    def median_error(self) -> float:
        """Median absolute relative error on the held-out networks."""
        return float(np.median(np.abs(self.errors)))

    @property
    def rank_correlation(self) -> float:
        """Spearman's rho of predicted and measured latency on the held-out networks."""
        return rank_correlation((1 + self.errors) * self.measured_ms, self.measured_ms)

    def interval(self, picked: Codes, share: float = 0.9) -> tuple[Floats, Floats]:
        """``(low (n,), high (n,))`` milliseconds between which a latency is with a probability of ``share`` or more.

        From the errors on the held-out networks as a conformal prediction: of n errors, the one of rank
        ``ceil((n + 1) * share)`` is the width; with too few of them, twice the largest.

        Args:
            picked: ``(n, m)`` the alternatives of the networks' blocks.
        """
        errors, rank = np.sort(np.abs(self.errors)), math.ceil((len(self.errors) + 1) * share)
        width = 2 * errors[-1] if rank > len(errors) else errors[rank - 1]
        predicted = self.model(picked)
        return predicted / (1 + width), predicted / max(1 - width, 1e-3)

    def corrected(self, codes: Codes, measured_ms: Floats) -> LatencyTable:
        """The table with overhead, scale and the time of parameters fitted to other networks, such as a search's.

        Args:
            codes: ``(n, d)`` networks, three or more; canonical.
            measured_ms: ``(n,)`` their latency.
        """
        _check_fitted(len(codes), "networks")
        measured = np.asarray(measured_ms, dtype=np.float64)
        overhead, factors, model = corrected(self.terms, self.blocks.choose(codes), measured)
        errors = model(self.blocks.choose(self.held_out)) / self.measured_ms - 1
        return replace(self, model=model, overhead_ms=overhead, factors=factors, errors=errors)

    def report(self) -> str:
        """One line with the fit and its error on the held-out networks."""
        beside = "".join(
            f" {'-' if factor < 0 else '+'} {abs(factor):.3g} ms x {term}"
            for term, factor in self.factors.items()
            if factor and term != BLOCKS
        )
        twice = ""
        if len(self.repeated):
            twice = (
                f"; two measurements of one of them differ by {np.median(self.repeated):.1%} (median), "
                f"{self.repeated.max():.1%} at most"
            )
        return (
            f"latency = {self.overhead_ms:.3g} ms + {self.scale:.3g} x {BLOCKS}{beside}: on {len(self.errors)} "
            f"networks that it had not seen off by {self.median_error:.1%} (median), {np.abs(self.errors).max():.1%} "
            f"at most, rank correlation {self.rank_correlation:.3f}{twice}; {self.n_measured} modules and networks "
            f"timed, {self.method}"
        )

    def __str__(self) -> str:
        return self.report()


def measure_latency(
    space: NetworkSpace,
    *,
    device: str = "cpu",
    fitted: int | None = None,
    held_out: int = HELD_OUT,
    seed: int = 0,
    seconds: float = 0.15,
    measure: Measure | None = None,
) -> LatencyTable:
    """Time the module of every alternative of every node alone, and some random networks whole.

    On a CPU, all are timed in turn, in many short repeats of which the fastest counts, so that a busy moment of the
    machine meets all of them (:mod:`searchkit.costs.together`).

    Args:
        device: as for :func:`searchkit.costs.latency.latency`.
        fitted: networks from which overhead, scale and, from 8 on, the times of parameters and modules are estimated,
            so that the sum of absolute relative errors is least, which a few disturbed timings do not change. None: 24,
            or as many as the space has beside those held out.
        held_out: number of other networks on which the errors are measured.
        seed: of the networks that are drawn, and of their weights.
        seconds: of timing for each module and network.
        measure: ``(module, input_shape) -> milliseconds``, in place of timing on the device.

    Raises:
        SearchkitError: too few networks, or a space with choices that decide no module of its networks.
    """
    if fitted is not None:
        _check_fitted(fitted, f"networks, not fitted={fitted!r}")
    if held_out < 2:
        raise SearchkitError(f"the errors are measured on at least 2 networks, not held_out={held_out!r}")
    blocks = blocks_of(space)
    _check_modules(space, blocks)
    codes = different(space, (fitted or FITTED) + held_out, seed)
    fitted = fitted or max(3, min(FITTED, len(codes) - held_out))
    if len(codes) < fitted + held_out:
        raise SearchkitError(
            f"space '{space.name}' has {len(codes)} different networks; fitted={fitted} and held_out={held_out} "
            f"take {fitted + held_out}"
        )
    with seeded(seed):
        parts = [_modules(space, blocks, i) for i in range(len(blocks.names))]
        modules = [timed for part in parts for alternatives in part for timed in alternatives if timed is not None]
        networks: list[Timed] = [(space.build(code).eval(), space.input_shape) for code in codes]
        halves, method = times_of([*modules, *networks], device, seconds, measure)
    times = halves.min(axis=0)
    terms = terms_of(space, blocks, parts, times[: len(modules)])
    picked, whole = blocks.choose(codes), times[len(modules) :]
    overhead, factors, model = corrected(terms, picked[:fitted], whole[:fitted])
    held = halves[:, len(modules) + fitted :]
    return LatencyTable(
        model=model,
        blocks=blocks,
        overhead_ms=overhead,
        factors=factors,
        terms=terms,
        held_out=codes[fitted:],
        measured_ms=whole[fitted:],
        errors=model(picked[fitted:]) / whole[fitted:] - 1,
        repeated=np.abs(held[0] / held[1] - 1) if len(held) == 2 else np.empty(0),
        method=method,
        n_measured=len(times),
    )


def _check_fitted(n: int, said: str) -> None:
    if n < 3:
        raise SearchkitError(f"overhead and scale are fitted to at least 3 {said}")


def times_of(subjects: Sequence[Timed], device: str, seconds: float, measure: Measure | None) -> tuple[Floats, str]:
    """``(k, n)`` milliseconds of modules and networks, measured k times, and how they were timed.

    On a CPU k is 2, and modules whose blocks have a precision are timed in it.
    """
    if measure is None and device == "cpu":
        return twice_together(subjects, seconds, any(precisions_of(module) for module, _ in subjects))
    if measure is None:
        found = [latency(module, shape, device=device, seconds=seconds) for module, shape in subjects]
        methods = dict.fromkeys(f"{one.method} on {one.device}" for one in found)
        return np.array([[one.median_ms for one in found]]), " and ".join(methods)
    times = []
    for module, shape in subjects:
        try:
            times.append(number_of(measure(module, shape)))
        except ValueError as error:
            raise SearchkitError(f"a block's cost by measure(module, input_shape) is {error}") from None
    return np.array([times]), "given"


def _modules(space: NetworkSpace, blocks: Blocks, block: int) -> list[list[Timed | None]]:
    """For each node of a block and each of its alternatives what is timed; None takes no time."""
    if blocks.sizes[block] == 1 or blocks.names[block] in _moduleless(space):
        return []  # in every network alike: part of the overhead
    return [
        [
            None if one is None or isinstance(one.module, nn.Identity) else (one.module.eval(), one.input_shape)
            for one in alternatives
        ]
        for alternatives in node_modules(space, blocks, block)
    ]


def _check_modules(space: Space, blocks: Blocks) -> None:
    """Every block must be made of modules that can be timed."""
    if not isinstance(space, NetworkSpace) or not space.nodes:
        raise SearchkitError(
            f"space '{space.name}' names no nodes, so that its blocks cannot be timed: give NetworkSpace(nodes=) with "
            "a searchkit.Node for each place where a block is chosen, and the node's module="
        )
    modules = {node.name: node.one_module for node in space.nodes}
    for name, nodes, size in zip(blocks.names, blocks.nodes, blocks.sizes, strict=True):
        if size > 1 and name not in _moduleless(space) and not all(modules.get(node) for node in nodes):
            raise SearchkitError(
                f"'{name}' of space '{space.name}' is no module of its networks and cannot be timed alone; "
                "Node(module=) says which module a node is, as in the spaces 'macro' and 'mobilenet'"
            )


def _moduleless(space: Space) -> frozenset[str]:
    """Choices that are known to decide no block: settings of the training, and the precision outside of blocks."""
    return setting_names(space) | {rest_precision(space)}
