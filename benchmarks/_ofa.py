"""A closed-form benchmark on some 2.2e19 networks: Once-for-All's accuracy predictor and phone latency table.

Cai et al., Once-for-All (arXiv 1908.09791): MobileNetV3 of width 1.2 on ImageNet. A network's accuracy is what the
published predictor says of it, its latency (Samsung Note 10) the sum of its layers' published latencies. The predictor
knows the resolutions 112 to 224 in steps of 16, the table 160 to 224 in steps of 4; :data:`RESOLUTIONS` are in both.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pandas as pd
from _tables import table

from searchkit.additive import Additive, blocks_of
from searchkit.errors import SpaceError
from searchkit.space import Codes, Floats, NetworkSpace, Node
from searchkit.spaces.mobilenet import DEPTHS, EXPANSIONS, KERNELS, STAGES, mobilenet

RESOLUTIONS = (160, 176, 192, 208, 224)
PER_STAGE = DEPTHS[-1]
N_LAYERS = len(STAGES) * PER_STAGE
N_ALTERNATIVES = len(KERNELS) * len(EXPANSIONS)  # of a layer that is there; kernel-major
ROWS = 8192  # candidates that the predictor looks at at once, so that its hidden layers stay in the cache


def ofa_space(resolution: int = 224) -> NetworkSpace:
    """The networks that predictor and table speak of, at one of :data:`RESOLUTIONS`."""
    if resolution not in RESOLUTIONS:
        raise SpaceError(f"predictor and table share the resolutions {RESOLUTIONS}; got {resolution!r}")
    return mobilenet(width=1.2, input_shape=(3, resolution, resolution), n_classes=1000)


def accuracy(codes: Codes, resolution: int = 224) -> Floats:
    """Predicted ImageNet top-1 ``(n,)`` in percent of candidates ``(n, 45)``, canonical or not."""
    weights = _predictor()
    taken = _taken(codes)
    found = np.empty(len(codes))
    for start in range(0, len(codes), ROWS):
        x = _inputs(taken[start : start + ROWS], resolution)
        for weight, bias in weights[:-1]:
            x = np.maximum(x @ weight + bias, 0.0)
        weight, bias = weights[-1]
        found[start : start + ROWS] = 100 * (x @ weight + bias)[:, 0]
    return found


def latency_ms(codes: Codes, resolution: int = 224) -> Floats:
    """Published latency ``(n,)`` in ms, batch 1, of candidates ``(n, 45)``, canonical or not."""
    base, layers = _latencies(resolution)
    total: Floats = base + layers[np.arange(N_LAYERS), _taken(codes)].sum(axis=1)
    return total


def additive_latency(space: NetworkSpace) -> Additive:
    """The latency of :func:`latency_ms` over the blocks of :func:`ofa_space`; exact, since it is a sum of layers."""
    resolution = space.input_shape[1]
    if space.describe() != ofa_space(resolution).describe():
        raise SpaceError(f"the latency table is of ofa_space(), not of {space!r} with {space.options}")
    base, layers = _latencies(resolution)
    blocks = blocks_of(space)
    own = dict(zip((node.name for node in space.nodes), layers, strict=True))
    tables = [
        np.sum([own[name][taken[:, i]] for i, name in enumerate(names)], axis=0)
        for names, taken in zip(blocks.nodes, blocks.taken, strict=True)
    ]
    return Additive(base, tuple(tables))


def _taken(codes: Codes) -> Codes:
    """``(n, 20)`` the alternative of every layer, kernel-major; :data:`N_ALTERNATIVES` where there is no layer."""
    stages = codes.reshape(len(codes), len(STAGES), 1 + 2 * PER_STAGE)
    there = np.array(DEPTHS)[stages[:, :, :1]] > np.arange(PER_STAGE)
    alternatives = len(EXPANSIONS) * stages[:, :, 1::2] + stages[:, :, 2::2]
    return np.where(there, alternatives, N_ALTERNATIVES).reshape(len(codes), N_LAYERS)


@functools.cache
def _one_hot() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """``(10, 3)`` each: kernel and expansion of an alternative; zeros where there is no layer."""
    at = np.arange(N_ALTERNATIVES + 1)
    there = (at < N_ALTERNATIVES)[:, None]
    kernel = (at[:, None] // len(EXPANSIONS) == np.arange(len(KERNELS))) & there
    expansion = (at[:, None] % len(EXPANSIONS) == np.arange(len(EXPANSIONS))) & there
    return kernel.astype(np.float32), expansion.astype(np.float32)


def _inputs(taken: Codes, resolution: int) -> npt.NDArray[np.float32]:
    """``(n, 128)``: 20 layers by kernel, 20 layers by expansion, and the resolution."""
    parts = [one_hot[taken].reshape(len(taken), -1) for one_hot in _one_hot()]
    side = (np.arange(8) == (resolution - 112) // 16).astype(np.float32)
    return np.concatenate([*parts, np.broadcast_to(side, (len(taken), 8))], axis=1)


@functools.cache
def _predictor() -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Weights, transposed, and biases of the predictor's linear layers; ReLUs are between them."""
    with np.load(table("ofa_surrogate/ofa_mbv3_acc_predictor.npz")) as held:
        return [(np.ascontiguousarray(held[f"{i}_weight"].T), held[f"{i}_bias"]) for i in (0, 2, 4, 6)]


