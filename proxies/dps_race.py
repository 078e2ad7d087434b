"""The race of DPS: on how many networks a setting is scored before it is dropped, and in which order."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from searchkit.proxies.dps_guard import correlations, resampled
from searchkit.proxies.eproxy_genome import MACS_WEIGHTS, distance
from searchkit.proxies.eproxy_setting import EproxySetting
from searchkit.types import Codes, Floats

FAILED = -1.0  # fitness of a setting under which a network has no score
PARTS = 4  # of the networks, after each of which a setting may be dropped
FEWEST = 4  # networks in a part
ERRORS_BELOW = 1.0  # standard errors that a setting may be below the best and is still scored further
RIVALS = 4  # settings scored on the same networks from which the better half goes on
_MOST = 0.999


@dataclass(frozen=True)
class Tried:
    """One setting.

    Attributes:
        setting: with the weight of MACs under which it ranks best.
        fitness: a low quantile of its rank correlation over bootstrap samples, less for one that differs from the
            first; of a setting that was dropped, on the networks until then.
        correlation: its rank correlation with the labels, on those networks.
        n_networks: on which it was scored.
    """

    setting: EproxySetting
    fitness: float
    correlation: float
    n_networks: int


@dataclass(frozen=True)
class Judge:
    """Fitness of settings by their scores.

    Args:
        values: ``(n,)`` labels, in the order of :func:`spread`.
        macs: ``(n,)`` of the networks, as shares of the space's largest.
        start, quantile, n_bootstrap, shrinkage, seed: as of DPS.
    """

    values: Floats
    macs: Floats
    start: EproxySetting
    quantile: float
    n_bootstrap: int
    shrinkage: float
    seed: int

    def variants(self, scores: Floats) -> Floats:
        """``(a, k)`` scores of the first k networks with each weight of MACs, from those without ``(k,)``."""
        return np.asarray(scores * (1 - np.outer(MACS_WEIGHTS, self.macs[: len(scores)])), dtype=np.float64)

    def tried(self, setting: EproxySetting, scores: Floats) -> Tried:
        """What scores ``(k,)`` of the first k networks, without a weight of MACs, say of a setting."""
        k = len(scores)
        if not np.isfinite(scores).all():
            return Tried(setting, FAILED, FAILED, k)
        variants, rows = self.variants(scores), resampled(k, self.seed, self.n_bootstrap)
        sampled = correlations(variants[:, rows], self.values[:k][rows])
        settings = [replace(setting, macs_weight=weight) for weight in MACS_WEIGHTS]
        penalty = self.shrinkage * np.array([distance(one, self.start) for one in settings])
        fitness = np.quantile(sampled, self.quantile, axis=1) - penalty
        best = int(np.argmax(fitness))
        return Tried(settings[best], float(fitness[best]), float(correlations(variants[best], self.values[:k])), k)

    def reached(self, scores: Floats) -> float:
        """The best rank correlation that a weight of MACs gives scores ``(k,)`` of the first k networks."""
        if not np.isfinite(scores).all():
            return FAILED
        return float(correlations(self.variants(scores), self.values[: len(scores)]).max())


def loses(reached: float, n_networks: int, rivals: Sequence[float], best: float) -> bool:
    """Whether a setting is dropped after a part of the networks.

    It is where its rank correlation is below the median of the settings that were scored on these networks before, or
    where it is unlikely to come to the best on all networks: even with a standard error added it is below.

    Args:
        reached: its rank correlation.
        rivals: those of other settings on the same networks.
        best: the highest rank correlation of a setting on all networks.
    """
    if reached <= FAILED or (len(rivals) >= RIVALS and reached < float(np.median(rivals))):
        return True
    # Fisher's z of Spearman's rho has a variance of about 1.06 / (k - 3): Fieller et al., Biometrika 44, 1957
    above = ERRORS_BELOW * math.sqrt(1.06 / max(1, n_networks - 3))
    return _z(reached) + above < _z(best)


def _z(correlation: float) -> float:
    return math.atanh(min(max(correlation, -_MOST), _MOST))


def spread(values: Floats) -> tuple[Codes, list[int]]:
    """An order of labelled networks, and where its parts end: the labels of each part are spread over all labels.

    Args:
        values: ``(n,)`` labels.
    """
    n = len(values)
    parts = max(1, min(PARTS, n // FEWEST))
    by_label = np.argsort(values, kind="stable")
    firsts = sorted(range(parts), key=lambda i: abs(i - parts / 2 + 0.25))  # the middle one first
    order = [by_label[i::parts] for i in firsts]
    return np.concatenate(order), np.cumsum([len(part) for part in order]).tolist()


def as_line(setting: EproxySetting, scores: Floats) -> str:
    """A line of the record of a search: a setting without a weight of MACs, and the scores ``(k,)`` that it gave."""
    kept = [value if math.isfinite(value) else None for value in scores.tolist()]
    return json.dumps({"setting": asdict(setting), "scores": kept}) + "\n"


def from_line(line: str) -> tuple[EproxySetting, Floats]:
    """What :func:`as_line` wrote."""
    held = json.loads(line)
    scores = [math.nan if value is None else value for value in held["scores"]]
    return EproxySetting.of(held["setting"]), np.array(scores, dtype=np.float64)
