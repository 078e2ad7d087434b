"""The study of pipelines: its cases are what they say, and figures are of the candidate that looks best."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.pipelines import functions, models
from benchmarks.pipelines.parameters import Case, number, space_of
from benchmarks.pipelines.study import reached

CASES = [*functions.tuned(), *functions.kept_back(), *models.cases()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_has_a_finite_loss_wherever_its_space_is_drawn_from(case: Case) -> None:
    space = space_of(case)
    configs = space.decode(space.sample(2, np.random.default_rng(0)))
    assert all(math.isfinite(case.loss(config)) and case.loss(config) >= case.least - 0.5 for config in configs)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("Branin", (math.pi, 2.275)),
        ("Hartmann-6", (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)),
        ("Ackley-5", (0.0,) * 5),
        ("Rosenbrock-4", (1.0,) * 4),
        ("camel", (0.0898, -0.7126)),
        ("Griewank-7", (0.0,) * 7),
        ("Michalewicz-5", (2.202906, 1.570796, 1.284992, 1.923058, 1.720470)),
    ],
)
def test_the_least_loss_of_a_function_is_where_it_is_published(name: str, at: tuple[float, ...]) -> None:
    case = next(case for case in CASES if case.name == name)
    assert case.loss({f"x{i}": x for i, x in enumerate(at)}) == pytest.approx(case.least, abs=1e-4)


def test_what_a_run_reached_is_the_true_loss_of_what_looked_best() -> None:
    case = Case("one", (number("x0", 0, 1),), lambda config: 0.0, least=1.0)
    run = ([5.0, 3.0, 4.0, 2.0], [5.0, 3.5, 3.2, 0.0])
    assert reached(case, [run, run], 3).tolist() == [3.0, 3.0]
    assert reached(case, [run], 4).tolist() == [1.0]
