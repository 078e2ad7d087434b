"""Codes, dictionaries, neighbours, operators, problems: what every strategy relies on."""

from __future__ import annotations

import enum
import math
import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from helpers.operations import operations
from hypothesis import given, settings
from hypothesis import strategies as st

from searchkit import Choice, Space
from searchkit.errors import SpaceError
from searchkit.problem.observations import Observations
from searchkit.problem.operators import crossover, mutate
from searchkit.problem.pareto import hypervolume, non_dominated
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import complete
from searchkit.space import keys

settings.register_profile("without a deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("without a deadline")


@st.composite
def spaces(draw) -> Space:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    ordered = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    choices = [Choice(f"c{i}", range(n), ordered=o) for i, (n, o) in enumerate(zip(sizes, ordered, strict=True))]
    masked = draw(st.booleans())  # the last decision counts only where the first takes its first option
    if not masked or len(sizes) == 1:
        return Space(choices)
    last = np.arange(len(sizes)) == len(sizes) - 1
    return Space(choices, canonical=lambda codes: np.where((codes[:, :1] > 0) & last, 0, codes))


@given(spaces(), st.integers(0, 99))
def test_encode_undoes_decode(space: Space, seed: int) -> None:
    codes = space.sample(20, np.random.default_rng(seed))
    assert np.array_equal(space.encode(space.decode(codes)), codes)
    assert np.array_equal(space.check(codes), codes)


WRONG_CODES = [
    ([[-1, 0]], "candidate 0 takes option -1 of choice 'a', which has 3 \\(0 to 2\\)"),
    ([[0, 0], [0, 2]], "candidate 1 takes option 2 of choice 'b', which has 2 \\(0 to 1\\)"),
    (np.array([[2**63 + 1, 0]], dtype=np.uint64), "takes option 9223372036854775809 of choice 'a'"),
    ([0.0, 0.5], "whole option indices; got 0.5"),
    ([0.0, math.nan], "whole option indices; got nan"),
    ([0.0, -math.inf], "takes option -inf"),
    ([1], "have 2 choices; got an array of shape \\(1,\\)"),
    ([[0, 1, 0]], r"have 2 choices; got an array of shape \(1, 3\)"),
    ([], r"got an array of shape \(0,\)"),
    ([[0, 1], [0]], r"rows of 2 option indices each, not \[\[0, 1\], \[0\]\]"),
    ([True, False], "got dtype bool"),
    (["0", "1"], "got dtype <U1"),
    ([{"a": 0}, {"b": 0}], "got dtype object"),
]


@pytest.mark.parametrize(("codes", "said"), WRONG_CODES)
def test_codes_that_are_not_in_the_space_are_refused_at_every_door(codes: object, said: str) -> None:
    space = Space([Choice("a", (1, 2, 3)), Choice("b", ["x", "y"])])
    for door in (space.decode, space.check, space.check_one, space.neighbours):
        with pytest.raises(SpaceError, match=said):
            door(codes)


def test_decode_takes_whole_floats_single_rows_and_keeps_what_is_not_canonical() -> None:
    space = Space([Choice("a", (1, 2, 3)), Choice("b", (7, 8))], canonical=lambda codes: codes * [[1, 0]])
    assert space.decode([2.0, 1.0]) == space.decode(np.array([[2, 1]], dtype=np.uint8)) == [{"a": 3, "b": 8}]
    assert space.decode(np.empty((0, 2), dtype=np.int64)) == []


class Optimiser:
    """An option without an equality of its own."""

    def __init__(self, name: str) -> None:
        self.name, self.settings = name, {"lr": 1}

    def __str__(self) -> str:
        return f"Optimiser({self.name})"


class Guarded(Optimiser):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lock = threading.Lock()


class Shared(Guarded):
    def __deepcopy__(self, memo: dict) -> Shared:
        return self


CHANGEABLE = (
    [{"name": "sgd"}, {"name": "adam"}],
    [[8, 16], [16, 32]],
    [([8],), ([16],)],
    [np.zeros(2000), np.ones(2000)],
    [Optimiser("sgd"), Optimiser("adam")],
    [[np.zeros(2)], [np.ones(2)]],
)


@pytest.mark.parametrize("options", CHANGEABLE)
def test_a_candidate_has_its_own_copy_of_what_can_change_and_the_copy_is_the_option(options: list) -> None:
    space = Space([Choice("opt", options), Choice("n", (1, 2))])
    first, second = space.decode([[0, 0], [0, 1]])
    assert first["opt"] is not second["opt"]
    assert first["opt"] is not options[0]
    assert str(first["opt"]) == str(options[0])
    assert space.encode([first, second, *space.decode([1, 1])]).tolist() == [[0, 0], [0, 1], [1, 1]]


def test_what_cannot_change_is_handed_over_itself() -> None:
    fixed = (None, 1, "a", 2.5, (1, 2), math.sin, Space, math, Size.SMALL, Shared("a"))
    space = Space([Choice("c", fixed)])
    assert all(row["c"] is option for row, option in zip(space.decode([[i] for i in range(10)]), fixed, strict=True))


def test_an_array_is_another_option_where_one_number_differs() -> None:
    choice, near = Choice("c", (np.zeros(2000), np.ones(2000))), np.zeros(2000)
    near[1000] = 1
    assert choice.index(np.zeros(2000)) == 0
    for other in (near, np.zeros((3, 2000)), 0.0):
        with pytest.raises(SpaceError, match="choice 'c' has no option"):
            choice.index(other)


def test_an_option_that_cannot_be_copied_is_refused_with_what_to_do_instead() -> None:
    said = r"choice 'c' has the option Optimiser\(b\), which cannot be copied \(TypeError: .*lock.*\).* Give a string"
    with pytest.raises(SpaceError, match=said):
        Choice("c", (1, Guarded("b")))


def test_where_one_candidate_is_wanted_several_are_refused() -> None:
    space = Space([Choice("a", (1, 2, 3)), Choice("b", (7, 8))])
    assert space.check_one([[1, 1]]).tolist() == space.check_one([1, 1]).tolist() == [1, 1]
    for door in (space.check_one, space.neighbours):
        with pytest.raises(SpaceError, match="one candidate of space 'custom' is wanted, and the array has 2 rows"):
            door([[0, 0], [1, 1]])


@pytest.mark.slow
@given(spaces(), st.integers(0, 99))
def test_canonical_is_idempotent_and_enumeration_is_distinct(space: Space, seed: int) -> None:
    every = space.enumerate()
    assert np.array_equal(space.canonical(every), every)
    assert len(set(keys(every))) == len(every) <= space.size
    assert set(keys(space.sample(30, np.random.default_rng(seed)))) <= set(keys(every))


@pytest.mark.slow
@given(spaces(), st.integers(0, 99))
def test_neighbours_are_all_candidates_one_decision_away(space: Space, seed: int) -> None:
    code = space.sample(1, np.random.default_rng(seed))[0]
    found = {tuple(row) for row in space.neighbours(code).tolist()}
    expected = set()
    for j, n in enumerate(space.n_options):
        for option in range(n):
            changed = code.copy()
            changed[j] = option
            expected.add(tuple(space.canonical(changed[None])[0].tolist()))
    assert found == expected - {tuple(code.tolist())}


def test_of_many_neighbours_some_are_drawn_and_the_adjacent_options_always() -> None:
    space = Space([Choice("a", range(3000), ordered=True), Choice("b", range(3000)), Choice("c", ("x", "y"))])
    home = np.array([700, 4, 1])
    near = space.neighbours(home, 100, np.random.default_rng(0))
    assert len(near) == len(np.unique(near, axis=0)) == 100
    assert ((near != home).sum(axis=1) == 1).all()
    assert {699, 701} <= set(near[:, 0].tolist())
    assert len(np.unique(near[:, 1])) > 20
    assert space.neighbours(home, 10_000).tolist() == space.neighbours(home).tolist()
    assert len(space.neighbours(home)) == 2999 + 2999 + 1


@given(spaces(), st.integers(0, 99))
def test_operators_stay_in_the_space_and_mutation_changes_something(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = space.sample(15, rng), space.sample(15, rng)
    children = crossover(first, second, rng)
    assert ((children == first) | (children == second)).all()
    changed = mutate(first, space, rng)
    space.check(changed)
    assert (changed != first).any(axis=1).all() or (space.n_options == 1).all()


@pytest.mark.slow
@given(spaces())
def test_features_tell_all_candidates_apart(space: Space) -> None:
    features = space.features(space.enumerate())
    assert features.min() >= 0
    assert features.max() <= 1
    assert len(np.unique(features, axis=0)) == len(features)


@settings(max_examples=50)
@given(spaces(), st.integers(0, 99), st.integers(1, 8), st.integers(0, 20))
def test_complete_gives_new_allowed_candidates_while_there_are_any(space: Space, seed: int, n: int, limit: int) -> None:
    problem = Problem(space, known=lambda codes: np.maximum(0.0, codes.sum(axis=1, keepdims=True) - limit))
    rng = np.random.default_rng(seed)
    allowed = space.enumerate()
    allowed = allowed[allowed.sum(axis=1) <= limit]
    seen = set(keys(allowed[::2]))
    found = complete(problem, space.sample(n, rng), n, set(seen), rng)
    assert len(found) == min(n, len(allowed) - len(seen))
    assert len(set(keys(found))) == len(found)
    assert not seen.intersection(keys(found))
    assert problem.allowed(found).all()


def test_a_large_space_with_few_allowed_candidates_is_searched_by_steps() -> None:
    space = Space([Choice(f"c{i}", range(6)) for i in range(20)])
    problem = Problem(space, known=lambda codes: np.maximum(0.0, codes.sum(axis=1, keepdims=True) - 2.0))
    rng = np.random.default_rng(0)
    codes = complete(problem, problem.sample(5, rng), 5, set(), rng)
    assert len(codes) == 5
    assert (codes.sum(axis=1) <= 2).all()


def test_options_of_any_kind_are_recorded_by_label_and_found_again() -> None:
    choice = Choice("c", ((3, 3), (5, 5), None))
    assert choice.labels == ("(3, 3)", "(5, 5)", None)
    assert [choice.index(option) for option in ((3, 3), "(5, 5)", None)] == [0, 1, 2]
    assert Choice("c", (1, True, 1.0)).labels == ("1", "True", "1.0")
    assert Choice("c", (1, 2, 0.5)).index(np.float64(0.5)) == 2
    assert Choice("c", np.arange(3)).labels == (0, 1, 2)


def test_each_option_that_a_record_can_hold_is_recorded_as_it_is_beside_ones_that_it_cannot() -> None:
    assert Choice("c", (8, "eight", None, (1, 2), float("inf"))).labels == (8, "eight", None, "(1, 2)", "inf")
    assert Choice("c", (1, True, 2, "x")).labels == ("1", "True", 2, "x")
    arrays = Choice("c", (np.zeros(2), np.ones(2)))
    assert arrays.index(arrays.options[1]) == 1


MANY = {
    "numbers": lambda n: range(n),
    "texts": lambda n: [f"option {i}" for i in range(n)],
    "pairs": lambda n: [(i, "a") for i in range(n)],
    "equal numbers": lambda n: [*range(n // 2), *(float(i) for i in range(n // 2))],
}


@pytest.mark.parametrize("options", MANY.values(), ids=MANY)
def test_the_work_of_a_choice_grows_as_the_number_of_its_options(options: Callable) -> None:
    def made_and_used(n: int) -> None:
        space = Space([Choice("c", options(n)), Choice("d", options(n))])
        space.encode(space.decode(space.sample(n, np.random.default_rng(0))))

    assert operations(lambda: made_and_used(2000)) < 2.5 * operations(lambda: made_and_used(1000))


@pytest.mark.parametrize("options", MANY.values(), ids=MANY)
def test_every_one_of_many_options_is_found_as_itself_and_by_its_label(options: Callable) -> None:
    choice = Choice("c", options(1000))
    for named in (choice.options, choice.labels):
        assert [choice.index(option) for option in named] == list(range(1000))


def test_options_are_looked_up_by_type_and_then_as_equal_numbers() -> None:
    choice = Choice("c", (1.0, 2, "3", True, 4.0, (1, [2]), (1, 2)))
    for option, index in (
        (1, 0),
        (1.0, 0),
        (2.0, 1),
        (np.int32(2), 1),
        ("3", 2),
        (True, 3),
        (4, 4),
        (np.float32(4), 4),
    ):
        assert choice.index(option) == index
    assert [choice.index(option) for option in ((1, [2]), (1, 2), "(1, [2])", "(1, 2)")] == [5, 6, 5, 6]
    for wrong in (3, False, math.nan, (2, 1)):
        with pytest.raises(SpaceError, match="choice 'c' has no option"):
            choice.index(wrong)


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Other:
    class Size:
        pass


def test_functions_classes_and_enumerations_are_recorded_by_name() -> None:
    assert Choice("c", (math.sin, Space, partial(round, ndigits=2))).labels[:2] == ("sin", "Space")
    assert Choice("c", tuple(Size)).labels == ("Size.SMALL", "Size.LARGE")
    assert Choice("c", (Size, Other.Size)).labels == ("Size", "Other.Size")
    assert Choice("c", ("Choice", Choice)).labels == ("Choice", "searchkit.space.choice.Choice")
    assert Choice("c", (Choice, Space)).index("Space") == Choice("c", (Choice, Space)).index(Space) == 1
    with pytest.raises(SpaceError, match="lists .*<lambda> more than once.*define functions by def"):
        Choice("c", (lambda x: x, lambda x: 2 * x))


def test_an_option_that_has_no_name_but_its_address_is_refused() -> None:
    with pytest.raises(
        SpaceError, match=r"choice 'c' has an option without a name, <object object at 0x.*Give strings"
    ):
        Choice("c", (1, object()))


def test_a_space_of_many_choices_is_enumerated_in_lexicographic_order() -> None:
    one = [Choice(f"one{i}", ("only",)) for i in range(80)]
    space = Space([Choice("a", range(3)), *one, Choice("b", range(2))])
    every = space.enumerate()
    assert every[:, [0, -1]].tolist() == [[a, b] for a in range(3) for b in range(2)]
    assert not every[:, 1:-1].any()


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((12,) * 3, "1,728"), ((10,) * 30, "1.0e+30"), ((2,) * 100, "1.3e+30"), ((99,) * 400, "1.8e+798")],
)
def test_the_size_of_a_space_can_be_read(sizes: tuple[int, ...], words: str) -> None:
    space = Space([Choice(f"c{i}", range(n)) for i, n in enumerate(sizes)])
    assert repr(space) == f"Space('custom', {len(sizes)} choices, {words} candidates)"


def test_a_descent_to_what_is_allowed_looks_at_few_candidates() -> None:
    looked = []

    def known(codes: np.ndarray) -> np.ndarray:
        looked.append(len(codes))
        return np.maximum(0.0, codes.sum(axis=1, keepdims=True) - 3.0)

    space = Space([Choice(f"c{i}", range(6)) for i in range(20)])
    problem = Problem(space, known=known)
    found = problem.descend(space.sample(1, np.random.default_rng(0))[0], np.random.default_rng(1))
    assert found.sum() <= 3
    assert sum(looked) < 500  # of 100 neighbours a step, and some 30 steps
    assert np.array_equal(
        found, problem.descend(space.sample(1, np.random.default_rng(0))[0], np.random.default_rng(1))
    )


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12), st.integers(1, 3))
def test_non_dominated_is_what_the_definition_says(rows: list, k: int) -> None:
    losses = np.array(rows, dtype=float).reshape(-1, 3)[:, :k]
    expected = [not any((a <= b).all() and (a < b).any() for a in losses) for b in losses]
    assert non_dominated(losses).tolist() == expected


def test_a_failed_row_is_on_no_front_and_in_no_volume() -> None:
    losses = np.array([[1.0, 1.0], [np.nan, np.nan], [0.0, 2.0]])
    assert non_dominated(losses).tolist() == [True, False, True]
    assert hypervolume(losses, np.array([3.0, 3.0])) == pytest.approx(5.0)


def test_observations_join_and_refuse_half_a_row() -> None:
    one = Observations(np.zeros((1, 2), np.int64), np.ones((1, 2)), np.zeros((1, 1)))
    failed = Observations(np.ones((1, 2), np.int64), np.full((1, 2), np.nan), np.full((1, 1), np.nan))
    both = one + failed
    assert both.scored.tolist() == [True, False]
    assert both.failed.tolist() == [False, True]
    assert both.feasible.tolist() == [True, False]
    with pytest.raises(ValueError, match="row 0 has some finite losses and some not"):
        Observations(np.zeros((1, 2), np.int64), np.array([[1.0, np.nan]]), np.zeros((1, 1)))
