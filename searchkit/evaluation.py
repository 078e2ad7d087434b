"""Evaluating a candidate network: its costs first, in the driver; its training after, wherever the executor is."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from searchkit import costs
from searchkit.data import Data
from searchkit.errors import CandidateError
from searchkit.metrics import Metric
from searchkit.recipe import Recipe
from searchkit.scoring import Scorer
from searchkit.space import Codes, Floats, NetworkSpace
from searchkit.training import build_seeded, train


@dataclass(frozen=True)
class Training:
    """Trains one candidate and scores it on the validation part; picklable.

    Attributes:
        data: without its test part; the search never sees that.
        metrics: functions of the trained network, beside accuracy.
        folder: where the trained weights go, one safetensors file a candidate.
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

    def __call__(self, code: Codes, seed: int) -> dict[str, float]:
        """``{"accuracy": ..., and the metrics}``; raises what makes the candidate a failed one."""
        network = build_seeded(self.space, code, seed)
        trained = train(network, self.data, recipe=self.recipe, seed=seed, device=self.device, time_limit=self.limit)
        values = {"accuracy": trained.accuracy}
        values |= {metric.name: _number(metric, network) for metric in self.metrics}
        save_weights(network, weights_path(self.folder, code))
        return values


@dataclass(frozen=True)
class Scoring:
    """Scores one candidate with proxies, then trains it where that is asked for; picklable.

    Attributes:
        scorer: of the proxies that are objectives or bounded.
        then: the training, or None for a search without any.
    """

    scorer: Scorer
    then: Training | None = None

    def __call__(self, code: Codes, seed: int) -> dict[str, float]:
        """``{proxy: score, ...}`` and what the training adds; a proxy that cannot score makes a failed candidate."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scores = self.scorer(code[None])[0]
        values = dict(zip(self.scorer.names, scores.tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                told = next((str(w.message) for w in caught if f"'{name}'" in str(w.message)), "")
                raise CandidateError(told or f"proxy '{name}' has no score for it")
        return values | (self.then(code, seed) if self.then else {})


@dataclass(frozen=True)
class CostMeter:
    """The costs of a candidate that need no training; runs in the driver, one candidate at a time.

    Attributes:
        metrics: those asked for; params and macs are always among the values.
        device: whose latency is measured.
    """

    space: NetworkSpace
    metrics: Mapping[str, Metric]
    device: str

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """``{name: value}`` and ``{name: method}``; ``latency_ms`` comes with its relative spread."""
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
                from searchkit.latency import latency

                measured = latency(network, self.space.input_shape, device=self.device)
                values |= {"latency_ms": measured.median_ms, "latency_ms_spread": measured.spread}
                methods["latency_ms"] = (
                    f"{measured.method}; batch {measured.batch}, {measured.threads} threads, {measured.device}"
                )
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
