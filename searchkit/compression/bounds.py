"""Bounds on the cost of a compressed network, and what the alternatives of its blocks save."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from torch import nn

from searchkit.blocks.additive import Additive, blocks_of
from searchkit.blocks.solve import solve
from searchkit.compression.assembled import ModelSpace
from searchkit.compression.assembly import Cost, choose
from searchkit.compression.measured import Measured
from searchkit.compression.quality import Key
from searchkit.costs.metrics import MARGINS
from searchkit.costs.onnx_file import file_bytes
from searchkit.costs.together import latencies_together, latency_beside
from searchkit.errors import ConstraintError, UnknownNameError
from searchkit.problem.numbers import number_of, shown
from searchkit.training.normalised import Normalised
from searchkit.types import Codes, Floats

COSTS = ("params", "macs", "file_bytes", "latency_ms")
SAVED = 0.0025  # share of the network's cost that an alternative has to save in one of the bounded costs
NEAR = 0.97  # of a bound, from which a network is near enough to it
TRIES = 7  # times that the bounds are corrected by a network that is measured as a whole

Asked = tuple[float, bool]  # a number, and whether it is a share of the original's cost


def read_bounds(constraints: object) -> dict[str, Asked]:
    """What ``constraints=`` of :func:`searchkit.compress` means: cost -> upper bound.

    Raises:
        ConstraintError: no bound, or one that is not above 0.
        UnknownNameError: a cost that there is not.
    """
    if not isinstance(constraints, Mapping) or not constraints:
        raise ConstraintError(
            f"constraints is a mapping of upper bounds, such as {{'latency_ms': '50%'}}, not {constraints!r:.80}"
        )
    asked = {}
    for name, given in constraints.items():
        if name not in COSTS:
            raise UnknownNameError.of("cost", str(name), COSTS)
        asked[str(name)] = _read_bound(str(name), given)
    return asked


def _read_bound(name: str, given: object) -> Asked:
    value, share = given, False
    if isinstance(given, tuple | list) and len(given) == 2 and given[0] is None:
        value = given[1]
    if isinstance(value, str) and value.strip().endswith("%"):
        share = True
        try:
            value = float(value.strip()[:-1]) / 100
        except ValueError:
            value = math.nan
    try:
        bound = number_of(value)
    except ValueError:
        bound = math.nan
    if isinstance(value, str | bool) or not 0 < bound < math.inf:
        raise ConstraintError(
            f"the bound on {name} is a number above 0, (None, number), or a share of the network's own such as '50%', "
            f"not {shown(given)}"
        )
    return bound, share


def costs_of(space: ModelSpace, asked: Mapping[str, Asked], measured: Measured, seconds: float = 0.1) -> list[Cost]:
    """The bounded costs as sums over the blocks.

    Latency is measured: of the network that was given, and of it with one alternative in place of one block at a time,
    all in turn, so that an alternative has the difference that it makes in the whole network. The size of the file is
    that of its tensors.

    Args:
        measured: where measurements are kept.
        seconds: of timing for each network.

    Raises:
        ConstraintError: the network meets all bounds, or nothing meets one; the least that is possible is named.
    """
    keys, rows = _single_replacements(space)
    counted = dict(space.count(space, rows)) if space.count is not None else {}
    if "file_bytes" in asked:
        counted["file_bytes"] = _sizes(space, rows)
    found = []
    for name, (value, share) in asked.items():
        if name == "latency_ms":
            values = np.array(measured.once(partial(_latencies, space, rows, seconds), space.describe(), seconds))
        else:
            values = np.asarray(counted[name], dtype=np.float64)
        own = float(values[0])
        bound = value * own if share else value
        differences = {key: float(value) for key, value in zip(keys, values[1:] - own, strict=True)}
        found.append(Cost(name, own, differences, bound, bound * (1 - MARGINS.get(name, 0.0))))
    if all(cost.own <= cost.asked for cost in found):
        told = " and ".join(f"{cost.own:,.4g} {cost.name}" for cost in found)
        raise ConstraintError(f"the network meets the bounds as it is: it has {told}")
    check_attainable(space, found)
    return found


def _latencies(space: ModelSpace, rows: Codes, seconds: float) -> list[float]:
    found: list[float] = latencies_together([space.build(row) for row in rows], space.input_shape, seconds).tolist()
    return found


def _sizes(space: ModelSpace, rows: Codes) -> Floats:
    """``(n,)`` bytes of the tensors of networks, and of what else is in the file of the network that was given."""
    tensors = np.array([_tensor_bytes(space.build(row)) for row in rows], dtype=np.float64)
    sizes: Floats = tensors + (_file_bytes(space, rows[0]) - tensors[0])
    return sizes


def _file_bytes(space: ModelSpace, code: Codes) -> float:
    """Size of a network's file, which has a normalisation that does nothing."""
    n = space.input_shape[0]
    return float(file_bytes(Normalised(space.build(code), [0.0] * n, [1.0] * n), space.input_shape))


