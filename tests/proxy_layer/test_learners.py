"""Proxies that learn from a search's results, beside other signals and alone."""

from __future__ import annotations

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.proxies.mathnas import MathNAS
from searchkit.proxy_layer.learning_proxies import ENOUGH, Taught
from searchkit.proxy_layer.setup import DEFAULT, IN_SEARCH, read_proxies
from searchkit.surrogates.refitting import FITTED
from searchkit.types import Codes, Floats

SPACE = Space([Choice(f"c{i}", range(4)) for i in range(6)])


def observed(n: int) -> tuple[Codes, Floats]:
    """n candidates, and their sums."""
    codes = np.unique(SPACE.sample(4 * n, np.random.default_rng(0)), axis=0)
    codes = np.random.default_rng(1).permutation(codes)[:n]
    assert len(codes) == n
    return codes, codes.sum(axis=1).astype(float)


def scores(n: int, alone: bool) -> Floats:
    """Of other candidates, with the column of a proxy that has learned from n; NaN where it has not."""
    codes, values = observed(n)
    others = SPACE.sample(50, np.random.default_rng(2))
    told = Taught({0: MathNAS(SPACE)}, codes, values, alone).complete(others, np.full((50, 1), np.nan))
    return np.column_stack([told[:, 0], others.sum(axis=1)])


def test_beside_other_signals_it_learns_from_twenty_results_on() -> None:
    assert np.isnan(scores(ENOUGH - 1, alone=False)[:, 0]).all()
    known = scores(ENOUGH, alone=False)
    assert np.corrcoef(known.T)[0, 1] > 0.9


def test_alone_it_learns_from_few() -> None:
    assert np.isfinite(scores(8, alone=True)).all()


def test_of_many_results_some_are_learned_from_and_the_others_are_predicted() -> None:
    codes, values = observed(FITTED + 200)
    learner = MathNAS(SPACE)
    fitted: list[int] = []

    class Watched(MathNAS):
        def fit(self, codes: Codes, values: Floats) -> MathNAS:  # type: ignore[override]
            fitted.append(len(codes))
            return learner.fit(codes, values)

    found = Taught({0: Watched(SPACE)}, codes, values).complete(codes, np.full((len(codes), 1), np.nan))
    assert fitted == [FITTED]
    assert np.corrcoef(found[:, 0], values)[0, 1] > 0.99


def test_the_default_of_a_search_has_block_values_and_a_table_of_scores_has_none() -> None:
    assert read_proxies("default", IN_SEARCH) == [*DEFAULT, "mathnas"]
    assert read_proxies("default") == list(DEFAULT)


@pytest.mark.parametrize("given", [("default", "mathnas"), ("mathnas", "default"), ("jacov", "default")])
def test_what_is_named_beside_the_default_is_there_once(given: tuple[str, ...]) -> None:
    assert sorted(read_proxies(given, IN_SEARCH)) == sorted(IN_SEARCH)


@pytest.mark.slow
def test_a_table_of_default_scores_has_no_column_without_values() -> None:
    table = searchkit.score("macro", 2, data=searchkit.load_data("digits", limit=60))
    assert "mathnas" not in table.columns
    assert table[["params", "jacov"]].notna().all().all()
