"""Checks and seeds Optuna's samplers, so that they can be strategies."""

from __future__ import annotations

import random

import numpy as np
from optuna.samplers import BaseSampler

from searchkit.problem.problem import Problem
from searchkit.storage.optuna_compat import SEED, is_lazy_generator

REFUSED = {
    "GridSampler": "it walks through a grid of its own; strategy 'random' visits all of a finite space",
    "PartialFixedSampler": "it fixes parameters by Optuna's names; give a space with fewer choices",
}


def check_sampler(problem: Problem, sampler: BaseSampler) -> None:
    """Refuse samplers that cannot work, with the reason.

    Raises:
        ValueError: a sampler with a grid or parameters of its own, or one that would draw all choices at random.
    """
    name = type(sampler).__name__
    if name in REFUSED:
        raise ValueError(f"{name} cannot be a strategy: {REFUSED[name]}")
    if (
        name == "CmaEsSampler"
        and sum(choice.ordered and len(choice.options) > 1 for choice in problem.space.choices) < 2
    ):
        raise ValueError(
            "CmaEsSampler searches ordered choices, and leaves all others to chance; fewer than two are ordered here: "
            "give Choice(..., ordered=True) where options lie on a scale, or take another sampler"
        )


def seed_sampler(sampler: object, rng: np.random.Generator, done: set[int] | None = None) -> None:
    """Seed every random generator inside an object, in the order of its attributes.

    Optuna's own ``reseed_rng`` takes a seed from the operating system. So does a quasi-random sequence that was given
    none (its seed has 64 bits): it gets a fixed one, so that a continued search goes on in the same sequence.
    """
    done = set() if done is None else done
    if id(sampler) in done:
        return
    done.add(id(sampler))
    for name, value in vars(sampler).items():
        if name == SEED and isinstance(value, int) and value >= 2**32:
            setattr(sampler, name, 0)
        elif isinstance(value, np.random.RandomState | random.Random):
            value.seed(int(rng.integers(2**31)))
        elif isinstance(value, np.random.Generator):
            value.bit_generator.state = type(value.bit_generator)(int(rng.integers(2**31))).state
        elif is_lazy_generator(value):
            value.rng.seed(int(rng.integers(2**31)))
        elif (
            hasattr(value, "__dict__")
            and type(value).__module__.split(".")[0] == type(sampler).__module__.split(".")[0]
        ):
            seed_sampler(value, rng, done)
