"""A closed-form benchmark on some 2.2e19 networks: Once-for-All's accuracy predictor and phone latency table.

Cai et al., Once-for-All (arXiv 1908.09791): MobileNetV3 of width 1.2 on ImageNet. A network's accuracy is what the
published predictor says of it, its latency (Samsung Note 10) the sum of its layers' published latencies. The predictor
knows the resolutions 112 to 224 in steps of 16, the table 160 to 224 in steps of 4; :data:`RESOLUTIONS` are in both.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from searchkit.benchmarks.benchmark import Asked, Benchmark, made
from searchkit.benchmarks.files import read_arrays, read_table, required
from searchkit.blocks.additive import Additive, blocks_of
from searchkit.errors import DataError, SpaceError
from searchkit.problem.objectives import Direction
from searchkit.space import NetworkSpace, Node
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.mobilenet_plan import DEPTHS, EXPANSIONS, KERNELS, STAGES
from searchkit.types import Codes, Floats

PREDICTOR = "ofa_surrogate/ofa_mbv3_acc_predictor.npz"
LATENCIES = "ofa_surrogate/ofa_note10_latency_lut.csv.gz"
RESOLUTIONS = (160, 176, 192, 208, 224)
PER_STAGE = DEPTHS[-1]
N_LAYERS = len(STAGES) * PER_STAGE
N_ALTERNATIVES = len(KERNELS) * len(EXPANSIONS)  # of a layer that is there; kernel-major
ROWS = 8192  # candidates that the predictor looks at at once, so that its hidden layers stay in the cache

Singles = npt.NDArray[np.float32]


def ofa_mobilenet(objectives: Asked = None, folder: Path | None = None, *, resolution: int = 224) -> Benchmark:
    """Predicted ImageNet top-1 in percent, and latency in ms, batch 1, of MobileNetV3 networks: 45 choices.

    The front is not known. The lowest latency is; the highest accuracy is the best that climbing from the largest
    network finds (:func:`climbed`).
    """
    surrogate = Surrogate.read(resolution, folder)

    def best(objective: str) -> float:
        return surrogate.fastest() if objective == "note10_latency_ms" else -climbed(surrogate)

    known: dict[str, Direction] = {"accuracy": "max", "note10_latency_ms": "min"}
    return made("ofa-mobilenet", ofa_space(resolution), surrogate, known, objectives, list(known), best=best)


def ofa_space(resolution: int = 224) -> NetworkSpace:
    """The networks that predictor and table speak of, at one of :data:`RESOLUTIONS`."""
    if resolution not in RESOLUTIONS:
        raise SpaceError(f"predictor and table share the resolutions {RESOLUTIONS}; got {resolution!r}")
    return mobilenet(width=1.2, input_shape=(3, resolution, resolution), n_classes=1000)


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Predictor and latency table at one resolution.

    Attributes:
        linear: weights ``(in, out)`` and biases ``(out,)`` of the predictor's layers; ReLUs are between them.
        base: ms of what all networks share.
        layers: ``(20, 10)`` ms of each layer by alternative, kernel-major; the last is no layer, 0.
    """

    resolution: int
    linear: tuple[tuple[Singles, Singles], ...]
    base: float
    layers: Floats

    @classmethod
    def read(cls, resolution: int = 224, folder: Path | None = None) -> Surrogate:
        """From the published files.

        Raises:
            DataError: a file is not there, or not what it should be.
        """
        space = ofa_space(resolution)
        names = [f"{i}_{part}" for i in (0, 2, 4, 6) for part in ("weight", "bias")]
        held = read_arrays(required(PREDICTOR, folder), names)
        linear = tuple((np.ascontiguousarray(held[f"{i}_weight"].T), held[f"{i}_bias"]) for i in (0, 2, 4, 6))
        path = required(LATENCIES, folder)
        rows = read_table(path, ("resolution", "mean_ms"), ("key",))
        rows = rows[rows["resolution"] == resolution]
        known = dict(zip(rows["key"].tolist(), rows["mean_ms"].tolist(), strict=True))
        layers = np.zeros((N_LAYERS, N_ALTERNATIVES + 1))
        try:
            for i, node in enumerate(space.nodes):
                layers[i, :N_ALTERNATIVES] = [known[key] for key in layer_keys(node, i // PER_STAGE)]
            base = sum(known[key] for key in fixed_keys(space))
        except KeyError as error:
            raise DataError(f"{path} has no latency of {error.args[0]!r} at resolution {resolution}") from None
        return cls(resolution, linear, base, layers)  # type: ignore[arg-type]  # float32 in the file

    def __call__(self, codes: Codes, names: Sequence[str]) -> dict[str, Floats]:
        return {name: self.accuracy(codes) if name == "accuracy" else self.latency_ms(codes) for name in names}

    def accuracy(self, codes: Codes) -> Floats:
        """Predicted ImageNet top-1 ``(n,)`` in percent of candidates ``(n, 45)``, canonical or not."""
        taken = alternatives(codes)
        found = np.empty(len(codes))
        for start in range(0, len(codes), ROWS):
            x = _inputs(taken[start : start + ROWS], self.resolution)
            for weight, bias in self.linear[:-1]:
                x = np.maximum(x @ weight + bias, 0.0)
            weight, bias = self.linear[-1]
            found[start : start + ROWS] = 100 * (x @ weight + bias)[:, 0]
        return found

    def latency_ms(self, codes: Codes) -> Floats:
        """Published latency ``(n,)`` in ms, batch 1, of candidates ``(n, 45)``, canonical or not."""
        total: Floats = self.base + self.layers[np.arange(N_LAYERS), alternatives(codes)].sum(axis=1)
        return total

    def fastest(self) -> float:
        """The lowest latency of the space in ms: the fewest layers, each at its fastest."""
        least = self.layers[:, :N_ALTERNATIVES].min(axis=1).reshape(len(STAGES), PER_STAGE)
        return float(self.base + least[:, : DEPTHS[0]].sum())

    def additive_latency(self, space: NetworkSpace) -> Additive:
        """The latency over the blocks of :func:`ofa_space`; exact, since it is a sum of layers.

        Raises:
            SpaceError: another space.
        """
        if space.describe() != ofa_space(self.resolution).describe():
            raise SpaceError(
                f"the latency table is of ofa_space({self.resolution}), not of {space!r} with {space.options}"
            )
        blocks = blocks_of(space)
        own = dict(zip((node.name for node in space.nodes), self.layers, strict=True))
        tables = [
            np.sum([own[name][taken[:, i]] for i, name in enumerate(names)], axis=0)
            for names, taken in zip(blocks.nodes, blocks.taken, strict=True)
        ]
        return Additive(self.base, tuple(tables))


def climbed(surrogate: Surrogate) -> float:
    """The accuracy in percent that no single change improves on, climbing from all the largest options."""
    space = ofa_space(surrogate.resolution)
    code = space.check(space.n_options - 1)[0]
    best = float(surrogate.accuracy(code[None])[0])
    while True:
        near = space.neighbours(code)
        found = surrogate.accuracy(near)
        if found.max() <= best:
            return best
        code, best = near[int(found.argmax())], float(found.max())


def alternatives(codes: Codes) -> Codes:
    """``(n, 20)`` the alternative of every layer, kernel-major; :data:`N_ALTERNATIVES` where there is no layer."""
    stages = codes.reshape(len(codes), len(STAGES), 1 + 2 * PER_STAGE)
    there = np.array(DEPTHS)[stages[:, :, :1]] > np.arange(PER_STAGE)
    taken = len(EXPANSIONS) * stages[:, :, 1::2] + stages[:, :, 2::2]
    return np.where(there, taken, N_ALTERNATIVES).reshape(len(codes), N_LAYERS)


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


@functools.cache
def _one_hot() -> tuple[Singles, Singles]:
    """``(10, 3)`` each: kernel and expansion of an alternative; zeros where there is no layer."""
    at = np.arange(N_ALTERNATIVES + 1)
    there = (at < N_ALTERNATIVES)[:, None]
    kernel = (at[:, None] // len(EXPANSIONS) == np.arange(len(KERNELS))) & there
    expansion = (at[:, None] % len(EXPANSIONS) == np.arange(len(EXPANSIONS))) & there
    return kernel.astype(np.float32), expansion.astype(np.float32)


def _inputs(taken: Codes, resolution: int) -> Singles:
    """``(n, 128)``: 20 layers by kernel, 20 layers by expansion, and the resolution."""
    parts = [one_hot[taken].reshape(len(taken), -1) for one_hot in _one_hot()]
    side = (np.arange(8) == (resolution - 112) // 16).astype(np.float32)
    return np.concatenate([*parts, np.broadcast_to(side, (len(taken), 8))], axis=1)
