"""DPS: searches for the Eproxy task that best ranks some twenty networks of known accuracy.

Li et al., Extensible Proxy for Efficient NAS (arXiv 2210.09459), section 3.3; ageing evolution after Real et al.
(arXiv 1802.01548). What differs from the paper, because the best of 200 settings overfits twenty labels, and each
setting costs ten training steps of twenty networks:

* Settings race: each is scored on a quarter of the networks, whose labels are spread over all labels, then on more, and
  is dropped as soon as it is in the worse half there, or unlikely to reach the best.
* The weight of MACs, which costs nothing to change, is chosen for each setting.
* The fitness is a low quantile of the correlation over bootstrap samples, less for settings that differ from the first.
* Several of the best settings score together (:mod:`searchkit.proxies.eproxy_mean`).
* The first setting stays where what was found may be luck (:mod:`searchkit.proxies.dps_guard`).
* Reduced networks are scored, as :class:`searchkit.proxies.eproxy.Eproxy` does; a setting with maps of another side
  than the first gets images of another size, in proportion.
"""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.errors import ProxyError, plural
from searchkit.proxies.dps_guard import Verdict, gain_of, luck_of
from searchkit.proxies.dps_race import Judge, Tried, as_line, from_line, loses, spread
from searchkit.proxies.eproxy import DEFAULT, Eproxy
from searchkit.proxies.eproxy_genome import drawn, mutated
from searchkit.proxies.eproxy_mean import EproxyMean
from searchkit.proxies.eproxy_setting import EproxySetting
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace
from searchkit.surroundings import settled
from searchkit.types import Codes, Floats

_DRAWS = 20  # of a setting that was not tried yet


