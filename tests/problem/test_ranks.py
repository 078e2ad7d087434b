"""How well predictions order values: rank correlation, and the gain of what is predicted to be best."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

from searchkit.problem.ranks import ndcg, rank_correlation

NUMBERS = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=40)


@pytest.mark.slow
@given(NUMBERS, st.floats(0.01, 1.0))
def test_ndcg_is_that_of_scikit_learn(pairs: list[tuple[int, int]], share: float) -> None:
    predicted, values = np.array(pairs, dtype=float).T
    if np.ptp(values) == 0:
        assert math.isnan(ndcg(predicted, values, share))
        return
    relevance = (values - values.min()) / np.ptp(values)
    k = max(1, math.ceil(share * len(values)))
    assert ndcg(predicted, values, share) == pytest.approx(ndcg_score([relevance], [predicted], k=k))


@pytest.mark.slow
@given(NUMBERS)
def test_ndcg_is_1_where_the_order_is_right_and_less_where_the_best_is_missed(pairs: list[tuple[int, int]]) -> None:
    values = np.array(pairs, dtype=float)[:, 0]
    if np.ptp(values):
        assert ndcg(values, values) == pytest.approx(1)
        assert ndcg(-values, values) < 1


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (2, 50)).astype(float)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0


def test_of_no_values_there_is_no_ndcg() -> None:
    assert math.isnan(ndcg(np.empty(0), np.empty(0)))
