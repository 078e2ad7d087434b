"""The best network under limits is compared with brute force, and with the exact front where there are too many."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from helpers.marks import thorough_if

import searchkit.blocks.solve as module
from searchkit.blocks.additive import Additive, read_additive
from searchkit.blocks.exact import front, k_best
from searchkit.blocks.solve import Limit, Solution, solve
from searchkit.errors import ConstraintError, SearchkitError


@dataclass
class Instance:
    """Few enough networks to list: ``all`` are their alternatives, and ``within`` says which meet the limits."""

    terms: list[Additive]
    limits: list[Limit]
    all: np.ndarray
    over: Additive | None

    @property
    def values(self) -> np.ndarray:
        values = self.terms[0](self.all)
        return values if self.over is None else values / self.over(self.all)

    def within(self, limits: list[Limit] | None = None) -> np.ndarray:
        ok = np.ones(len(self.all), dtype=bool)
        for limit in self.limits if limits is None else limits:
            values = limit.model(self.all)
            tolerance = 1e-9 * np.ptp(values) + 1e-12 * np.abs(values).max()
            ok &= values >= (-np.inf if limit.low is None else limit.low) - tolerance
            ok &= values <= (np.inf if limit.high is None else limit.high) + tolerance
        return ok

    def solve(self, **options) -> Solution:
        return solve(self.terms[0], self.limits, over=self.over, **options)


def instance(seed: int, *, ties: bool, ratio: bool = False, one_sided: bool = False) -> Instance:
    """Terms in units from 1e-7 to 1e7, and one to three limits at values that networks have, or between them."""
    rng = np.random.default_rng([seed, ties, ratio])
    sizes = rng.integers(1, 6, rng.integers(2, 6))
    units = 10.0 ** rng.integers(-7, 8, 4)
    draw = (lambda n: rng.integers(0, 4, n).astype(float)) if ties else rng.random
    terms = [read_additive([u * draw(n) for n in sizes], base=float(u * rng.integers(-2, 3))) for u in units]
    networks = np.array(list(itertools.product(*map(range, sizes))))
    limits = []
    for i in range(rng.integers(1, 4)):
        values = terms[i + 1](networks)
        low, high = np.sort(rng.choice(values, 2) if rng.random() < 0.5 else rng.uniform(values.min(), values.max(), 2))
        kind = rng.integers(0, 2 if one_sided else 3)
        limits.append(Limit(f"t{i}", terms[i + 1], None if kind == 0 else low, None if kind == 1 else high))
    over = read_additive([rng.random(n) + 0.1 for n in sizes]) if ratio else None
    return Instance(terms, limits, networks, over)


def large(n_blocks: int, n_options: int, seed: int = 0) -> tuple[Additive, list[Additive]]:
    """What costs more loses less: as in real spaces, and harder."""
    rng = np.random.default_rng(seed)
    common, *own = rng.random((5, n_blocks, n_options))
    return read_additive(1 - 0.8 * common + 0.2 * own[0]), [read_additive(0.6 * common + 0.4 * x) for x in own[1:]]


def middling(costs: list[Additive], seed: int = 0) -> list[Limit]:
    rng = np.random.default_rng(seed)
    picked = np.column_stack([rng.integers(0, len(table), 2000) for table in costs[0].tables])
    ends = [np.quantile(cost(picked), (0.4, 0.6)) for cost in costs]
    return [Limit(f"c{i}", cost, *map(float, end)) for i, (cost, end) in enumerate(zip(costs, ends, strict=True))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ties", "ratio", "core"),  # core 0: most alternatives are left out at first
    thorough_if(
        lambda ties, ratio, core: (ties, ratio, core) not in ((True, True, 0), (False, False, module.CORE)),
        itertools.product((False, True), (False, True), (module.CORE, 0)),
    ),
)
def test_the_solution_is_the_best_of_all_networks_within_the_limits(monkeypatch, ties, ratio, core) -> None:
    monkeypatch.setattr(module, "CORE", core)
    statuses = []
    for seed in range(60):
        given = instance(seed, ties=ties, ratio=ratio)
        found, within = given.solve(), given.within()
        statuses.append(found.status)
        if not within.any():
            assert found.status == "infeasible", seed
            continue
        best = given.values[within].min()
        assert found.status == "optimal", seed
        assert found.value == pytest.approx(best, rel=1e-9, abs=1e-8 * np.ptp(given.values)), seed
        assert found.bound == found.value
        assert found.gap == 0
        at = (given.all == found.picked).all(axis=1)
        assert within[at].all(), seed
        assert found.value == pytest.approx(given.values[at][0])
    assert statuses.count("optimal") >= 40
    assert statuses.count("infeasible") >= 2


@pytest.mark.slow
def test_limits_that_cannot_be_met_together_are_named_and_none_too_many() -> None:
    sizes = []
    for seed in range(600):
        given = instance(seed, ties=seed % 2 == 0, one_sided=True)
        if given.within().any():
            continue
        found = given.solve()
        named = [limit for limit in given.limits if limit.name in found.binding]
        sizes.append(len(named))
        assert found.status == "infeasible"
        assert found.picked is None
        assert math.isnan(found.value)
        assert found.bound == math.inf
        assert not given.within(named).any()
        for limit in named:
            assert given.within([other for other in named if other is not limit]).any(), seed
        *others, last = named
        possible = last.model(given.all)[given.within(others)]
        nearest = possible.min() if last.high is not None else possible.max()
        assert float(found.reason.split(" is ")[-1]) == pytest.approx(nearest, rel=1e-9, abs=1e-9 * np.ptp(possible))
        assert all(
            f"'{limit.name}' at {'most' if limit.high is not None else 'least'}" in found.reason for limit in named
        )
    assert sizes.count(2) >= 10
    assert sizes.count(3) >= 2


@pytest.mark.slow
def test_two_sided_limits_in_conflict_are_irreducible_too() -> None:
    conflicts = 0
    for seed in range(300):
        given = instance(seed, ties=True)
        if given.within().any():
            continue
        found = given.solve()
        named = [limit for limit in given.limits if limit.name in found.binding]
        assert not given.within(named).any()
        assert all(given.within([other for other in named if other is not limit]).any() for limit in named)
        conflicts += 1
    assert conflicts >= 10


LATENCY = read_additive([[1, 2, 4], [2.1, 3, 5]])
MACS = read_additive([[1e5, 3e5, 6e5], [1e5, 2e5, 6e5]])


@pytest.mark.parametrize(
    ("limits", "names", "reason"),
    [
        (
            [Limit("latency_ms", LATENCY, high=3), Limit("macs", MACS, low=1e6)],
            ("latency_ms",),
            "limit 'latency_ms' at most 3 cannot be met: the least possible is 3.1",
        ),
        (
            [Limit("macs", MACS, 2e6)],
            ("macs",),
            "limit 'macs' at least 2000000 cannot be met: the most possible is 1200000",
        ),
        (
            [Limit("macs", MACS, low=1e6), Limit("latency_ms", LATENCY, high=5)],
            ("macs", "latency_ms"),
            "limits 'macs' at least 1000000 and 'latency_ms' at most 5 cannot be met together: "
            "with the other kept, the least latency_ms is 9",
        ),
        (
            [Limit("macs", MACS, 1e6, 1.3e6), Limit("latency_ms", LATENCY, 2, 5)],
            ("macs", "latency_ms"),
            "limits 'macs' at least 1000000 and 'latency_ms' at most 5 cannot be met together: "
            "with the other kept, the least latency_ms is 9",
        ),
        (
            [Limit("latency_ms", LATENCY, 4.2, 4.9)],
            ("latency_ms",),
            "limits 'latency_ms' at least 4.2 and 'latency_ms' at most 4.9 cannot be met together: "
            "with the other kept, the least latency_ms is 5",
        ),
    ],
)
def test_what_cannot_be_met_is_said_with_what_can(limits, names, reason) -> None:
    found = solve(LATENCY, limits)
    assert (found.status, found.binding, found.reason) == ("infeasible", names, reason)


def test_the_limit_that_the_best_network_is_near_is_named() -> None:
    limits = [Limit("latency_ms", LATENCY, low=4.1), Limit("macs", MACS, high=1.1e6)]
    found = solve(LATENCY, limits)
    assert (found.status, found.binding) == ("optimal", ("latency_ms",))
    assert found.value == pytest.approx(4.1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_under_a_budget_the_solution_is_that_of_the_exact_front(seed: int) -> None:
    loss, (cost, *_) = large(20, 10, seed)  # 1e20 networks
    _, values = front([loss, cost])
    costs = values[np.linspace(1, len(values) - 2, 6).astype(int), 1]
    for budget in (costs + np.array([[-1e-7, 0, 1e-7, 0.1]]).T).ravel():  # nearly, just or hardly more than enough
        best = values[values[:, 1] <= budget, 0].min()
        found = solve(loss, [Limit("cost", cost, high=float(budget))])
        assert found.status == "optimal"
        assert found.value == pytest.approx(best, abs=1e-7)


@pytest.mark.slow
def test_a_ratio_of_many_networks_has_no_better_one_by_its_own_certificate() -> None:
    loss, costs = large(20, 10)
    limits = middling(costs)
    found = solve(loss, limits, over=costs[0])
    left = solve(loss.mixed([costs[0]], np.array([1.0, -found.value])), limits)
    assert found.status == left.status == "optimal"
    assert left.value == pytest.approx(0, abs=1e-7)


def test_networks_forbidden_one_by_one_are_the_best_in_order() -> None:
    model = instance(3, ties=True).terms[0]
    _, values = k_best(model, 6)
    known = np.empty((0, len(model.tables)), dtype=np.int64)
    for value in values:
        found = solve(model, forbidden=known)
        assert found.value == pytest.approx(value)
        known = np.vstack([known, found.picked])
    assert len(np.unique(known, axis=0)) == len(values)


def test_what_only_forbidden_networks_meet_is_said() -> None:
    first = np.array([[0, 0]])
    found = solve(MACS, [Limit("latency_ms", LATENCY, high=3.5)], forbidden=first)
    assert (found.status, found.binding) == ("infeasible", ("latency_ms",))
    assert found.reason == (
        "limit 'latency_ms' at most 3.5 cannot be met by a network that is not one of the 1 forbidden: "
        "the least latency_ms is 4"
    )
    everything = np.array(list(itertools.product(range(3), range(3))))
    assert solve(MACS, forbidden=everything).reason == "all networks are forbidden"


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [False, True])
def test_a_bound_holds_however_short_the_time(ratio: bool) -> None:
    loss, costs = large(15, 15)
    limits, over = middling(costs), costs[0] if ratio else None
    best = solve(loss, limits, over=over)
    assert best.status == "optimal"
    seen = []
    for seconds in (1e-9, 0.01, 0.03, 0.1, 0.2, 0.4):
        found = solve(loss, limits, over=over, seconds=seconds)
        seen.append(found.status)
        assert found.status in ("gap", "optimal")
        assert math.isfinite(found.bound)
        assert found.bound <= best.value + 1e-7
        if found.picked is None:
            assert math.isnan(found.value)
            assert f"in {seconds} s no network within the limits was found" in found.reason
        else:
            assert found.value >= best.value - 1e-7
            assert (found.gap > 0) == (found.status == "gap")
    assert seen[0] == "gap"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "ratio"),
    thorough_if(
        lambda base, ratio: base == -30.0 and ratio,
        itertools.product((-30.0, -5.0, 0.0, 100.0), (False, True)),  # -5: values are near 0
    ),
)
def test_a_gap_that_is_asked_for_is_kept(ratio: bool, base: float) -> None:
    loss, costs = large(10, 8)
    loss = Additive(base, loss.tables)
    limits, over = middling(costs), costs[0] if ratio else None
    best = solve(loss, limits, over=over)
    for gap in (0.001, 0.01, 0.2):
        found = solve(loss, limits, over=over, gap=gap)
        assert found.gap <= gap
        assert found.bound <= best.value + 1e-7 <= found.value + 2e-7
        assert found.gap == pytest.approx((found.value - found.bound) / abs(found.value))


def test_a_large_base_does_not_hide_the_terms() -> None:
    given = instance(5, ties=False)
    moved = [Additive(1e10 * np.ptp(term(given.all)), term.tables) for term in given.terms]
    values = moved[1](given.all)
    limit = Limit("t", moved[1], high=float(np.median(values)))
    found = solve(moved[0], [limit])
    expected = moved[0](given.all)[values <= np.median(values)].min()
    assert found.value == pytest.approx(expected, abs=1e-5 * np.ptp(moved[0](given.all)), rel=0)


def test_blocks_of_one_alternative_and_constant_terms_are_no_trouble() -> None:
    constant = read_additive([[1.0], [2.0, 2.0]], base=0.5)
    found = solve(constant, [Limit("same", constant, 3.5, 3.5)], over=constant)
    assert (found.status, found.value, found.binding) == ("optimal", 1.0, ("same",))
    assert solve(constant, [Limit("same", constant, low=4)]).reason.endswith("the most possible is 3.5")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, "limit 'x' has no bound; give low, high or both"),
        ({"low": 2, "high": 1}, "limit 'x' has low 2 above high 1"),
        ({"low": math.nan}, "limit 'x' has the bound nan; a bound is a finite number or None"),
        ({"high": "5 ms"}, "limit 'x' has the bound '5 ms'"),
    ],
)
def test_bounds_that_are_none_are_refused(bounds, words) -> None:
    with pytest.raises(ConstraintError, match=words):
        Limit("x", LATENCY, **bounds)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gap": math.nan}, "gap is nan; it is a number from 0"),
        ({"gap": -1}, "gap is -1; it is a number from 0"),
        ({"seconds": math.nan}, "seconds is nan; it is a number above 0"),
        ({"seconds": 0}, "seconds is 0; it is a number above 0"),
        ({"objective": Additive(0.0, ())}, r"the objective has blocks of \[\] alternatives; at least one block"),
        ({"objective": read_additive([[1, 2]])}, r"limit 'macs' is over blocks of \[3, 3\] .* objective over .* \[2\]"),
        ({"objective": Additive(0.0, (np.array([1, np.nan, 2]), np.ones(3)))}, "the objective has values that are NaN"),
        ({"over": read_additive([[1, 2, 3]])}, r"the divisor is over blocks of \[3\]"),
        ({"over": read_additive([[1, 2, 3], [-2, 0, 0]])}, "has to be positive for every network; the least is -1"),
        ({"limits": [Limit("macs", MACS, 1), Limit("macs", MACS, 2)]}, "two limits are called 'macs'"),
        ({"forbidden": np.zeros((2, 3), dtype=int)}, r"forbidden is int64 \(2, 3\); it is integers \(k, 2\)"),
        ({"forbidden": np.zeros((1, 2))}, r"forbidden is float64 \(1, 2\)"),
        ({"forbidden": np.array([[0, 3]])}, r"an alternative that a block does not have; the blocks have \(3, 3\)"),
    ],
)
def test_what_cannot_be_solved_is_refused(given, words) -> None:
    with pytest.raises(SearchkitError, match=words):
        solve(**{"objective": LATENCY, "limits": [Limit("macs", MACS, low=5e5)], **given})
