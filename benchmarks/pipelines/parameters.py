"""The parameters of a case, and how Optuna and a space are asked for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from searchkit import Choice, Float, Int, Space

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A number between two ends, whole or not, or one of some options; perhaps under a condition.

    Attributes:
        low, high: ends of a number, both inclusive; options: of anything else.
        log: whether a number's scale is logarithmic.
        when: name of an earlier parameter and the values of it under which this one is there.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    options: tuple[Any, ...] = ()
    whole: bool = False
    log: bool = False
    when: tuple[str, tuple[Any, ...]] | None = None

    def active(self, config: Config) -> bool:
        """Whether it is there beside earlier parameters."""
        return self.when is None or config.get(self.when[0]) in self.when[1]


def number(name: str, low: float, high: float, *, log: bool = False, when: Any = None) -> Parameter:
    """A float between two ends."""
    return Parameter(name, low, high, log=log, when=when)


def whole(name: str, low: int, high: int, *, log: bool = False, when: Any = None) -> Parameter:
    """An int between two ends, both inclusive."""
    return Parameter(name, low, high, whole=True, log=log, when=when)


def one_of(name: str, options: Sequence[Any], *, when: Any = None) -> Parameter:
    """One of some options without an order."""
    return Parameter(name, options=tuple(options), when=when)


@dataclass(frozen=True)
class Case:
    """Something to minimise.

    Attributes:
        loss: of a configuration, without noise.
        noise: deviation of the normal noise that an evaluation adds.
        least: the least loss, where it is known; figures are then differences from it.
    """

    name: str
    parameters: tuple[Parameter, ...]
    loss: Callable[[Config], float]
    noise: float = 0.0
    least: float = 0.0


def suggested(case: Case, trial: optuna.Trial) -> dict[str, Any]:
    """A configuration from Optuna, as people write it: conditional ones where they are needed."""
    config: dict[str, Any] = {}
    for p in case.parameters:
        if not p.active(config):
            continue
        if p.options:
            config[p.name] = trial.suggest_categorical(p.name, p.options)
        elif p.whole:
            config[p.name] = trial.suggest_int(p.name, int(p.low), int(p.high), log=p.log)
        else:
            config[p.name] = trial.suggest_float(p.name, p.low, p.high, log=p.log)
    return config


def space_of(case: Case) -> Space:
    """The space of a case's configurations."""
    made: list[Choice | Float | Int] = []
    for p in case.parameters:
        when = None if p.when is None else (p.when[0], list(p.when[1]))
        if p.options:
            made.append(Choice(p.name, p.options, when=when))
        elif p.whole:
            made.append(Int(p.name, int(p.low), int(p.high), log=p.log, when=when))
        else:
            made.append(Float(p.name, p.low, p.high, log=p.log, when=when))
    return Space(made, name=case.name)
