"""DPS: searches for the Eproxy task that best ranks some twenty networks of known accuracy.

Li et al., Extensible Proxy for Efficient NAS (arXiv 2210.09459), section 3.3; ageing evolution after Real et al.
(arXiv 1802.01548). Two departures from the paper, because the best of 200 settings overfits twenty labels, and each
setting costs ten training steps of twenty networks: the fitness is a low quantile of the correlation over bootstrap
samples, shrunk by the distance from the default setting; and a setting that fails on the first few networks is not
scored on the others.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.errors import ProxyError, plural
from searchkit.proxies.eproxy import DEFAULT, Eproxy, EproxySetting
from searchkit.proxies.eproxy_genome import distance, drawn, mutated
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace
from searchkit.surroundings import settled
from searchkit.types import Codes, Floats

FAILED = -1.0  # fitness of a setting under which a network has no score


@dataclass(frozen=True)
class Tried:
    """One setting, its fitness, and the number of networks on which it was scored."""

    setting: EproxySetting
    fitness: float
    n_networks: int


class DPS:
    """The discrete proxy search.

    Args:
        space, data, device, seed: as for :class:`searchkit.scoring.scorer.Scorer`.
        population, tournament, n_evaluations: of the ageing evolution; the published 40, 10 and 200.
        mutation: probability that each gene of a child changes.
        n_bootstrap, quantile: fitness is this quantile of the rank correlation over so many bootstrap samples.
        start: the setting that is tried first; the fitness of others is shrunk by their distance from it.
        shrinkage: penalty on the fitness of a setting that differs from ``start`` in all genes.
        first: share of the networks on which a setting is scored first; it is scored on the others only if it ranks
            those at least as well as the median setting of the population.
        path: a JSON-lines file of the settings tried; a search continues an existing one.
        on_tried: called after each setting with the number tried so far, their number in all, and the :class:`Tried`.

    Attributes:
        tried: everything evaluated, in order.
        setting: the best, after :meth:`fit`.
    """

    def __init__(
        self,
        space: NetworkSpace,
        data: Data | None = None,
        *,
        device: str = "cpu",
        seed: int = 0,
        population: int = 40,
        tournament: int = 10,
        n_evaluations: int = 200,
        start: EproxySetting = DEFAULT,
        mutation: float = 0.2,
        n_bootstrap: int = 200,
        quantile: float = 0.25,
        shrinkage: float = 0.1,
        first: float = 0.4,
        path: str | Path | None = None,
        on_tried: Callable[[int, int, Tried], None] | None = None,
    ) -> None:
        if not 1 <= tournament <= population or n_evaluations < 1:
            raise ProxyError("a search has a tournament of 1 to its population, and one evaluation or more")
        self.space = space if data is None else space.for_data(data.input_shape, data.n_classes)
        self.data, self.device, self.seed = data, device, seed
        self.population, self.tournament, self.n_evaluations = population, tournament, n_evaluations
        self.start = start
        self.mutation, self.shrinkage, self.first = mutation, shrinkage, first
        self.n_bootstrap, self.quantile = n_bootstrap, quantile
        self.path = None if path is None else settled(path)
        self.on_tried = on_tried
        self.tried: list[Tried] = []
        self.setting = start

    def fit(self, codes: Codes, accuracies: npt.ArrayLike) -> Self:
        """Search with networks ``(n, d)`` of known accuracy ``(n,)``, higher is better; five or more.

        Raises:
            ProxyError: too few networks, or accuracies that do not fit them.
        """
        codes, values = self.space.check(codes), np.asarray(accuracies, dtype=np.float64)
        if values.shape != (len(codes),) or not np.isfinite(values).all() or len(codes) < 5:
            raise ProxyError(
                f"{plural(len(codes), 'network')} and accuracies of shape {values.shape}: give five or more, all finite"
            )
        order = np.random.default_rng(self.seed).permutation(len(codes))
        codes, values = codes[order], values[order]
        macs_max = float(space_counts(self.space, self.space.sample(500, np.random.default_rng(0)))["macs"].max())
        known = self._recorded(codes, values)
        self.tried = []
        while len(self.tried) < self.n_evaluations:
            setting = replace(self._proposed(), macs_max=macs_max)
            found = known.get(setting)
            if found is None:
                found = self._evaluated(setting, codes, values)
                self._record(found)
            self.tried.append(found)
            known[setting] = found
            if self.on_tried is not None:
                self.on_tried(len(self.tried), self.n_evaluations, found)
        whole = [tried for tried in self.tried if tried.n_networks == len(codes)]
        self.setting = max(whole or self.tried, key=lambda tried: tried.fitness).setting
        return self

    @property
    def proxy(self) -> Eproxy:
        """The proxy with the setting that was found."""
        return Eproxy(self.setting)

    def _proposed(self) -> EproxySetting:
        """The next setting: a function of what was tried and of the seed, so that a search can be continued."""
        rng = np.random.default_rng([self.seed, len(self.tried)])
        if not self.tried:
            return self.start  # the default is always among those compared
        if len(self.tried) < self.population:
            return drawn(rng, self.start)
        living = self.tried[-self.population :]
        chosen = rng.choice(len(living), self.tournament, replace=False)
        parent = max((living[i] for i in chosen), key=lambda tried: tried.fitness)
        return mutated(parent.setting, self.mutation, rng)

    def _evaluated(self, setting: EproxySetting, codes: Codes, values: Floats) -> Tried:
        n_first = min(len(codes), max(4, round(self.first * len(codes))))
        scores = self._scores(setting, codes[:n_first])
        if not np.isfinite(scores).all():
            return Tried(setting, FAILED, n_first)
        early = correlation(scores, values[:n_first])
        others = [tried.fitness for tried in self.tried[-self.population :]]
        if n_first < len(codes) and len(others) >= 4 and early < np.median(others):
            return Tried(setting, early - self.shrinkage, n_first)
        scores = np.concatenate([scores, self._scores(setting, codes[n_first:])])
        if not np.isfinite(scores).all():
            return Tried(setting, FAILED, len(codes))
        return Tried(setting, self._fitness(setting, scores, values), len(codes))

    def _scores(self, setting: EproxySetting, codes: Codes) -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of networks that diverge: their setting gets a low fitness
            scores: Floats = Scorer(self.space, [Eproxy(setting)], self.data, device=self.device, seed=self.seed)(codes)
        return scores[:, 0]

    def _fitness(self, setting: EproxySetting, scores: Floats, values: Floats) -> float:
        rng = np.random.default_rng(self.seed)  # the same samples for every setting
        samples = rng.integers(0, len(values), (self.n_bootstrap, len(values)))
        robust = float(np.quantile([correlation(scores[s], values[s]) for s in samples], self.quantile))
        return robust - self.shrinkage * distance(setting, self.start)

    def _recorded(self, codes: Codes, values: Floats) -> dict[EproxySetting, Tried]:
        """The settings of this same search in the file; an incomplete last line is ignored."""
        self._header = {"codes": codes.tolist(), "accuracies": values.tolist(), "space": self.space.describe()}
        self._header |= {"seed": self.seed, "first": self.first, "shrinkage": self.shrinkage, "quantile": self.quantile}
        if self.path is None or not self.path.exists():
            return {}
        lines = self.path.read_text().split("\n")[:-1]
        if lines and json.loads(lines[0]) != json.loads(json.dumps(self._header)):
            raise ProxyError(f"{self.path} holds another search: other networks, accuracies or arguments")
        self.path.write_text("".join(line + "\n" for line in lines))
        entries = [json.loads(line) for line in lines[1:]]
        found = [Tried(EproxySetting.of(e["setting"]), e["fitness"], e["n_networks"]) for e in entries]
        return {tried.setting: tried for tried in found}

    def _record(self, tried: Tried) -> None:
        if self.path is None:
            return
        new = not self.path.exists()
        with self.path.open("a") as file:
            lines: Sequence[dict[str, Any]] = [self._header, asdict(tried)] if new else [asdict(tried)]
            file.writelines(json.dumps(line) + "\n" for line in lines)


def correlation(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation of two ``(n,)``, ties shared; 0 where one of them is constant."""
    first, second = _ranks(a), _ranks(b)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(means[inverse], dtype=np.float64)
