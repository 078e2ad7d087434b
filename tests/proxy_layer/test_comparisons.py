"""Comparisons as earlier knowledge: they rank what was not compared, and are refused where they make no sense."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Comparisons, Space
from searchkit.errors import SearchkitError
from searchkit.problem.ranks import rank_correlation
from searchkit.proxy_layer.comparisons import Compared
from searchkit.results.report.call import call
from searchkit.results.report.facts import Facts

SPACE = Space([Choice(f"c{j}", range(5), ordered=j % 2 == 0) for j in range(6)], name="six")
VALUE = np.random.default_rng(0).normal(size=(6, 5))


def worth(codes: np.ndarray) -> np.ndarray:
    return -VALUE[np.arange(6), codes].sum(axis=1)


def told(n: int, seed: int = 0) -> Comparisons:
    """n comparisons of random candidates, all of them right."""
    codes = SPACE.sample(2 * n, np.random.default_rng(seed)).reshape(n, 2, 6)
    pairs = [sorted(pair, key=lambda code: worth(code[None])[0], reverse=True) for pair in codes]
    return Comparisons([tuple(SPACE.decode(np.array(pair))) for pair in pairs])


def search(**given) -> searchkit.Result:
    given = {"space": SPACE, "objectives": {"loss": "min"}, "budget": 12, "batch": 2, "storage": "memory"} | given
    evaluate = lambda choices: {"loss": -float(worth(np.array([list(choices.values())]))[0])}  # noqa: E731
    return searchkit.run("nsga2", evaluate=evaluate, **given)


def test_a_few_comparisons_rank_candidates_that_were_not_compared() -> None:
    codes = SPACE.enumerate()[::13]
    assert rank_correlation(Compared(told(40), SPACE).score(codes), worth(codes)) > 0.6
    assert rank_correlation(Compared(told(5), SPACE).score(codes), worth(codes)) > 0.2


def test_what_was_said_is_kept_and_its_reverse_is_the_reverse() -> None:
    given = told(20)
    backwards = Comparisons([(worse, better) for better, worse in given.pairs])
    better, worse = (SPACE.encode([pair[side] for pair in given.pairs]) for side in (0, 1))
    scores = Compared(given, SPACE)
    assert (scores.score(better) > scores.score(worse)).all()
    codes = SPACE.enumerate()[::101]
    assert np.allclose(scores.score(codes), -Compared(backwards, SPACE).score(codes), atol=1e-6)


@pytest.mark.slow
def test_a_search_learns_from_them_beside_other_studies_and_goes_on(tmp_path) -> None:
    before = search(name="before", budget=20)
    given = {"earlier": [before, told(30), told(10, seed=1)], "storage": tmp_path, "name": "s"}
    result = search(**given)
    assert set(result.signals.proxy) == {"earlier:before", "comparisons"}
    assert result.signals.set_index("proxy").rho["comparisons"] > 0.3
    written = call(Facts(searchkit.load("s", tmp_path)))
    assert 'earlier=[searchkit.load("before"), comparisons],  # comparisons: give your own searchkit.Comp' in written
    whole = search(**(given | {"budget": 16, "storage": "memory"}))
    assert search(**(given | {"budget": 16})).history.loss.tolist() == whole.history.loss.tolist()


CANDIDATES = SPACE.decode(SPACE.enumerate()[:4])
CIRCLE = [*pairwise(CANDIDATES[:3]), (CANDIDATES[2], CANDIDATES[0])]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([({"c9": 1}, CANDIDATES[0])], "comparison 0 names no candidate of space 'six'.*c9"),
        ([(CANDIDATES[0], CANDIDATES[1] | {"c0": 7})], "comparison 0 names no candidate.*has no option 7"),
        ([(CANDIDATES[0], CANDIDATES[0])], "which is the same candidate"),
        ([(CANDIDATES[0], CANDIDATES[1]), (CANDIDATES[1], CANDIDATES[0])], "contradict each other: by 2 of them"),
        (CIRCLE, "contradict each other: by 3 of them"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused_before_anything_is_evaluated(pairs: list, words: str) -> None:
    with pytest.raises(SearchkitError, match=words):
        search(earlier=Comparisons(pairs))


@pytest.mark.parametrize("pairs", [[], "ab", {"a": 1}, 3, [CANDIDATES[:1]], [("a", "b")], [CANDIDATES[:3]]])
def test_what_are_no_pairs_is_refused_at_once(pairs: object) -> None:
    with pytest.raises(SearchkitError, match=r"comparisons? (0 is|are) "):
        Comparisons(pairs)
