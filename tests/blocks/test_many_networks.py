"""Block values of thousands of networks: a posterior of some of them, predictions of all."""

from __future__ import annotations

import numpy as np
import pytest

from searchkit import Choice, Space
from searchkit.blocks import fit, gaussian_process
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.fit import fit_blocks
from searchkit.blocks.gaussian_process import held
from searchkit.problem.ranks import rank_correlation
from searchkit.types import Floats


def test_the_newest_are_held_and_as_many_before() -> None:
    assert held(1500).tolist() == list(range(1500))
    rows = held(4000)
    assert (len(rows), len(set(rows.tolist()))) == (1500, 1500)
    assert rows[-750:].tolist() == list(range(3250, 4000))
    assert rows[749] < 3250
    assert held(4000).tolist() == rows.tolist()


def test_a_posterior_of_some_predicts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_process, "HELD", 60)
    solved: list[int] = []
    solve = gaussian_process.fit_process

    def watched(inputs: gaussian_process.BlockFeatures, t: Floats, *others: float) -> gaussian_process.BlockProcess:
        solved.append(len(t))
        return solve(inputs, t, *others)

    monkeypatch.setattr(fit, "fit_process", watched)
    space = Space([Choice(name, tuple("abcd")) for name in "pqrst"])
    codes = space.sample(150, np.random.default_rng(0))
    values = (codes * np.array([1, 2, 3, 4, 5])).sum(axis=1) + np.random.default_rng(1).normal(0, 0.1, 150)

    fitted = fit_blocks(blocks_of(space), codes, values)

    assert set(solved) == {60}, "the work does not grow with the networks"
    assert len(fitted.left_out) == len(fitted.apart) == 150
    assert rank_correlation(fitted.left_out, values) > 0.98
    assert rank_correlation(fitted.apart, values) > 0.98
    picked = blocks_of(space).choose(codes)
    assert np.allclose(fitted.means(picked), fitted.predict(picked)[0])
