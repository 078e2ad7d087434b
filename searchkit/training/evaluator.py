"""Evaluating a candidate network: its costs first, in the driver; its training after, wherever the executor is."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from searchkit.costs import counts as costs
from searchkit.costs.measure import measured
from searchkit.costs.metrics import Metric
from searchkit.data.data import Data, Split, split_rows
from searchkit.data.loader import put_on_device
from searchkit.errors import CandidateError, SpaceError
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace
from searchkit.training.courses import Course, finish
from searchkit.training.fidelity import Rung
from searchkit.training.memory_estimate import candidate_training_bytes
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, course
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class Training:
    """Trains one candidate and scores it on the validation part; picklable.

    Attributes:
        data: without its test part; the search never sees that.
        metrics: functions of the trained network, beside its scores.
        folder: where the trained weights go, one safetensors file a candidate.
        rungs: the cheap trainings of a fidelity ladder; see :func:`at_rung`.
        keep: whether they go there; those of a cheap training do not.
        scored: the scores on the validation part that are wanted, the first of them the one that counts.
        exclusive: threads take turns, since weights and dropout draw from torch's generator, of which a process has
            one: trained side by side, two networks would depend on who came first.
    """

    exclusive: ClassVar[bool] = True

    space: NetworkSpace
    data: Data
    recipe: Recipe
    device: str
    metrics: tuple[Metric, ...]
    folder: Path
    limit: float | None = None
    rungs: tuple[Training, ...] = ()
    keep: bool = True
    scored: tuple[str, ...] = ("accuracy",)

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        """``{"accuracy": ..., and the metrics}``; raises what makes the candidate a failed one.

        Args:
            rung: the number of the ladder's rung to train at; in full where not given.
        """
        return finish(self.course(code, seed, rung))

    def course(self, code: Codes, seed: int, rung: int | None = None) -> Course[dict[str, float]]:
        """The same in turns, for several on one device (:mod:`searchkit.execution.interleaved`)."""
        if rung is not None:
            return (yield from self.rungs[rung].course(code, seed))
        network = build_seeded(self.space, code, seed)
        trained = yield from course(
            network, self.data, recipe=self.recipe, seed=seed, device=self.device, time_limit=self.limit
        )
        values = {name: trained.scores[name] for name in self.scored}
        values |= {metric.name: _number(metric, network) for metric in self.metrics}
        if self.keep:
            save_weights(network, weights_path(self.folder, code))
        return values

    def prepare(self, code: Codes, seed: int, rung: int | None = None) -> None:
        """Put the data on the device; where they have no room there, training will say so."""
        data = self.data if rung is None else self.rungs[rung].data
        with contextlib.suppress(Exception):
            put_on_device(data, torch.device(self.device))

    def memory(self, code: Codes, seed: int, rung: int | None = None) -> int:
        """Bytes that a candidate is expected to take of the device, beside the data.

        0 where the network cannot be built or run: training it will say why.
        """
        if rung is not None:
            return self.rungs[rung].memory(code, seed)
        on_card = self.device.startswith("cuda")
        try:
            return candidate_training_bytes(self.space, code, self.data, self.recipe, autocast=on_card)
        except Exception:
            return 0

    def on(self, device: str) -> Training:
        """The same on another device."""
        return replace(self, device=device, rungs=tuple(rung.on(device) for rung in self.rungs))

    def written(self, code: Codes) -> Path:
        """The file that the full training of a candidate leaves."""
        return weights_path(self.folder, code)


@dataclass(frozen=True)
class Scoring:
    """Scores one candidate with proxies, then trains it where that is asked for; picklable.

    Attributes:
        scorer: of the proxies that are objectives or bounded.
        then: the training, or None for a search without any.
        exclusive: as of :class:`Training`.
    """

    exclusive: ClassVar[bool] = True

    scorer: Scorer
    then: Training | None = None

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        """``{proxy: score, ...}`` and what the training adds; a proxy that cannot score makes a failed candidate."""
        return finish(self.course(code, seed, rung))

    def course(self, code: Codes, seed: int, rung: int | None = None) -> Course[dict[str, float]]:
        """The same in turns, of which the first scores."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scores = self.scorer(code[None])[0]
        values = dict(zip(self.scorer.names, scores.tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                told = next((str(w.message) for w in caught if f"'{name}'" in str(w.message)), "")
                raise CandidateError(told or f"proxy '{name}' has no score for it")
        return values | ((yield from self.then.course(code, seed, rung)) if self.then else {})

    def memory(self, code: Codes, seed: int, rung: int | None = None) -> int:
        """As of :meth:`Training.memory`; what proxies take and give back before is not counted."""
        return self.then.memory(code, seed, rung) if self.then else 0

    def prepare(self, code: Codes, seed: int, rung: int | None = None) -> None:
        """As of :meth:`Training.prepare`."""
        if self.then:
            self.then.prepare(code, seed, rung)

    def on(self, device: str) -> Scoring:
        """The same with the training on another device; proxies stay where they are."""
        return replace(self, then=self.then.on(device) if self.then else None)

    @property
    def device(self) -> str:
        """That of the training; where there is none, of the proxies."""
        return self.then.device if self.then else str(self.scorer.device)

    def written(self, code: Codes) -> Path | None:
        """As of :meth:`Training.written`."""
        return self.then.written(code) if self.then else None


@dataclass(frozen=True)
class CostMeter:
    """The costs of a candidate that need no training; runs in the driver, one candidate at a time.

    Attributes:
        metrics: those asked for; params and macs are always among the values.
        device: whose latency, energy and memory are measured.
    """

    space: NetworkSpace
    metrics: Mapping[str, Metric]
    device: str

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """``{name: value}`` and ``{name: method}``; what is timed comes with its relative spread."""
        try:
            return self._measured(code)
        except SystemExit as error:  # of the user's build; an end of the candidate, not of the search
            raise CandidateError(f"SystemExit: {error}") from error

    def _measured(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        methods: dict[str, str] = {}
        values = {name: float(column[0]) for name, column in self._counted(code[None]).items()}
        network: nn.Module | None = None
        for name, metric in self.metrics.items():
            if metric.stage != "measured":
                continue
            network = network or build_seeded(self.space, code, 0).eval()
            if metric.function is not None:
                values[name] = _number(metric, network)
            else:
                found, methods[name] = measured(name, network, self.space.input_shape, self.device)
                values |= found
        return values, methods

    @property
    def vectorised(self) -> bool:
        """Whether many candidates are counted at once, by the space's own formula."""
        return self.space.count is not None and "peak_memory" not in self.metrics

    def counted(self, codes: Codes) -> dict[str, Floats]:
        """``{name: (n,)}`` for what is counted exactly: params, macs, and peak_memory where it is asked for.

        NaN where a candidate cannot be built: it says why, on record, when it is evaluated.
        """
        if self.vectorised:
            return self._counted(codes)
        rows = [self._counted_or_nan(code) for code in codes]
        return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in self._names}

    def _counted_or_nan(self, code: Codes) -> dict[str, float]:
        try:
            return {name: float(column[0]) for name, column in self._counted(code[None]).items()}
        except (Exception, SystemExit):
            return dict.fromkeys(self._names, float("nan"))

    @property
    def _names(self) -> list[str]:
        return ["params", "macs", *(["peak_memory"] if "peak_memory" in self.metrics else [])]

    def _counted(self, codes: Codes) -> dict[str, Floats]:
        columns = dict(costs.space_counts(self.space, codes))
        if "peak_memory" in self.metrics:
            columns["peak_memory"] = costs.space_peak_memory(self.space, codes)
        return columns


def at_rung(training: Training, rung: Rung, seed: int) -> Training:
    """The training at a rung of a fidelity ladder; it keeps no weights.

    Args:
        seed: of the part of the data; a smaller part is within a larger one.

    Raises:
        SpaceError: the rung sets a width, which the space does not have.
    """
    space, data = training.space, training.data
    if rung.width is not None:
        space = narrower(space, rung.width)
    if rung.data is not None and rung.data < 1:
        rows = torch.from_numpy(split_rows(data.train.y.numpy(), (rung.data,), np.random.default_rng(seed))[1])
        data = replace(data, train=Split(data.train.x[rows], data.train.y[rows]))
    if rung.resolution is not None:
        data = replace(data, train=_resized(data.train, rung.resolution), val=_resized(data.val, rung.resolution))
        space = space.for_data(data.input_shape, data.n_classes)
    recipe = replace(training.recipe, epochs=rung.epochs or training.recipe.epochs)
    return replace(training, space=space, data=data, recipe=recipe, keep=False)


def narrower(space: NetworkSpace, factor: float) -> NetworkSpace:
    """The space with the same candidates, whose networks have ``factor`` times the ``width``, a choice or an option.

    Raises:
        SpaceError: it has no width, or none that can be scaled.
    """
    taken = space._build.keywords if isinstance(space._build, functools.partial) else {}
    if "width" in space.names:
        build = functools.partial(_build_narrow, space._build, factor)
        widths = list(space.choices[space.names.index("width")].options)
    elif "width" in space.options and "width" in taken:
        widths = [taken["width"]]
    else:
        has = [*(f"the option {name}" for name in space.options), *(f"the choice {name}" for name in space.names)]
        raise SpaceError(
            f"a rung of the ladder sets width, but space '{space.name}' has no choice of that name, and no option that "
            f"its build function, a functools.partial, was given; it has {', '.join(has)}"
        )
    for width in widths:
        if isinstance(width, bool) or not isinstance(width, int | float):
            raise SpaceError(
                f"a rung of the ladder sets width, but {width!r}, a width of space '{space.name}', is no number"
            )
    if "width" not in space.names:
        build = functools.partial(space._build, width=_scaled(widths[0], factor))
    other = space.for_data(space.input_shape, space.n_classes)
    other._build, other.count = build, None
    return other


def _build_narrow(build: Any, factor: float, choices: Mapping[str, Any], *shape: Any) -> nn.Module:
    network: nn.Module = build({**choices, "width": _scaled(choices["width"], factor)}, *shape)
    return network


def _scaled(width: float, factor: float) -> float:
    return max(1, round(width * factor)) if isinstance(width, int) else width * factor


def _resized(split: Split, side: int) -> Split:
    """Images whose shorter side has ``side`` pixels; bytes stay bytes."""
    height, width = split.x.shape[2:]
    size = [max(1, round(n * side / min(height, width))) for n in (height, width)]
    x = functional.interpolate(split.x.float(), size=size, mode="bilinear", antialias=True)
    return Split(x.round().clamp(0, 255).to(torch.uint8) if split.x.dtype == torch.uint8 else x, split.y)


def weights_path(folder: Path, code: Codes) -> Path:
    """The file of a candidate's trained weights."""
    digest = hashlib.blake2b(np.ascontiguousarray(code, np.int64).tobytes(), digest_size=8).hexdigest()
    return folder / f"{digest}.safetensors"


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(own_state(network), partial)
    partial.replace(path)


def own_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's state with memory of its own for each entry, as safetensors wants it; tied weights share theirs."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in network.state_dict().items()}


def load_weights(network: nn.Module, path: Path) -> None:
    """Load what :func:`save_weights` wrote."""
    network.load_state_dict(load_file(path))


def _number(metric: Metric, network: nn.Module) -> float:
    assert metric.function is not None
    try:
        return float(metric.function(network))
    except (Exception, SystemExit) as error:
        raise CandidateError(f"metric '{metric.name}' raised {type(error).__name__}: {error}") from error
