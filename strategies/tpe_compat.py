"""Private names of Optuna's TPE that strategies use; checked with Optuna 5.0.0.

No other file uses private names of Optuna's TPE. If a later Optuna moves one, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from optuna._hypervolume.hssp import _solve_hssp
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.samplers._tpe import _erf
from optuna.samplers._tpe._truncnorm import _log_ndtr_single as log_ndtr_tail
from optuna.samplers._tpe._truncnorm import _norm_pdf_logC as LOG_ROOT_2PI
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.sampler import _get_reference_point, default_gamma, default_gamma_multiobjective
from optuna.search_space.group_decomposed import _SearchSpaceGroup as Groups
from optuna.study._multi_objective import _fast_non_domination_rank

from searchkit.types import Floats

__all__ = [
    "ERF_AT_ONE", "ERF_POLYNOMIALS", "ERF_SLOPE", "LOG_ROOT_2PI", "Groups", "default_gamma",
    "default_gamma_multiobjective", "generators", "is_plain", "log_ndtr_tail", "merged", "survivors", "weights_of",
]  # fmt: skip


class Generator:
    """What a sampler keeps its random generator in (``.rng``), which is made at its first use."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @cached_property
    def rng(self) -> np.random.RandomState:
        """The generator."""
        return np.random.RandomState(self._seed)


ERF_AT_ONE: float = _erf.erx
ERF_SLOPE: float = _erf.efx  # at 0, less 1
ERF_POLYNOMIALS = tuple(  # of each part: what is divided, and by what; the coefficient of the highest power first
    (above.coef[::-1].tolist(), below.coef[::-1].tolist())
    for above, below in ((_erf.pp, _erf.qq), (_erf.pa, _erf.qa), (_erf.ra, _erf.sa), (_erf.rb, _erf.sb))
)


def generators(rng: np.random.Generator) -> dict[str, object]:
    """The attributes of a TPESampler that draw, seeded by ``rng``; no generator is made before its first use."""
    seeds = rng.integers(2**31), rng.integers(2**31)
    random = RandomSampler()
    random._rng = Generator(int(seeds[1]))  # type: ignore[assignment]
    return {"_rng": Generator(int(seeds[0])), "_random_sampler": random}


def is_plain(sampler: object) -> bool:
    """Whether a sampler is Optuna's TPE itself, with its own density model."""
    return type(sampler) is TPESampler and sampler._parzen_estimator_cls is _ParzenEstimator


def weights_of(function: Callable[[int], np.ndarray], n: int) -> Floats:
    """``(n,)`` the weights that a sampler's function gives n trials, checked."""
    return _ParzenEstimator._call_weights_func(function, n)


def merged(groups: Groups, distributions: Mapping[str, BaseDistribution]) -> Groups:
    """Groups of parameters that occur together, in all trials so far and one more; the given groups stay."""
    more = Groups()
    more._search_spaces = list(groups.search_spaces)
    more.add_distributions(dict(distributions))
    return more


def survivors(losses: Floats, n_best: int) -> Sequence[int]:
    """Rows of the best trials by several losses ``(n, k)``, 0 < n_best < n, as Optuna chooses them.

    Whole fronts while they fit; of the next, those that add most hypervolume.
    """
    ranks = _fast_non_domination_rank(losses, n_below=n_best)
    n_whole = int(np.searchsorted(np.cumsum(np.bincount(ranks)), n_best, side="right"))  # fronts that fit
    best = np.flatnonzero(ranks < n_whole)
    if len(best) < n_best:
        front = np.flatnonzero(ranks == n_whole)
        chosen = _solve_hssp(losses[front], front, n_best - len(best), _get_reference_point(losses[front]))
        best = np.append(best, chosen)
    rows: list[int] = best.tolist()
    return rows
