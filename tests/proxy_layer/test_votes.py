"""Votes without labels: what agrees with size counts, what runs against it does not, and names change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchkit import Choice, Space
from searchkit.proxy_layer.votes import CORE, LABELS, share_of_sizes, smallness, votes_of
from searchkit.types import Floats

N = 400
DEFAULT = ("params", "macs", "jacov", "naswot", "synflow", "grad_norm", "az_expressivity", "az_complexity")


def ranks(*columns: Floats) -> Floats:
    """Quantiles of each column within itself."""
    return np.column_stack([(np.argsort(np.argsort(column)) + 0.5) / len(column) for column in columns])


def free(names: tuple[str, ...], *columns: Floats, space: Space | None = None) -> dict[str, float]:
    return dict(zip(names, votes_of(names, ranks(*columns), space).free, strict=True))


@pytest.fixture
def drawn() -> Floats:
    return np.random.default_rng(0).normal(size=(8, N))


def test_a_signal_that_runs_against_size_loses_its_vote_and_one_that_agrees_keeps_it(drawn: Floats) -> None:
    size, other = drawn[:2]
    against = free(("macs", "jacov"), size, other - size)
    assert against["macs"] > 0.98
    along = free(("macs", "jacov"), size, other + size)
    assert along["macs"] == pytest.approx(along["jacov"])
    nothing = free(("macs", "jacov"), size, other)
    assert against["jacov"] < nothing["jacov"] < along["jacov"]


def test_where_size_does_not_vary_the_others_keep_their_votes(drawn: Floats) -> None:
    names = ("params", "macs", "jacov", "az_expressivity")
    quantiles = np.column_stack([np.full((N, 2), 0.5), ranks(*drawn[:2])])
    votes = dict(zip(names, votes_of(names, quantiles).free, strict=True))
    assert votes["params"] == votes["macs"] == 0
    assert votes["jacov"] == pytest.approx(2 * votes["az_expressivity"])


def test_of_parameters_and_macs_that_one_counts_which_the_others_agree_with(drawn: Floats) -> None:
    params, macs, noise = drawn[:3]
    names = ("params", "macs", "az_expressivity")
    for agreed, name in ((params, "params"), (macs, "macs")):
        votes = free(names, params, macs, agreed + noise)
        assert votes[name] > 0.9 * (votes["params"] + votes["macs"])
    even = free(names, params, macs, params + macs + noise)
    assert 0.25 < even["params"] / (even["params"] + even["macs"]) < 0.75


def test_where_widths_and_depths_vary_parameters_take_the_vote_of_how_images_are_told_apart(drawn: Floats) -> None:
    size, noise = drawn[:2]
    sizes = Space([Choice("width", (4, 8), ordered=True), Choice("depth", (1, 2, 3))])
    operations = Space([Choice("a", ("conv", "pool")), Choice("b", ("conv", "none"))])
    names, columns = ("params", "macs", "jacov"), (size, size + 0.3 * noise, size + noise)
    of_sizes, of_operations = (free(names, *columns, space=space) for space in (sizes, operations))
    assert of_sizes["jacov"] < 0.01 < of_operations["jacov"]
    assert of_operations["params"] + of_sizes["macs"] < of_sizes["params"] + of_operations["macs"]
    assert of_operations == free(names, *columns), "without a space"


def test_the_share_of_sizes_counts_what_is_ordered_or_numbers_and_can_vary() -> None:
    space = Space([
        Choice("width", (4, 8)), Choice("kind", ("a", "b", "c"), ordered=True), Choice("act", ("relu", "gelu")),
        Choice("flag", (False, True)), Choice("fixed", (3,)),
    ])  # fmt: skip
    assert share_of_sizes(space) == 0.5
    assert share_of_sizes(Space([Choice("fixed", (3,))])) == 0


def test_small_networks_count_as_small_and_other_units_do_not() -> None:
    counts = [smallness(np.full(9, n)) for n in (1e3, 1e4, 3e4, 1e5, 1e7, 0.4)]
    assert counts == pytest.approx([1, 1, np.log10(100 / 30), 0, 0, 0])
    assert smallness(np.array([np.nan, 1e3, 2e3])) == 1
    assert smallness(np.array([np.nan])) == smallness(np.empty(0)) == 0


def test_where_networks_are_small_parameters_say_more(drawn: Floats) -> None:
    size, noise = drawn[:2]
    names, quantiles = ("params", "macs", "jacov"), ranks(size, size + 0.3 * noise, size + noise)
    small, large = (votes_of(names, quantiles, scores=np.exp(quantiles) * n).free for n in (1e3, 1e6))
    assert small[0] > 2 * large[0]
    assert small[2] < 0.02 < large[2]


def test_signals_with_the_same_ranks_share_a_vote_and_constant_ones_have_none(drawn: Floats) -> None:
    a, b = drawn[:2]
    names = ("x", "y", "z", "constant")
    quantiles = np.column_stack([ranks(a, a**3, b), np.full(N, 0.5)])
    for votes in (votes_of(names, quantiles).free, votes_of(names, quantiles).equal):
        assert votes[3] == 0
        assert votes[0] == votes[1] == pytest.approx(votes[2] / 2)
    assert votes_of(names, quantiles).free.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", ["nwot", "my own", "zen", "Structure_3"])
def test_a_name_that_is_not_listed_has_no_more_votes_than_any_registered_one(name: str, drawn: Floats) -> None:
    size, other, own = drawn[:3]
    others = free((*DEFAULT[:1], "jacov", name), size, size + other, size + own)
    registered = [free((*DEFAULT[:1], "jacov", r), size, size + other, size + own)[r] for r in (*CORE, "zico", "swap")]
    assert others[name] <= min(registered)
    alone = free((name, "another"), own, other)
    assert alone[name] == pytest.approx(0.5), "where nothing else is used, all count the same"


def test_what_an_earlier_study_or_training_says_has_a_whole_vote_even_against_size(drawn: Floats) -> None:
    size, other = drawn[:2]
    for name in ("earlier:study", "dna++", "mathnas"):
        votes = free(("macs", name), size, other - size)
        assert votes[name] == pytest.approx(votes["macs"])


def test_votes_become_equal_with_observations(drawn: Floats) -> None:
    names = ("macs", "jacov", "mine")
    votes = votes_of(names, ranks(drawn[0], drawn[0] + drawn[1], drawn[2]))
    assert votes.after(0) == pytest.approx(votes.free)
    assert votes.after(10**7) == pytest.approx([1 / 3] * 3, abs=1e-3)
    shares = [votes.after(n)[2] for n in (0, 10, 50, 200)]
    assert shares == sorted(shares)
    half = votes.after(int(LABELS))
    assert half[2] / half[0] == pytest.approx(np.sqrt(votes.free[2] / votes.free[0]))


@given(seed=st.integers(0, 10**6), p=st.integers(1, 8), rows=st.integers(2, 30))
def test_votes_are_shares_whatever_the_signals(seed: int, p: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    names = tuple(rng.permutation(DEFAULT)[:p])
    quantiles = ranks(*rng.normal(size=(p, rows)))
    quantiles[:, rng.random(p) < 0.2] = 0.5
    votes = votes_of(names, quantiles)
    varied = quantiles.std(axis=0) > 0
    for shares in (votes.free, votes.after(int(rng.integers(1, 500)))):
        assert np.isfinite(shares).all()
        assert (shares >= 0).all()
        assert ((shares > 0) == varied).all()
        assert shares.sum() == pytest.approx(float(varied.any()))
    order = rng.permutation(p)
    again = votes_of(tuple(names[i] for i in order), quantiles[:, order])
    assert again.free == pytest.approx(votes.free[order])
