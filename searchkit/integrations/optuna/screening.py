"""The proxy layer under an Optuna study: functions of parameters, and searchkit's proxies of a space's networks."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import ProxyError, SearchkitError, plural
from searchkit.integrations.optuna.parameters import Parameters
from searchkit.problem.numbers import number_of
from searchkit.problem.objectives import Goals
from searchkit.problem.problem import Problem
from searchkit.proxy_layer.screening import Screen
from searchkit.proxy_layer.signals import Signals
from searchkit.space import Choice, Space, keys
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.scoring.scorer import Scorer

Signal = Callable[[dict[str, Any]], float]
TRIED = 20  # candidates after which a signal without any value is an error
UNKNOWN = 250  # the same for a signal that lacks a parameter, which no trial may have had yet: some ten suggestions


@dataclass(frozen=True)
class Screeners:
    """Signals and proxies that score candidates before they are evaluated.

    Attributes:
        functions: name -> ``function(params) -> float``, higher is better; the sign of a signal is learned.
        scorer: of the proxies, over the user's space; None: made over the study's space, where there are proxies.
        factor: candidates that are scored for each one that is evaluated.
        seed: of the sample within which they are ranked.
    """

    functions: Mapping[str, Signal]
    proxies: Sequence[Any]
    scorer: Scorer | None
    factor: int
    seed: int

    def screen(self, parameters: Parameters, problem: Problem, goals: Goals, turns: bool) -> Screen | None:
        """The proxy layer that picks candidates; None without signals and proxies."""
        if not self.functions and not self.proxies:
            return None
        scorer = self.scorer or (_scorer(problem.space, self.proxies, self.seed) if self.proxies else None)
        values = _Functions(parameters, self.functions)
        names = (*self.functions, *(scorer.names if scorer else ()))
        n_own = len(scorer.space.choices) if scorer else 0

        def score(codes: Codes) -> Floats:
            return np.concatenate([values(codes), *([scorer(codes[:, :n_own])] if scorer else [])], axis=1)

        learners = {len(self.functions) + j: proxy for j, proxy in (scorer.learners if scorer else {}).items()}
        if learners and len(problem.space.choices) != n_own:
            raise SearchkitError(
                f"a proxy that learns from trials ({names[min(learners)]}) needs a study of the space's choices alone; "
                "leave the other parameters or this proxy out"
            )
        signals = Signals(problem.space, names, score, goals, seed=self.seed, learners=learners)
        return Screen(problem, signals, self.factor, self.seed, None, turns)


def read_screeners(signals: object, proxies: object, own: Space | None, factor: int, seed: int) -> Screeners:
    """Check signals and proxies as users give them, before any trial.

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
    return Screeners(dict(functions), listed, scorer if own else None, factor, seed)


class _Functions:
    """``codes -> (n, p)`` the functions' values, computed once a candidate; NaN where one raises or returns no number.

    Warns once for each function. One without a value for any of its first candidates is an error.
    """

    def __init__(self, parameters: Parameters, functions: Mapping[str, Signal]) -> None:
        self._parameters, self._functions = parameters, functions
        self._cache: dict[bytes, list[float]] = {}
        self._n_valued = dict.fromkeys(functions, 0)
        self._missing: dict[str, tuple[str, bool]] = {}  # name -> (why it has no value, whether it lacks a parameter)
        self._warned: set[str] = set()

    def __call__(self, codes: Codes) -> Floats:
        for key, code in zip(keys(codes), codes, strict=True):
            if key not in self._cache:
                params = self._parameters.values(code)
                self._cache[key] = [self._value(name, f, params) for name, f in self._functions.items()]
        for name, (why, unknown) in self._missing.items():
            if not self._n_valued[name] and len(self._cache) >= (UNKNOWN if unknown else TRIED):
                raise ProxyError(f"signal '{name}' judged none of {plural(len(self._cache), 'candidate')}: {why}")
            if self._n_valued[name] and name not in self._warned:
                self._warned.add(name)
                warnings.warn(f"signal '{name}' cannot judge some candidates: {why}", stacklevel=2)
        return np.array([self._cache[key] for key in keys(codes)], dtype=np.float64).reshape(
            len(codes), len(self._functions)
        )

    def _value(self, name: str, function: Signal, params: dict[str, Any]) -> float:
        unknown = False
        try:
            returned = function(copy.deepcopy(params))
        except Exception as error:
            why, unknown = f"{type(error).__name__}: {error}", isinstance(error, KeyError)
        else:
            try:
                value = number_of(returned)
            except ValueError as error:
                why = f"it returned {error}"
            else:
                if math.isfinite(value):
                    self._n_valued[name] += 1
                    return value
                why = f"it returned {value}"
        self._missing.setdefault(name, (f"{why}, for {params}", unknown))
        return math.nan


def _scorer(space: Space, proxies: Sequence[Any], seed: int) -> Scorer:
    from searchkit.scoring.scorer import Scorer

    return Scorer(space, proxies, seed=seed)
