"""A trained network made to fit bounds, from end to end."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import searchkit
from searchkit.blocks.additive import blocks_of
from searchkit.compression import learned
from searchkit.compression.assembly import additive, choose
from searchkit.compression.learning import LearningSetting
from searchkit.data.loading import load_data
from searchkit.errors import SearchkitError, StudyMismatchError
from searchkit.space import NetworkSpace
from searchkit.training.train import train

DATA = load_data("digits")
QUICK: dict[str, Any] = {"learning": LearningSetting(passes=0.5, least=60), "epochs": 1, "progress": False}
LAST: dict[str, Any] = QUICK | {"nodes": ["blocks.2"]}  # half of the parameters, and a third of the lessons


class Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class Network(nn.Module):
    """Takes raw pictures of digits, from 0 to 16."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.Sequential(Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 2 * width, 1))
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(functional.relu(self.stem(x / 8 - 1))).mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    from dataclasses import replace

    torch.manual_seed(0)
    network = Network()
    recipe = searchkit.Recipe(epochs=12, batch_size=64, lr=0.05)
    train(network, replace(DATA, mean=(0.0,), std=(1.0,)), recipe=recipe, device="cpu")
    return network.eval()


@pytest.fixture(scope="module")
def small(trained: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> searchkit.Compressed:
    folder = tmp_path_factory.mktemp("compressed")
    return searchkit.compress(
        trained, DATA, constraints={"params": "40%", "macs": "70%"}, networks=2, storage=folder, name="small", **QUICK
    )


def accuracy(network: nn.Module) -> float:
    with torch.no_grad():
        return float((network(DATA.test.x.float()).argmax(1) == DATA.test.y).float().mean())


@pytest.mark.slow
def test_it_is_smaller_and_nearly_as_good(trained: nn.Module, small: searchkit.Compressed) -> None:
    own = sum(parameter.numel() for parameter in trained.parameters())
    network = small.build(0)
    assert sum(parameter.numel() for parameter in network.parameters()) <= 0.4 * own
    assert small.original["params"] == own
    assert len(small.delivered) >= 1
    assert (small.delivered.params <= 0.4 * own).all()
    assert (small.delivered.macs <= 0.7 * small.original["macs"]).all()
    assert accuracy(network) == pytest.approx(small.front.test_accuracy[0])
    assert accuracy(network) > accuracy(trained) - 0.05
    assert small.front.accuracy_before.notna().all()


@pytest.mark.slow
def test_the_network_that_was_given_is_measured_and_is_as_it_was(
    trained: nn.Module, small: searchkit.Compressed
) -> None:
    first = small.history.iloc[0]
    assert set(first[[node.name for node in small.network_space.nodes]]) == {"original"}
    with torch.no_grad():
        right = (trained(DATA.val.x.float()).argmax(1) == DATA.val.y).float().mean()
    assert first.accuracy == first.accuracy_before == pytest.approx(float(right))
    other = small.network_space.build(np.zeros(small.space.n_choices, dtype=np.int64))
    assert all(
        torch.equal(a, b) for a, b in zip(trained.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_what_is_chosen_is_the_best_sum_of_all(small: searchkit.Compressed) -> None:
    """By brute force over all combinations."""
    space = small.network_space
    quality = additive(space, small.library.errors)
    blocks = blocks_of(space)
    picked = np.array(np.meshgrid(*(range(n) for n in blocks.sizes))).reshape(len(blocks.sizes), -1).T
    inside = np.all([cost.total(space)(picked) <= cost.asked for cost in small.costs], axis=0)
    chosen = choose(space, quality, small.costs).picked
    assert chosen is not None
    assert quality(chosen[None])[0] == pytest.approx(quality(picked[inside]).min())
    tried = blocks.choose(np.array([trial.code for trial in small.trials]))
    assert (tried == chosen).all(axis=1).any()


def test_costs_are_the_sums(small: searchkit.Compressed) -> None:
    codes = np.array([trial.code for trial in small.trials])
    picked = blocks_of(small.space).choose(codes)
    for cost in small.costs:
        assert cost.total(small.network_space)(picked) == pytest.approx(small.history[cost.name].to_numpy())


@pytest.mark.slow
def test_export_report_and_loading(small: searchkit.Compressed, tmp_path: Path) -> None:
    assert len(small.export(0, tmp_path / "small")) == 3
    assert small.report(tmp_path / "small.html").stat().st_size > 1000
    loaded = searchkit.load("small", small.folder.parent if small.folder else tmp_path)
    assert sorted(loaded.history.params) == sorted(small.history.params)


@pytest.mark.slow
def test_the_same_call_again_does_nothing_and_other_bounds_learn_nothing(
    trained: nn.Module, small: searchkit.Compressed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learns(*_: object) -> None:
        raise AssertionError("it learns again")

    assert small.folder is not None
    monkeypatch.setattr(learned.Lessons, "learn", learns)
    again = searchkit.compress(
        trained, DATA, constraints={"params": "40%", "macs": "70%"}, networks=2, storage=small.folder.parent,
        name="small", **QUICK,
    )  # fmt: skip
    assert again.history.equals(small.history)
    other = searchkit.compress(
        trained,
        DATA,
        constraints={"params": "40%", "macs": "60%"},
        storage=small.folder.parent,
        **QUICK | {"epochs": 0},
    )
    assert (other.delivered.macs <= 0.6 * other.original["macs"]).all()
    assert (other.history.accuracy == other.history.accuracy_before).all()


@pytest.mark.thorough
def test_a_bound_on_latency_holds_for_whole_networks(trained: nn.Module) -> None:
    from searchkit.costs.together import latencies_together

    result = searchkit.compress(trained, DATA, constraints={"latency_ms": "70%"}, storage="memory", **QUICK)
    assert len(result.delivered)
    network = result.network_space.build(result.trials[int(result.front.trial[0])].code)
    own, found = latencies_together([trained, network], (1, 8, 8), 0.5)
    assert found <= 0.75 * own


@pytest.mark.thorough
def test_a_bound_on_the_size_of_the_file_holds_for_the_file(trained: nn.Module, tmp_path: Path) -> None:
    given = LAST | {"epochs": 0, "networks": 1}
    result = searchkit.compress(trained, DATA, constraints={"file_bytes": "60%"}, storage=tmp_path / "runs", **given)
    written, *_ = result.export(0, tmp_path / "small")
    assert written.stat().st_size == result.delivered.file_bytes[0]
    assert written.stat().st_size <= 0.6 * result.original["file_bytes"]
    assert result.delivered.file_bytes[0] > 0.3 * result.original["file_bytes"]  # near what is allowed


@pytest.mark.thorough
def test_measured_bounds_are_measured_once(
    trained: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from searchkit.costs.together import latencies_together

    given: dict[str, Any] = {"constraints": {"latency_ms": "90%"}, "storage": tmp_path} | LAST
    monkeypatch.setattr(
        "searchkit.compression.bounds.latencies_together",
        lambda networks, shape, seconds: latencies_together(networks, shape, seconds / 10),
    )
    first = searchkit.compress(trained, DATA, **given)

    def measures(*_: object) -> None:
        raise AssertionError("it measures again")

    monkeypatch.setattr("searchkit.compression.bounds.latencies_together", measures)
    again = searchkit.compress(trained, DATA, **given)
    assert again.name == first.name
    assert again.history.equals(first.history)
    assert "another strategy" not in caplog.text


@pytest.mark.slow
def test_a_fine_tuning_that_makes_it_worse_does_not_count(trained: nn.Module) -> None:
    result = searchkit.compress(
        trained, DATA, constraints={"params": "70%"}, storage="memory", recipe={"lr": 1.0}, **LAST
    )
    made = result.history.iloc[1]
    assert made.accuracy >= made.accuracy_before
    assert accuracy(result.build(0)) == pytest.approx(result.front.test_accuracy[0])
    assert accuracy(result.build(0)) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["new", "new/study.journal", "sqlite:///{}/new.db", None])
def test_a_name_in_a_storage_that_is_not_there_yet(
    trained: nn.Module, storage: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = None if storage is None else storage.format(tmp_path) if "{}" in storage else tmp_path / storage
    given = LAST | {"constraints": {"params": "60%"}, "epochs": 0, "learning": LearningSetting(passes=0.1, least=5)}
    result = searchkit.compress(trained, DATA, storage=place, name="first", **given)
    assert result.name == "first"
    assert len(result.delivered)


@pytest.mark.thorough
def test_others_within_the_bounds(
    trained: nn.Module, small: searchkit.Compressed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchkit.compressing.comparisons.SCRATCH_EPOCHS", 2)
    assert small.folder is not None
    assert small.comparisons.empty
    given = QUICK | {"constraints": {"params": "40%", "macs": "70%"}, "storage": small.folder.parent}
    result = searchkit.compress(trained, DATA, baselines=True, **given)
    others = result.comparisons
    assert list(others.network[:2]) == ["chosen", "random blocks"]
    assert others.network.iloc[-1] == "from scratch, 2 epochs"
    assert (others.params <= result.bounds["params"]).all()
    assert (others.macs <= result.bounds["macs"]).all()
    assert others.test_accuracy.notna().all()
    assert result.rank_correlation is not None
    assert result.rank_correlation > 0.5
    assert "Others within the bounds" in result.report(tmp_path / "report.html").read_text()
    monkeypatch.setattr("searchkit.compressing.comparisons.course", lambda *_, **__: pytest.fail("it trains again"))
    assert searchkit.compress(trained, DATA, baselines=True, **given).comparisons.equals(others)
    kept = pickle.loads(pickle.dumps(result))
    assert kept.comparisons.equals(others)
    with pytest.raises(SearchkitError, match="a copy without data"):
        kept.compare()


@pytest.mark.slow
def test_a_time_of_fine_tuning(trained: nn.Module) -> None:
    result = searchkit.compress(
        trained, DATA, constraints={"params": "60%"}, storage="memory", **LAST | {"epochs": None, "seconds": 0.5}
    )
    assert result.front.accuracy[0] > 0.8
    assert result.history.accuracy[0] == result.history.accuracy_before[0]


@pytest.mark.slow
def test_pictures_without_labels(trained: nn.Module) -> None:
    pictures = DATA.train.x[:200].float()
    result = searchkit.compress(
        trained, pictures, constraints={"params": "60%"}, storage="memory", **LAST | {"epochs": 0}
    )
    assert result.original["accuracy"] == 1.0
    with torch.no_grad():
        same = (result.build(0)(DATA.test.x.float()).argmax(1) == trained(DATA.test.x.float()).argmax(1)).float()
    assert same.mean() > 0.8


@pytest.mark.slow
def test_labels_that_are_numbers_of_outputs_need_not_all_be_there(trained: nn.Module) -> None:
    keep = DATA.train.y < 4
    x, y = DATA.train.x[keep].numpy(), DATA.train.y[keep].numpy()
    result = searchkit.compress(
        trained, (x, y), constraints={"params": "60%"}, storage="memory", **LAST | {"epochs": 0}
    )
    assert result.classes == list(range(10))
    assert result.original["accuracy"] > 0.9


def scripted(network: nn.Module) -> nn.Module:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))


def traced(network: nn.Module) -> nn.Module:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        return torch.jit.trace(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), torch.zeros(2, 1, 8, 8))


class TwoOutputs(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(x), x


class Random(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x + 5 * torch.rand_like(x))


class Whole(nn.Module):
    """Has no modules."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


FITS: dict[str, Any] = {"constraints": {"params": "50%"}}


@pytest.mark.parametrize(
    ("change", "given", "said"),
    [
        ({}, {"constraints": {}}, "constraints is a mapping of upper bounds"),
        ({}, {"constraints": {"latency": "50%"}}, "Did you mean 'latency_ms'"),
        ({}, {"constraints": {"params": "half"}}, "the bound on params is a number above 0"),
        ({}, {"constraints": {"params": -3}}, "the bound on params is a number above 0"),
        ({}, {"constraints": {"params": (10, 20)}}, r"\(None, number\)"),
        ({}, {"constraints": {"params": "200%"}}, "the network meets the bounds as it is"),
        ({}, {"constraints": {"params": 10}}, "has params of at most 10: the least is"),
        ({"model": 3}, FITS, "model is a torch.nn.Module, not an int"),
        ({"wrap": TwoOutputs}, FITS, "tuple"),
        ({"wrap": Random}, FITS, "other outputs on each call"),
        ({"model": Whole()}, FITS, "no block that can be cut"),
        ({"data": DATA.train.x[:3].float()}, FITS, "there are 3 pictures without labels; 16 are"),
        ({"data": torch.zeros(40, 3, 8, 8)}, FITS, "channels"),
        (
            {"data": (DATA.train.x.numpy(), np.arange(len(DATA.train)) % 12)},
            FITS,
            "the network gives 10 scores, and data .* have the 12 classes 0, 1",
        ),
        ({}, {"epochs": -1} | FITS, "epochs is a whole number of at least 0, not -1"),
        ({}, {"epochs": None, "seconds": 0} | FITS, "seconds must be a number of seconds above 0, not 0"),
        ({}, {"epochs": 2, "seconds": 5} | FITS, "epochs and seconds both say how long"),
        ({}, {"networks": 0} | FITS, "networks is a whole number of at least 1, not 0"),
        ({}, {"recipe": {"lrr": 3}} | FITS, "a recipe has no setting 'lrr'"),
        ({}, {"storage": "study.sqlite"} | FITS, "write 'sqlite:///study.sqlite'"),
        ({}, {"storage": 3} | FITS, "storage 3 is not known"),
        ({}, {"device": "gpu"} | FITS, "gpu"),
        ({}, {"executor": "nowhere"} | FITS, "nowhere"),
        ({}, {"nodes": ["block.1"]} | FITS, "Did you mean 'blocks.1'"),
        ({}, {"learning_seconds": "a"} | FITS, "learning_seconds must be a number of seconds above 0, not 'a'"),
        ({}, {"learning_seconds": -1} | FITS, "learning_seconds must be a number of seconds above 0, not -1"),
        ({}, {"learning": {"passes": 1}} | FITS, "learning is a LearningSetting"),
        ({}, {"seed": -1} | FITS, "seed"),
        ({}, {"seed": "a"} | FITS, "seed"),
        ({}, {"progress": "a"} | FITS, "progress must be True, False, None or \"table\", not 'a'"),
        ({}, {"storage": "/proc/nope"} | FITS, "storage '/proc/nope' cannot be opened"),
        ({"data": None}, FITS, "data are None"),
        ({"wrap": scripted}, FITS, "TorchScript"),
        ({"wrap": traced}, FITS, "TorchScript"),
    ],
)
def test_bad_input(
    trained: nn.Module,
    change: dict[str, Any],
    given: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = change.get("model", change["wrap"](trained) if "wrap" in change else trained)
    monkeypatch.setattr("searchkit.compressing.call.learn", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(SearchkitError, match=said):
        searchkit.compress(model, change.get("data", DATA), **{"storage": tmp_path} | QUICK | given)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [lambda network: torch.compile(network, backend="eager"), nn.DataParallel])
def test_a_compiled_network_is_taken_as_it_was_before(trained: nn.Module, wrap: Callable[[Any], Any]) -> None:
    plain = NetworkSpace.from_model(trained, DATA.train.x[:32].float())
    wrapped = NetworkSpace.from_model(wrap(trained), DATA.train.x[:32].float())
    assert wrapped.describe() == plain.describe()


def test_a_name_that_is_taken_is_refused_before_any_work(
    small: searchkit.Compressed, trained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small.folder is not None
    given = QUICK | {"storage": small.folder.parent, "name": small.name}
    monkeypatch.setattr("searchkit.compressing.call.labelled", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(StudyMismatchError, match="study 'small' has bounds on params and macs, not on params: give"):
        searchkit.compress(trained, DATA, constraints={"params": "40%"}, **given)
    with pytest.raises(StudyMismatchError, match="study 'small' is of another network"):
        searchkit.compress(nn.Linear(64, 10), DATA, constraints={"params": "40%"}, **given)


@pytest.mark.slow
def test_a_model_in_training_mode_is_left_in_it(trained: nn.Module) -> None:
    model = copy.deepcopy(trained).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    searchkit.compress(model, DATA, constraints={"params": "60%"}, storage="memory", **LAST | {"epochs": 0})
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