class DPS:
    """The discrete proxy search.

    Args:
        space, data, device, seed: as for :class:`searchkit.scoring.scorer.Scorer`.
        population, tournament, n_evaluations: of the ageing evolution; published are 40, 10 and 200.
        mutation: probability that each gene of a child changes.
        n_bootstrap, quantile: fitness is this quantile of the rank correlation over so many bootstrap samples.
        start: the Eproxy, or its setting, that is tried first; the fitness of others is shrunk by their distance from
            it, its reduction is that of all (its resolution in proportion to the side of the maps), and it stays where
            what is found may be luck.
        shrinkage: penalty on the fitness of a setting that differs from ``start`` in all genes.
        n_settings: that score together: the mean of so many ranks further networks better than the best does alone,
            and costs so many times as much.
        path: a JSON-lines file of the settings tried; a search continues an existing one.
        on_tried: called after each setting with the number tried so far, their number in all, and the
            :class:`searchkit.proxies.dps_race.Tried`.

    Attributes:
        tried: every setting tried, in order.
        best: the fittest that was scored on all networks, after :meth:`fit`.
        verdict: whether it is believed.
        settings: the fittest that were scored on all networks, ``best`` first, where it is believed; else that of
            ``start``.
        n_scored: scores made by :meth:`fit`, of one network with one setting each; without those of the file.

    Raises:
        ProxyError: numbers that are out of range.
    """

    def __init__(
        self,
        space: NetworkSpace,
        data: Data | None = None,
        *,
        device: str = "cpu",
        seed: int = 0,
        population: int = 20,
        tournament: int = 5,
        n_evaluations: int = 100,
        start: Eproxy | EproxySetting = DEFAULT,
        mutation: float = 0.2,
        n_bootstrap: int = 200,
        quantile: float = 0.25,
        shrinkage: float = 0.1,
        n_settings: int = 5,
        path: str | Path | None = None,
        on_tried: Callable[[int, int, Tried], None] | None = None,
    ) -> None:
        if not 1 <= tournament <= population or min(n_evaluations, n_settings) < 1:
            raise ProxyError(
                "a search has a tournament of 1 to its population, one evaluation or more, and one setting or more"
            )
        if not isinstance(space, NetworkSpace):
            raise ProxyError(f"DPS scores networks: give a NetworkSpace, not a {type(space).__name__}")
        self.space = space if data is None else space.for_data(data.input_shape, data.output_shape)
        self.data, self.device, self.seed = data, device, seed
        self.population, self.tournament, self.n_evaluations = population, tournament, n_evaluations
        self.start = start if isinstance(start, Eproxy) else Eproxy(start)
        self.mutation, self.shrinkage = mutation, shrinkage
        self.n_bootstrap, self.quantile, self.n_settings = n_bootstrap, quantile, n_settings
        self.path = None if path is None else settled(path)
        self.on_tried = on_tried
        self.tried: list[Tried] = []
        self.settings: tuple[EproxySetting, ...] = (self.start.setting,)
        self._found: Floats = np.empty((1, 0))  # scores of the settings on the labelled networks
        self.best: Tried | None = None
        self.verdict: Verdict | None = None
        self.n_scored = 0
        self._reached: defaultdict[int, list[float]] = defaultdict(list)  # by number of networks, in the order tried

    def fit(self, codes: Codes, accuracies: npt.ArrayLike) -> Self:
        """Search with networks ``(n, d)`` of known accuracy ``(n,)``, higher is better; five or more.

        Raises:
            ProxyError: too few networks, or accuracies that do not fit them.
        """
        codes = self.space.check(codes)
        try:
            values = np.asarray(accuracies, dtype=np.float64)
        except (TypeError, ValueError):
            raise ProxyError(f"accuracies are numbers, one for each network, not {accuracies!r}") from None
        if values.shape != (len(codes),) or not np.isfinite(values).all() or len(codes) < 5:
            raise ProxyError(
                f"{plural(len(codes), 'network')} and accuracies of shape {values.shape}: give five or more, all finite"
            )
        order, ends = spread(values)
        codes, values = codes[order], values[order]
        judge = self._judge(codes, values)
        scores = self._recorded(codes, values)
        self.tried, self.n_scored, self._reached = [], 0, defaultdict(list)
        while len(self.tried) < self.n_evaluations:
            setting = self._proposed(judge.start)
            self.tried.append(self._raced(setting, codes, ends, judge, scores))
            if self.on_tried is not None:
                self.on_tried(len(self.tried), self.n_evaluations, self.tried[-1])
        self._decide(judge, scores)
        return self

    @property
    def proxy(self) -> Eproxy | EproxyMean:
        """The proxy with the settings that were found."""
        members = self.members
        return members[0] if len(members) == 1 else EproxyMean.of(members, self._found)

    @property
    def members(self) -> list[Eproxy]:
        """One for each of the settings that were found, the fittest first."""
        return [self._proxy(setting) for setting in self.settings]

    def _proxy(self, setting: EproxySetting) -> Eproxy:
        resolution, sides = self.start.resolution, (setting.side, self.start.setting.side)
        if resolution is not None and sides[0] != sides[1]:
            resolution = max(1, resolution * sides[0] // sides[1])
        return replace(self.start, setting=setting, resolution=resolution)

    def _judge(self, codes: Codes, values: Floats) -> Judge:
        drawn_codes = self.space.sample(500, np.random.default_rng(0))
        macs_max = float(space_counts(self.space, drawn_codes)["macs"].max())
        start = replace(self.start.setting, macs_max=macs_max)
        macs = np.asarray(space_counts(self.space, codes)["macs"], dtype=np.float64) / macs_max
        return Judge(values, macs, start, self.quantile, self.n_bootstrap, self.shrinkage, self.seed)

    def _proposed(self, start: EproxySetting) -> EproxySetting:
        """The next setting: a function of what was tried and of the seed, so that a search can be continued."""
        if not self.tried:
            return replace(start, macs_weight=0.0)  # the first is always among those compared
        rng = np.random.default_rng([self.seed, len(self.tried)])
        known = {replace(tried.setting, macs_weight=0.0) for tried in self.tried}
        for _ in range(_DRAWS):
            if len(self.tried) < self.population:
                setting = drawn(rng, start)
            else:
                living = self.tried[-self.population :]
                chosen = rng.choice(len(living), self.tournament, replace=False)
                parent = max((living[i] for i in chosen), key=lambda tried: tried.fitness)
                setting = mutated(parent.setting, self.mutation, rng)
            setting = replace(setting, macs_weight=0.0)
            if setting not in known:
                break
        return setting

    def _raced(
        self, setting: EproxySetting, codes: Codes, ends: list[int], judge: Judge, known: dict[EproxySetting, Floats]
    ) -> Tried:
        """Score a setting part by part of the networks, until it is hopeless; the first setting is scored on all."""
        best = max((one.correlation for one in self.tried if one.n_networks == len(codes)), default=-1.0)
        scores, scorer = known.get(setting, np.empty(0)), None
        for end in ends:
            if len(scores) < end:
                scorer = scorer or self._scorer(setting)
                scores = np.concatenate([scores, self._scores(scorer, codes[len(scores) : end])])
            reached = judge.reached(scores[:end])
            rivals = self._reached[end]
            lost = end < len(codes) and bool(self.tried) and loses(reached, end, rivals, best)
            rivals.append(reached)
            if lost:
                break
        if scorer is not None:
            self._record(setting, scores)
        known[setting] = scores
        return judge.tried(setting, scores[:end])

    def _scorer(self, setting: EproxySetting) -> Scorer:
        """Equal networks among the labelled ones share a score."""
        return Scorer(self.space, [self._proxy(setting)], self.data, device=self.device, seed=self.seed)

    def _scores(self, scorer: Scorer, codes: Codes) -> Floats:
        self.n_scored += len(codes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of networks that diverge: their setting gets a low fitness
            return np.asarray(scorer(codes)[:, 0], dtype=np.float64)

    def _decide(self, judge: Judge, known: dict[EproxySetting, Floats]) -> None:
        """Choose the fittest of those scored on all networks, or the first one where they may be luck."""
        whole = [tried for tried in self.tried if tried.n_networks == len(judge.values)]
        scored = np.stack([known[replace(tried.setting, macs_weight=0.0)] for tried in whole])
        finite = np.asarray(np.isfinite(scored).all(axis=1))
        self.best = max(whole, key=lambda tried: tried.fitness)
        self.settings = (self.start.setting,)
        self.verdict = Verdict(1.0, 0.0)
        if not finite.any():
            return
        at = whole.index(self.best)
        luck = luck_of(judge.variants(scored[at]), judge.values, len(self.tried), self.seed)
        weights = np.array([tried.setting.macs_weight for tried in whole])
        weighted = scored * (1 - weights[:, None] * judge.macs)
        first = scored[0] * (1 - judge.start.macs_weight * judge.macs)
        gain = gain_of(weighted[finite], np.nan_to_num(first, nan=-np.inf), judge.values, self.seed, self.n_settings)
        self.verdict = Verdict(luck, gain)
        if self.verdict.believed:
            fitness = np.array([tried.fitness for tried in whole])
            fittest = [i for i in np.argsort(-fitness, kind="stable").tolist() if finite[i]][: self.n_settings]
            self.settings = tuple(whole[i].setting for i in fittest)
            self._found = weighted[fittest]

    def _recorded(self, codes: Codes, values: Floats) -> dict[EproxySetting, Floats]:
        """Scores of this same search in the file, by setting; an incomplete last line is ignored."""
        self._header: dict[str, Any] = {"codes": codes.tolist(), "accuracies": values.tolist()}
        self._header |= {"space": self.space.describe(), "seed": self.seed, "start": repr(self.start)}
        self._header |= {"data": None if self.data is None else self.data.fingerprint}
        if self.path is None or not self.path.exists():
            return {}
        if not self.path.is_file():
            raise ProxyError(f"path is a file for the settings tried, and {self.path} is a folder")
        lines = self.path.read_text().split("\n")[:-1]
        if lines and json.loads(lines[0]) != json.loads(json.dumps(self._header)):
            raise ProxyError(f"{self.path} holds another search: other networks, accuracies or arguments")
        self.path.write_text("".join(line + "\n" for line in lines))
        return dict(map(from_line, lines[1:]))

    def _record(self, setting: EproxySetting, scores: Floats) -> None:
        if self.path is None:
            return
        new = not self.path.exists()
        with self.path.open("a") as file:
            file.write((json.dumps(self._header) + "\n" if new else "") + as_line(setting, scores))