@functools.cache
def _latencies(resolution: int) -> tuple[float, Floats]:
    """What all networks share, in ms, and ``(20, 10)`` of each layer by alternative; 0 where there is no layer."""
    rows = pd.read_csv(table("ofa_surrogate/ofa_note10_latency_lut.csv.gz"))
    rows = rows[rows["resolution"] == resolution]
    known = dict(zip(rows["key"].tolist(), rows["mean_ms"].tolist(), strict=True))
    layers = np.zeros((N_LAYERS, N_ALTERNATIVES + 1))
    for i, node in enumerate(ofa_space(resolution).nodes):
        layers[i, :N_ALTERNATIVES] = [known[key] for key in layer_keys(node, i // PER_STAGE)]
    return sum(known[key] for key in fixed_keys(ofa_space(resolution))), layers


def layer_keys(node: Node, stage: int) -> list[str]:
    """The table's names of a layer's alternatives, kernel-major."""
    (n_in, height, width), (n_out, after, _) = node.input_shape, node.output_shape
    shapes = f"input:{height}x{width}x{n_in}-output:{after}x{after}x{n_out}"
    keeps = height == after and n_in == n_out
    flags = f"idskip:{keeps:d}-se:{STAGES[stage].squeeze:d}-hs:{STAGES[stage].hard_swish:d}"
    return [
        f"expanded_conv-{shapes}-expand:{n_in * expansion}-kernel:{kernel}-stride:{1 + (after < height)}-{flags}"
        for kernel in KERNELS
        for expansion in EXPANSIONS
    ]


def fixed_keys(space: NetworkSpace) -> list[str]:
    """The table's names of what all networks share."""
    side = space.input_shape[1]
    channels, half, _ = space.nodes[0].input_shape
    n_out, last, _ = space.nodes[-1].output_shape
    n_last, n_mixed = 6 * n_out, 8 * n_out
    first = f"{half}x{half}x{channels}"
    return [
        f"Conv-input:{side}x{side}x3-output:{first}",
        f"expanded_conv-input:{first}-output:{first}-expand:{channels}-kernel:3-stride:1-idskip:1-se:0-hs:0",
        f"Conv_1-input:{last}x{last}x{n_out}-output:{last}x{last}x{n_last}",
        f"AvgPool2D-input:{last}x{last}x{n_last}-output:1x1x{n_last}",
        f"Conv_2-input:1x1x{n_last}-output:1x1x{n_mixed}",
        f"Logits-input:1x1x{n_mixed}-output:{space.n_classes}",
    ]