def _tensor_bytes(network: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def check_attainable(space: ModelSpace, costs: Sequence[Cost]) -> None:
    """Raise ConstraintError where no network of the space meets the bounds; the least possible is named."""
    for cost in costs:
        least = cost.own + sum(float(table.min()) for table in cost.total(space).tables)
        if least > cost.bound:
            raise ConstraintError(
                f"no network made of these blocks has {cost.name} of at most {cost.asked:,.4g}: the least is "
                f"{least:,.4g}, {least / cost.own:.0%} of the {cost.own:,.4g} of the network that was given"
            )
    nothing = Additive(0.0, tuple(np.zeros(size) for size in blocks_of(space).sizes))
    solution = solve(nothing, [cost.limit(space) for cost in costs])
    if solution.picked is None:
        raise ConstraintError(f"no network made of these blocks meets the bounds together: {solution.reason}")


def _single_replacements(space: ModelSpace) -> tuple[list[Key], np.ndarray]:
    """(node, alternative) of every option but the originals; the codes ``(1 + k, d)`` of the network and of these."""
    keys: list[Key] = []
    rows = [np.zeros(space.n_choices, dtype=np.int64)]
    for j, choice in enumerate(space.choices):
        for i, label in enumerate(choice.options[1:], start=1):
            keys.append((choice.name, str(label)))
            rows.append(rows[0].copy())
            rows[-1][j] = i
    return keys, np.stack(rows)


def saving(costs: Sequence[Cost]) -> set[Key]:
    """The alternatives that save something in one of the bounded costs."""
    return {key for cost in costs for key, change in cost.differences.items() if change < -SAVED * cost.own}


def of_blocks(costs: Sequence[Cost]) -> dict[Key, tuple[float, ...]]:
    """(node, alternative) -> what it changes, of every bounded cost."""
    return {key: tuple(cost.differences[key] for cost in costs) for key in costs[0].differences}


def corrected(space: ModelSpace, quality: Additive, costs: Sequence[Cost], measured: Measured) -> list[Cost]:
    """:func:`moved_bound` of the costs of whole networks that differ from the sums, made once."""
    tables = [*quality.tables, *(table for cost in costs for table in cost.total(space).tables)]
    asked = [cost.asked for cost in costs]

    def moved() -> list[float]:
        found = list(costs)
        for name in ("file_bytes", "latency_ms"):
            place = next((i for i, cost in enumerate(found) if cost.name == name), None)
            if place is not None:
                found = moved_bound(space, quality, found, place)
        return [cost.bound for cost in found]

    bounds = measured.once(moved, space.describe(), tables, asked)
    return [replace(cost, bound=bound) for cost, bound in zip(costs, bounds, strict=True)]


def _whole(space: ModelSpace, cost: Cost, code: Codes, seconds: float = 0.5) -> float:
    """What a network costs, measured as a whole."""
    if cost.name == "file_bytes":
        return _file_bytes(space, code)
    return latency_beside(space.build(code), space.teacher, cost.own, space.input_shape, seconds=seconds).median_ms


def moved_bound(space: ModelSpace, quality: Additive, costs: Sequence[Cost], place: int) -> list[Cost]:
    """The costs, with the bound on one of the sums at which the best whole network just keeps what was asked.

    The best network by the sums is measured as a whole. By how much it costs more, or less, than its sum says, by so
    much the bound on the sum is moved; then the best is looked for again.
    """
    cost = costs[place]
    most, kept, best = (1 - MARGINS.get(cost.name, 0.0)) * cost.asked, 0.0, math.inf
    lowest, highest = 0.0, math.inf  # bounds on the sum: known to keep it, and known to break it
    for _ in range(TRIES):
        tried = [replace(one, bound=cost.bound) if i == place else one for i, one in enumerate(costs)]
        picked = choose(space, quality, tried).picked
        if picked is None:
            break
        found = _whole(space, cost, blocks_of(space).codes(picked[None])[0])
        total = float(cost.total(space)(picked[None])[0])
        if found <= most:
            if float(quality(picked[None])[0]) < best:
                best, kept = float(quality(picked[None])[0]), cost.bound
            lowest = max(lowest, cost.bound)
            if found > NEAR * most:
                break
        else:
            highest = min(highest, total)
        bound = most * total / found
        if not lowest < bound < highest:
            bound = (lowest + min(highest, 2 * cost.own)) / 2
        cost = replace(cost, bound=bound)
    best_bound = replace(cost, bound=kept or cost.bound)
    return [best_bound if i == place else one for i, one in enumerate(costs)]
