"""What is exact is compared with brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import searchkit
from searchkit import Choice, Space
from searchkit.blocks.additive import Additive, blocks_of, read_additive
from searchkit.blocks.exact import front, k_best
from searchkit.blocks.fit import fit_blocks
from searchkit.errors import SearchkitError, SpaceError
from searchkit.problem.observations import Observations
from searchkit.problem.pareto import hypervolume, non_dominated
from searchkit.problem.problem import Problem
from searchkit.strategies.exact import Exact


def random_models(rng: np.random.Generator, k: int, *, ties: bool = False) -> list[Additive]:
    sizes = rng.integers(1, 5, rng.integers(1, 6))
    draw = (lambda n: rng.integers(0, 4, n).astype(float)) if ties else rng.random
    return [read_additive([draw(n) for n in sizes], base=float(rng.integers(0, 3))) for _ in range(k)]


def everything(model: Additive) -> np.ndarray:
    return np.array(list(itertools.product(*(range(len(table)) for table in model.tables))))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("ties", [False, True])
def test_the_front_is_that_of_all_networks(k: int, ties: bool) -> None:
    for seed in range(70):
        models = random_models(np.random.default_rng([seed, k]), k, ties=ties)
        picked, values = front(models)
        all_values = np.column_stack([model(everything(models[0])) for model in models])
        best = np.unique(all_values[non_dominated(all_values)].round(9), axis=0)
        assert np.allclose(values, np.column_stack([model(picked) for model in models]))
        assert np.array_equal(np.unique(values.round(9), axis=0), best)
        assert (np.diff(values[:, 0]) >= 0).all()


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_the_k_best_are_the_first_of_all_sorted(seed: int, k: int) -> None:
    model = random_models(np.random.default_rng(seed), 1)[0]
    picked, values = k_best(model, k)
    expected = np.sort(model(everything(model)))[:k]
    assert np.allclose(values, expected)
    assert len(np.unique(picked, axis=0)) == len(expected)


def test_a_space_of_many_networks_takes_no_time() -> None:
    rng = np.random.default_rng(0)
    models = [read_additive([rng.random(10) for _ in range(20)]) for _ in range(2)]
    picked, values = front(models)
    assert non_dominated(values).all()
    assert len(picked) > 50


def test_too_many_terms_and_other_nodes_are_refused() -> None:
    one, other = read_additive([[1, 2]]), read_additive([[1, 2, 3]])
    with pytest.raises(SearchkitError, match="one to three additive terms, not 4"):
        front([one] * 4)
    with pytest.raises(SearchkitError, match="over different blocks"):
        front([one, other])


def test_blocks_are_the_nodes_that_a_space_names_or_its_choices() -> None:
    space = Space([Choice("a", range(3)), Choice("b", range(2))])
    blocks = blocks_of(space)
    assert blocks.sizes == (3, 2)
    macro = searchkit.load_space("macro")
    assert blocks_of(macro).sizes == (9, 21, 21)  # a stage's identities are interchangeable
    for given_space in (space, macro):
        blocks = blocks_of(given_space)
        codes = given_space.sample(20, np.random.default_rng(0))
        assert np.array_equal(blocks.codes(blocks.choose(codes)), codes)


def test_a_node_of_several_choices_has_all_their_combinations() -> None:
    space = searchkit.NetworkSpace(
        [Choice("kernel", (3, 5, 7)), Choice("width", (8, 16)), Choice("head", (1, 2))],
        lambda choices, input_shape, n_classes: None,
        nodes=lambda space: (searchkit.Node("block", ("kernel", "width"), (1, 8, 8), (8, 8, 8)),),
    )
    blocks = blocks_of(space)
    assert blocks.names == ("block", "head")
    assert blocks.sizes == (6, 2)
    codes = space.sample(20, np.random.default_rng(0))
    assert np.array_equal(blocks.codes(blocks.choose(codes)), codes)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ([[1, np.nan]], "table 0 holds 1 values that are NaN or infinite"),
        ([[[1, 2]]], r"table 0 has shape \(1, 2\)"),
        ([[1, 2], []], r"table 1 has shape \(0,\)"),
    ],
)
def test_tables_that_are_none_are_refused(tables, words) -> None:
    with pytest.raises(SpaceError, match=words):
        read_additive(tables)


def test_tables_of_another_space_are_refused() -> None:
    blocks = blocks_of(Space([Choice("a", range(3)), Choice("b", range(2))]))
    with pytest.raises(SpaceError, match=r"the tables have \(2, 2\) values, but the blocks \(3, 2\) alternatives"):
        read_additive([[1, 2], [1, 2]], blocks=blocks)


def test_block_values_are_found_again_from_a_few_networks() -> None:
    space = Space([Choice(f"c{i}", range(4)) for i in range(6)])
    blocks = blocks_of(space)
    rng = np.random.default_rng(0)
    truth = read_additive([rng.normal(size=4) for _ in range(6)], base=3.0)
    codes = space.enumerate()
    values = truth(blocks.choose(codes))
    known = rng.permutation(len(codes))[:60]
    fitted = fit_blocks(blocks, codes[known], values[known])
    assert not fitted.on_ranks
    assert np.abs(fitted.model(blocks.choose(codes)) - values).max() < 0.05
    assert fitted.std(blocks.choose(codes)).max() < 0.1


def test_a_bent_scale_is_fitted_on_ranks() -> None:
    space = Space([Choice(f"c{i}", range(4)) for i in range(6)])
    blocks = blocks_of(space)
    rng = np.random.default_rng(1)
    truth = read_additive([rng.normal(size=4) for _ in range(6)])
    codes = space.enumerate()
    values = np.exp(2 * truth(blocks.choose(codes)))
    known = rng.permutation(len(codes))[:60]
    fitted = fit_blocks(blocks, codes[known], values[known])
    assert fitted.on_ranks
    assert spearmanr(fitted.model(blocks.choose(codes)), values)[0] > 0.97


@pytest.mark.slow
def test_the_strategy_finds_the_whole_front_of_an_additive_problem_of_many_networks() -> None:
    rng = np.random.default_rng(0)
    loss, cost = (read_additive([rng.random(6) for _ in range(15)]) for _ in range(2))
    space = Space([Choice(f"c{i}", range(6)) for i in range(15)])

    def evaluate(choices: dict) -> dict:
        picked = np.array([list(choices.values())])
        return {"loss": float(loss(picked)[0]), "cost": float(cost(picked)[0])}

    given = {"space": space, "evaluate": evaluate, "objectives": {"loss": "min", "cost": "min"}, "storage": "memory"}
    _, best = front([loss, cost])
    reference = best.max(axis=0) + 0.1
    exact, other = (
        hypervolume(searchkit.run(name, budget=200, **given).front[["loss", "cost"]].to_numpy(), reference)
        for name in ("exact", "nsga2")
    )
    assert exact > 0.97 * hypervolume(best, reference)
    assert exact > other


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_the_strategy_reaches_into_a_bound_that_no_random_candidate_keeps(known: bool) -> None:
    rng = np.random.default_rng(0)
    loss, cost = (read_additive([rng.random(6) for _ in range(15)]) for _ in range(2))
    space = Space([Choice(f"c{i}", range(6)) for i in range(15)])
    least = sum(float(table.min()) for table in cost.tables)
    bound = least + 0.15 * (float(cost(space.sample(2000, rng)).mean()) - least)
    assert cost(space.sample(20_000, rng)).min() > bound

    def over(codes: np.ndarray) -> np.ndarray:
        return np.maximum(0.0, cost(codes) - bound)[:, None]

    problem = Problem(space, 1, 1, budget=100, known=over if known else None)
    strategy = Exact(problem)
    feasible: list[float] = []
    for step in range(20):
        codes = strategy.ask(5, np.random.default_rng(step), np.empty((0, 15), dtype=np.int64))
        strategy.tell(Observations(codes, loss(codes)[:, None], over(codes)))
        feasible += loss(codes)[over(codes)[:, 0] == 0].tolist()
    _, values = front([loss, cost])
    best = values[values[:, 1] <= bound, 0].min()
    assert min(feasible) < best + 0.1 * (loss(space.sample(2000, rng)).mean() - best)


@pytest.mark.slow
def test_three_objectives_take_the_strategy_no_exact_front_of_three_terms() -> None:
    rng = np.random.default_rng(0)
    terms = [read_additive([rng.random(30) for _ in range(15)]) for _ in range(3)]
    space = Space([Choice(f"c{i}", range(30)) for i in range(15)])
    strategy = Exact(Problem(space, 3, budget=80))
    losses = np.empty((0, 3))
    for step in range(10):
        codes = strategy.ask(8, np.random.default_rng(step), np.empty((0, 15), dtype=np.int64))
        told = np.column_stack([term(codes) for term in terms])
        strategy.tell(Observations(codes, told, np.empty((8, 0))))
        losses = np.concatenate([losses, told])
    reference = losses.max(axis=0)
    random = np.column_stack([term(space.sample(80, rng)) for term in terms])
    assert hypervolume(losses, reference) > 1.3 * hypervolume(random[(random < reference).all(axis=1)], reference)
