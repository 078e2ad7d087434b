"""When hyperparameters are fitted anew, and when they are kept."""

from __future__ import annotations

import numpy as np
import pytest

from searchkit.surrogates.gaussian_process import fit
from searchkit.surrogates.refitting import Examples, Refits

X = np.random.default_rng(0).normal(size=(40, 3)) / 2
Y = np.sin(3 * X[:, 0]) + 0.1 * np.random.default_rng(1).normal(size=40)


def first(n: int) -> Examples:
    return [X[:n]], np.zeros(n), Y[:n]


def test_hyperparameters_are_those_of_the_observations_that_were_due_last() -> None:
    refits = Refits()
    for due, n in ((10, 10), (10, 14), (20, 20), (20, 30), (10, 40)):
        process = refits.process("loss", due, lambda due=due: first(due), first(n))
        assert process.setting.noise == pytest.approx(fit(*first(due)).setting.noise)
        np.testing.assert_array_equal(process.y, Y[:n])


def test_nothing_is_fitted_while_no_other_number_is_due_and_names_are_apart() -> None:
    refits = Refits()
    kept = refits.process("loss", 10, lambda: first(10), first(10))

    def never() -> Examples:
        raise AssertionError("fitted again")

    assert refits.process("loss", 10, never, first(20)).setting is kept.setting
    with pytest.raises(AssertionError, match="fitted again"):
        refits.process("other", 10, never, first(20))
