"""The proxy layer under an Optuna study: functions of parameters, and searchkit's proxies of a space's networks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import ProxyError, SearchkitError
from searchkit.integrations.optuna.parameters import Parameters
from searchkit.problem.objectives import Goals
from searchkit.problem.problem import Problem
from searchkit.proxy_layer.screening import Screen
from searchkit.proxy_layer.signals import Signals
from searchkit.space import Choice, Space, keys
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.scoring.scorer import Scorer

Signal = Callable[[dict[str, Any]], float]
TRIED = 20  # candidates of which a signal must judge one, or it is at fault itself
UNKNOWN = 250  # and where it misses a parameter, which no trial may have had yet: some ten suggestions


@dataclass(frozen=True)
class Judges:
    """What judges candidates before they are evaluated.

    Attributes:
        functions: name -> ``function(params) -> float``, higher is better; which way a signal really points is learned.
        scorer: of the proxies, over the user's space or over the study's; None: there are none.
        factor: candidates that are judged for each one that is evaluated.
        seed: of the sample within which they are ranked.
    """

    functions: Mapping[str, Signal]
    proxies: Sequence[Any]
    scorer: Scorer | None
    factor: int
    seed: int

    def screen(self, parameters: Parameters, problem: Problem, goals: Goals, turns: bool) -> Screen | None:
        """The layer that picks what is evaluated; None where there is nothing to judge by."""
        if not self.functions and not self.proxies:
            return None
        scorer = self.scorer or (_scorer(problem.space, self.proxies, self.seed) if self.proxies else None)
        judged = _Functions(parameters, self.functions)
        names = (*self.functions, *(scorer.names if scorer else ()))
        n_own = len(scorer.space.choices) if scorer else 0

        def score(codes: Codes) -> Floats:
            return np.concatenate([judged(codes), *([scorer(codes[:, :n_own])] if scorer else [])], axis=1)

        learners = {len(self.functions) + j: proxy for j, proxy in (scorer.learners if scorer else {}).items()}
        if learners and len(problem.space.choices) != n_own:
            raise SearchkitError(
                f"a proxy that learns from trials ({names[min(learners)]}) needs a study of the space's choices alone; "
                "leave the other parameters or this proxy out"
            )
        signals = Signals(problem.space, names, score, goals, seed=self.seed, learners=learners)
        return Screen(problem, signals, self.factor, self.seed, None, turns)


def read_judges(signals: Any, proxies: Any, own: Space | None, factor: int, seed: int) -> Judges:
    """Check what a user gives, before any trial.

    Raises:
        SearchkitError: signals that are no mapping of functions, or proxies that are unknown or need networks.
    """
    from searchkit.proxy_layer.setup import read_proxies

    functions = {} if signals is None else signals
    if not isinstance(functions, Mapping) or not all(callable(f) for f in functions.values()):
        raise SearchkitError(
            "signals are functions of a trial's parameters by name, such as "
            f"{{'size': lambda params: params['width']}}, not {signals!r}"
        )
    listed = read_proxies(proxies)
    space = own or Space([Choice("parameters", ("any",))], name="of the study")
    scorer = _scorer(space, listed, seed) if listed else None
    twice = sorted(set(functions) & set(scorer.names if scorer else ()))
    if twice:
        raise SearchkitError(f"'{twice[0]}' is a signal and a proxy: give the signal another name")
    return Judges(dict(functions), listed, scorer if own else None, factor, seed)


class _Functions:
    """``codes -> (n, p)`` what the functions say of candidates, each asked once; NaN where one raises or has no number.

    It warns once for every function. One that can judge nothing of its first candidates is the user's mistake.
    """

    def __init__(self, parameters: Parameters, functions: Mapping[str, Signal]) -> None:
        self._parameters, self._functions = parameters, functions
        self._cache: dict[bytes, list[float]] = {}
        self._n_judged = dict.fromkeys(functions, 0)
        self._missing: dict[str, tuple[str, bool]] = {}  # why one could not judge, and whether for want of a parameter
        self._warned: set[str] = set()

    def __call__(self, codes: Codes) -> Floats:
        for key, code in zip(keys(codes), codes, strict=True):
            if key not in self._cache:
                params = self._parameters.values(code)
                self._cache[key] = [self._judge(name, f, params) for name, f in self._functions.items()]
        for name, (why, unknown) in self._missing.items():
            if not self._n_judged[name] and len(self._cache) >= (UNKNOWN if unknown else TRIED):
                raise ProxyError(f"signal '{name}' judged none of {len(self._cache)} candidates: {why}")
            if self._n_judged[name] and name not in self._warned:
                self._warned.add(name)
                warnings.warn(f"signal '{name}' cannot judge some candidates: {why}", stacklevel=2)
        return np.array([self._cache[key] for key in keys(codes)], dtype=np.float64).reshape(len(codes), -1)

    def _judge(self, name: str, function: Signal, params: dict[str, Any]) -> float:
        unknown = False
        try:
            value = float(function(dict(params)))
            if math.isfinite(value):
                self._n_judged[name] += 1
                return value
            why = f"it returned {value}"
        except Exception as error:
            why, unknown = f"{type(error).__name__}: {error}", isinstance(error, KeyError)
        self._missing.setdefault(name, (f"{why}, for {params}", unknown))
        return math.nan


def _scorer(space: Space, proxies: Sequence[Any], seed: int) -> Scorer:
    from searchkit.scoring.scorer import Scorer

    return Scorer(space, proxies, seed=seed)
