"""Alternatives of blocks learn to give the blocks' outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from searchkit.compression.learned import _groups, learn
from searchkit.compression.learning import SEGMENTS, LearningSetting, Lessons
from searchkit.compression.quality import Key, divergences, relative_errors, replaced
from searchkit.errors import SearchkitError

PLACES = {"first": "0", "second": "2"}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    ).eval()


def pictures(n: int = 120) -> Tensor:
    return torch.randn(n, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def library() -> dict[str, dict[str, nn.Module]]:
    torch.manual_seed(2)
    return {
        "first": {
            "1x1": nn.Conv2d(1, 8, 1),
            "narrow": nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 8, 1)),
        },
        "second": {"1x1": nn.Sequential(nn.Conv2d(8, 8, 1), nn.Dropout(0.1)), "nothing": nn.Identity()},
    }


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def lessons(model: nn.Module, path: Path | None = None, setting: LearningSetting | None = None) -> Lessons:
    return Lessons(model, PLACES, library(), {}, pictures(), setting or LearningSetting(least=60, passes=4), 3, path)


@pytest.mark.slow
def test_they_come_nearer_and_the_network_is_as_it_was() -> None:
    model = network()
    before, taught = (
        state_of(model),
        lessons(model, setting=LearningSetting(least=60, passes=30, lr=0.01, batch_size=32)),
    )
    first = {key: one.module for key, one in taught.learners.items()}
    errors = relative_errors(model, PLACES, {key: module.eval() for key, module in first.items()}, taught.rated)
    taught.learn()
    after = relative_errors(model, PLACES, taught.modules(), taught.rated)
    assert all(after[key] < errors[key] for key in after if key[1] != "nothing")
    assert after["first", "narrow"] < 0.8 * errors["first", "narrow"]
    assert after["second", "nothing"] == errors["second", "nothing"]
    assert equal(state_of(model), before)
    assert not model.training
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.slow
def test_what_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = lessons(network())
    whole.learn()
    path = tmp_path / "learning.pt"

    class StopError(Exception):
        pass

    def stop(done: int, total: int, error: float) -> None:
        if done == SEGMENTS // 2:
            raise StopError

    with pytest.raises(StopError):
        lessons(network(), path).learn(on_segment=stop)
    seen: list[int] = []
    rest = lessons(network(), path)
    rest.learn(on_segment=lambda done, total, error: seen.append(done))
    assert seen == list(range(SEGMENTS // 2 + 1, SEGMENTS + 1))
    for key, one in whole.learners.items():
        assert equal(state_of(one.module), state_of(rest.learners[key].module)), key


@pytest.mark.slow
def test_a_time_ends_the_learning_early() -> None:
    taught = lessons(network(), setting=LearningSetting(least=60, passes=10_000))
    taught.learn(seconds=0.5)
    assert all(torch.isfinite(tensor).all() for module in taught.modules().values() for tensor in module.parameters())


def test_errors_and_divergences_are_what_they_say() -> None:
    model, x = network(), pictures(30)
    modules: dict[Key, nn.Module] = {
        ("first", "same"): model[0],  # type: ignore[index]
        ("second", "other"): nn.Conv2d(8, 8, 1),
    }
    with torch.no_grad():
        middle = model[:2](x)  # type: ignore[index]
        wanted = model[2](middle)  # type: ignore[index]
        got = modules["second", "other"](middle)
        answers = model(x).log_softmax(1)
        other = model[3:](got).log_softmax(1)  # type: ignore[index]
    errors = relative_errors(model, PLACES, modules, x, batch_size=7)
    assert errors["first", "same"] == 0
    expected = (got - wanted).abs().mean() / wanted.std(correction=0)
    assert errors["second", "other"] == pytest.approx(float(expected), rel=1e-5)
    found = divergences(model, PLACES, modules, x, batch_size=7)
    assert found["first", "same"] == pytest.approx(0, abs=1e-9)
    expected = (answers.exp() * (answers - other)).sum(1).mean()
    assert found["second", "other"] == pytest.approx(float(expected), rel=1e-4)


def test_a_replaced_block_comes_back_after_an_error() -> None:
    model = network()
    own = model.get_submodule("2")
    with pytest.raises(RuntimeError), replaced(model, {"2": nn.Conv2d(5, 8, 1)}) as other:
        other(pictures())
    assert model.get_submodule("2") is own


def test_what_is_worse_and_no_cheaper_is_dropped() -> None:
    taught = Lessons(
        network(), {"first": "0"}, {"first": {name: nn.Conv2d(1, 8, 1) for name in "abcd"}},
        {("first", "a"): (1, 5), ("first", "b"): (2, 5), ("first", "c"): (1, 6), ("first", "d"): (3, 4)},
        pictures(), LearningSetting(), 0,
    )  # fmt: skip
    for label, error in zip("abcd", (0.2, 0.3, 0.1, 0.4), strict=True):
        taught.learners["first", label].error = error
    taught._drop()
    assert [label for label in "abcd" if taught.learners["first", label].dropped] == ["b"]


@pytest.mark.thorough
def test_a_library_is_learned_once_and_in_any_number_of_processes_alike(tmp_path: Path) -> None:
    setting = LearningSetting(least=60, passes=2)
    calls: list[int] = []

    def taught(folder: Path, executor: object = None):  # type: ignore[no-untyped-def]
        return learn(
            network(), PLACES, library(), pictures(), setting=setting, folder=folder, executor=executor,
            on_segment=lambda done, total, error: calls.append(done),
        )  # fmt: skip

    first = taught(tmp_path / "one")
    assert calls == list(range(1, SEGMENTS + 1))
    again = taught(tmp_path / "one")
    assert len(calls) == SEGMENTS, "learned twice"
    assert again.errors == first.errors
    assert again.divergences == first.divergences
    assert all(equal(state_of(again.modules[key]), state_of(first.modules[key])) for key in first.modules)
    several = taught(tmp_path / "two", executor=2)
    assert several.errors["first", "1x1"] == pytest.approx(first.errors["first", "1x1"], rel=1e-4)
    assert several.errors.keys() == first.errors.keys()
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.slow
def test_what_was_dropped_for_one_cost_learns_for_another(tmp_path: Path) -> None:
    taught: list[int] = []

    def learned(respects: list[str], cost: dict[str, float]) -> set[str]:
        taught.clear()
        found = learn(
            network(), PLACES, library(), pictures(), folder=tmp_path, respects=respects,
            setting=LearningSetting(least=60, passes=4),
            costs={(node, label): (cost.get(label, 1.0),) for node, labels in library().items() for label in labels},
            on_segment=lambda done, total, error: taught.append(done),
        )  # fmt: skip
        return {label for node, label in found.modules if node == "first"}

    assert learned(["params"], {"1x1": 5.0}) == {"narrow"}
    assert taught
    assert learned(["params"], {"1x1": 5.0}) == {"narrow"}
    assert not taught
    assert learned(["macs"], {"1x1": 0.5}) == {"narrow", "1x1"}
    assert taught


@pytest.mark.thorough
def test_a_group_that_fails_says_so_and_the_others_are_kept(tmp_path: Path) -> None:
    broken = library()
    broken["second"]["1x1"] = nn.Conv2d(5, 8, 1)
    with pytest.raises(SearchkitError, match="the alternatives of second did not learn"):
        learn(network(), PLACES, broken, pictures(), setting=LearningSetting(least=10), executor=2, folder=tmp_path)
    assert len(list(tmp_path.rglob("*.json"))) == len(library()["first"])


def test_groups_have_about_equal_work_and_every_node_once() -> None:
    sizes = {f"node {i}": {str(j): nn.Identity() for j in range(n)} for i, n in enumerate((5, 1, 3, 3, 2))}
    groups = _groups(sizes, list(sizes), 2)
    assert sorted(node for group in groups for node in group) == sorted(sizes)
    work = [sum(len(sizes[node]) for node in group) for group in groups]
    assert abs(work[0] - work[1]) <= 2
    assert all(list(group) == sorted(group) for group in groups)


@pytest.mark.parametrize(
    ("given", "said"), [({"passes": 0}, "passes and lr are above 0"), ({"batch_size": 1}, "at least 2")]
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(SearchkitError, match=said):
        LearningSetting(**given)  # type: ignore[arg-type]
