"""What proxies that say nothing or the opposite cost a search that has a good one, in hypervolume at 50 evaluations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.problem.pareto import hypervolume
from searchkit.types import Codes, Floats

SPACE = Space([Choice(f"c{j}", range(5), ordered=True) for j in range(6)])
EVALUATIONS, BATCH, SEEDS = 50, 5, 16
NOISE = 0.5  # of the good proxy, in deviations of what it is about; a correlation of some 0.9

_rng = np.random.default_rng(2)
SINGLE = _rng.normal(size=(6, 5)) / 2
PAIRS = [(i, j, _rng.normal(size=(5, 5)) / 2) for i in range(6) for j in range(i)]


def quality(codes: Codes) -> Floats:
    """Mostly of pairs of choices, which few observations do not show: what a search gains it has from its proxies."""
    pairs = sum(table[codes[:, i], codes[:, j]] for i, j, table in PAIRS)
    return SINGLE[np.arange(6), codes].sum(axis=1) + pairs


def size(codes: Codes) -> Floats:
    return codes.sum(axis=1) * 1.0


EVERYTHING = quality(SPACE.enumerate())
REFERENCE = np.array([-np.quantile(EVERYTHING, 0.05), 25.0])


class Says:
    """A proxy that says what a function of a candidate does, plus noise of its own that stays the same."""

    def __init__(self, name: str, function: Callable[[Codes], Floats], noise: float, seed: int) -> None:
        self.name, self._function = name, function
        self._noise = noise * EVERYTHING.std() * np.random.default_rng(seed).normal(size=SPACE.size)

    def score(self, codes: Codes) -> Floats:
        return self._function(codes) + self._noise[codes @ 5 ** np.arange(6)]


def evaluate(choices: dict) -> dict:
    code = np.array([list(choices.values())])
    return {"quality": float(quality(code)[0]), "size": float(size(code)[0])}


def gained(strategy: str, proxies: list[Says], seed: int) -> float:
    """Hypervolume of what a search found."""
    result = searchkit.run(
        strategy, space=SPACE, evaluate=evaluate, objectives={"quality": "max", "size": "min"}, proxies=proxies,
        budget=EVALUATIONS, batch=BATCH, seed=seed, storage="memory",
    )  # fmt: skip
    codes = np.stack([trial.code for trial in result.trials])
    return hypervolume(np.column_stack([-quality(codes), size(codes)]), REFERENCE)


def beside(seed: int) -> dict[str, list[Says]]:
    good = Says("good", quality, NOISE, 1000 + seed)
    return {
        "no proxy": [],
        "a good one": [good],
        "its negative too": [good, Says("negative", lambda codes: -good.score(codes), 0.0, 0)],
        "noise too": [good, Says("noise", lambda codes: np.zeros(len(codes)), 1.0, 2000 + seed)],
    }


@pytest.fixture(scope="module", params=["nsga2", pytest.param("random", marks=pytest.mark.thorough)])
def found(request: pytest.FixtureRequest) -> dict[str, float]:
    """Mean hypervolume over the seeds."""
    volumes: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        for name, proxies in beside(seed).items():
            volumes.setdefault(name, []).append(gained(request.param, proxies, seed))
    return {name: float(np.mean(values)) for name, values in volumes.items()}


@pytest.mark.thorough
def test_a_good_proxy_finds_much_more_than_none(found: dict[str, float]) -> None:
    assert found["a good one"] > 1.2 * found["no proxy"]


@pytest.mark.thorough
def test_a_misleading_proxy_costs_at_most_a_tenth(found: dict[str, float]) -> None:
    assert found["its negative too"] >= 0.9 * found["a good one"]
    gain = found["a good one"] - found["no proxy"]
    assert found["its negative too"] >= found["a good one"] - 0.1 * gain, "of what the good one had brought, too"


@pytest.mark.thorough
def test_a_noise_proxy_costs_at_most_a_twentieth(found: dict[str, float]) -> None:
    assert found["noise too"] >= 0.95 * found["a good one"]
