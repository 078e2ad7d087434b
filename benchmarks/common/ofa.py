"""The surrogate of ``searchkit.benchmarks.ofa``, read from the shared data, as functions of codes."""

from __future__ import annotations

import functools

from benchmarks.common.tables import DATA, table
from searchkit.benchmarks.ofa import LATENCIES, PREDICTOR, RESOLUTIONS, Surrogate, fixed_keys, layer_keys, ofa_space
from searchkit.blocks.additive import Additive
from searchkit.space import NetworkSpace
from searchkit.types import Codes, Floats

__all__ = ["RESOLUTIONS", "accuracy", "additive_latency", "fixed_keys", "latency_ms", "layer_keys", "ofa_space"]


def accuracy(codes: Codes, resolution: int = 224) -> Floats:
    """Predicted ImageNet top-1 ``(n,)`` in percent of candidates ``(n, 45)``, canonical or not."""
    return surrogate(resolution).accuracy(codes)


def latency_ms(codes: Codes, resolution: int = 224) -> Floats:
    """Published latency ``(n,)`` in ms, batch 1, of candidates ``(n, 45)``, canonical or not."""
    return surrogate(resolution).latency_ms(codes)


def additive_latency(space: NetworkSpace) -> Additive:
    """The latency of :func:`latency_ms` over the blocks of :func:`ofa_space`."""
    side = space.input_shape[1]
    return surrogate(side if side in RESOLUTIONS else RESOLUTIONS[-1]).additive_latency(space)


@functools.cache
def surrogate(resolution: int) -> Surrogate:
    """Predictor and latency table at one of :data:`RESOLUTIONS`."""
    table(PREDICTOR), table(LATENCIES)  # ends here, and says why, where they are not
    return Surrogate.read(resolution, DATA)
