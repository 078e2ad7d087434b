"""Scores one network with several proxies at the price of the union of their passes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from searchkit.errors import (
    PASSED_ON,
    CandidateError,
    advised,
    first_line_said,
    is_out_of_memory,
    message_of,
    readable,
)
from searchkit.problem.numbers import number_of
from searchkit.runtime.devices import device_errors
from searchkit.runtime.gpu_lock import give_way, key_of
from searchkit.runtime.pooling import right_pooling
from searchkit.runtime.precision import exact_float32
from searchkit.runtime.threads import one_thread
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import build, run
from searchkit.scoring.protocols import NetworkProxy, Pass
from searchkit.space import NetworkSpace
from searchkit.training.reduced import Reduction
from searchkit.training.starts import Start
from searchkit.types import Codes

Scores = dict[str, float]
UNBUILT = object()  # the key of the error of a network that cannot be built

NOT_FINITE = "its value is not a finite number"


@dataclass
class NetworkScores:
    """The scores of one network.

    Attributes:
        values: by signal; NaN where there is no score.
        reasons: by signal, why there is no score.
        out_of_memory: whether memory ran out, so that scoring it alone on the device may succeed.
    """

    values: Scores = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    out_of_memory: bool = False

    def refuse(self, names: Sequence[str], error: BaseException) -> None:
        """These signals have no value, because of the error."""
        self.values |= dict.fromkeys(names, math.nan)
        self.reasons |= dict.fromkeys(names, reason(error))
        self.out_of_memory |= is_out_of_memory(error)


def score_network(
    space: NetworkSpace,
    proxies: Sequence[NetworkProxy],
    row: Codes,
    inputs: ProxyInputs,
    seed: int,
    weights: Start | None = None,
) -> NetworkScores:
    """Scores of a canonical candidate ``(d,)`` on the device of the inputs: a function of candidate and seed alone.

    Args:
        weights: that it is scored with, where it has such parameters; the others are random.

    Raises:
        DeviceGoneError: the device is lost, or another process uses it exclusively.
    """
    if inputs.device.type == "cuda":
        give_way(key_of(inputs.device))  # to a process that measures there
    with one_thread(), exact_float32(inputs.device), right_pooling(inputs.device):
        recorded: dict[Hashable, Any] = {}
        for reduction, passes in _by_reduction(proxies).items():
            of = space if reduction is None else reduction.of(space)
            recorded |= _recorded(of, passes, row, inputs, seed, weights)
        return _of_recordings(proxies, recorded, inputs.device)


def _by_reduction(proxies: Sequence[NetworkProxy]) -> dict[Reduction | None, list[Pass]]:
    """The passes of the proxies by the networks that they run: the candidates', or reduced ones."""
    found: dict[Reduction | None, list[Pass]] = {}
    if any(not proxy.passes for proxy in proxies):  # which say something of networks that can be built
        found[None] = []
    for one in (one for proxy in proxies for one in proxy.passes):
        found.setdefault(getattr(one, "reduction", None), []).append(one)
    return found


def _recorded(
    space: NetworkSpace, passes: Sequence[Pass], row: Codes, inputs: ProxyInputs, seed: int, weights: Start | None
) -> dict[Hashable, Any]:
    """As of :func:`run`; the error of a network that cannot be built for every pass, and under :data:`UNBUILT`."""
    try:
        with device_errors(inputs.device):
            built = build(space, row, inputs, seed, weights)
    except PASSED_ON:
        raise
    except BaseException as error:
        return {one.key: error for one in passes} | {UNBUILT: error}
    return run(built, passes)


def _of_recordings(
    proxies: Sequence[NetworkProxy], recorded: Mapping[Hashable, Any], device: torch.device
) -> NetworkScores:
    scores = NetworkScores()
    for proxy in proxies:
        recordings = [recorded[one.key] for one in proxy.passes]
        unbuilt = None if proxy.passes else recorded.get(UNBUILT)
        failed = next((r for r in recordings if isinstance(r, BaseException)), unbuilt)
        if failed is not None:
            scores.refuse(proxy.names, failed)
            continue
        try:
            with device_errors(device):
                values = proxy.values(recordings)
            numbers = {name: number_of(values[name]) for name in proxy.names}
        except PASSED_ON:
            raise
        except BaseException as error:
            scores.refuse(proxy.names, error)
            continue
        scores.values |= numbers
        why = getattr(proxy, "missing", {})
        for name, value in numbers.items():
            if not math.isfinite(value):
                scores.refuse([name], CandidateError(why.get(name, NOT_FINITE)))
    return scores


def asked(proxies: Sequence[NetworkProxy], number: int) -> list[NetworkProxy]:
    """Those of the proxies whose bits are set in a number."""
    return [proxy for i, proxy in enumerate(proxies) if number >> i & 1]


def reason(error: BaseException) -> str:
    """The error as the reason why a candidate has no score."""
    if isinstance(error, CandidateError):
        return readable(message_of(error))
    return readable(advised(f"{type(error).__name__}: {first_line_said(error)}"))
