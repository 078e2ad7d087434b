"""Whatever a user's ``build`` returns, raises and does, the search ends with every candidate accounted for."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from helpers.marks import thorough_if
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.problem.trial import State

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file

DATA = searchkit.load_data("digits", limit=200)


def plain(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


class Around(nn.Module):
    """A network whose forward pass is ``function(inner, x)``."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Any], inner: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.function = inner or plain(), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.inner, x)


class _ExtraState(nn.Sequential):
    def get_extra_state(self) -> Any:
        return {"kept": [1, 2]}

    def set_extra_state(self, state: Any) -> None:
        assert state == {"kept": [1, 2]}


class _NoCopy(nn.Sequential):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("not to be copied")


class _NoState(nn.Sequential):
    def state_dict(self, *given: Any, **named: Any) -> Any:
        raise RuntimeError("no state")


class _Lock(nn.Sequential):
    """Cannot be pickled or copied."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.lock = threading.Lock()


class _NoTrain(nn.Sequential):
    def train(self, mode: bool = True) -> Any:
        raise RuntimeError("not to be trained")


class _Returns(nn.Sequential):
    def train(self, mode: bool = True) -> Any:  # a frequent slip: returns nothing
        super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training is not None else x


class _InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = plain()

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2.0)
        return self.inner(x)


class _Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 10) / 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bi,ij->bj", x.flatten(1), self.weight)


def _first(layers: nn.Module) -> list[nn.Module]:
    return list(layers.children())


def _frozen() -> nn.Module:
    return plain().requires_grad_(False)


def _half_frozen() -> nn.Module:
    network = plain()
    _first(network)[1].requires_grad_(False)
    return network


def _shared() -> nn.Module:
    layer = nn.Linear(64, 64)
    return nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer, nn.Linear(64, 10))


def _hooked() -> nn.Module:
    network = plain()
    network.register_forward_hook(lambda module, given, out: out * 1.0)
    return network


def _raising_hook() -> nn.Module:
    network = plain()
    _first(network)[1].register_full_backward_hook(_raise)
    return network


def _raise(*given: Any) -> Any:
    raise RuntimeError("from a hook")


def _weight_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(64, 10)))


def _old_weight_norm() -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, 10)))


class _Counts(nn.Module):
    """Keeps its forward passes in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = plain(), []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return self.inner(x)


class _Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 10, dtype=torch.complex64) / 8)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1).to(torch.complex64) @ self.weight).abs()


WORKS: dict[str, Callable[[], Any]] = {
    "plain": plain,
    "product": _Product,
    "shared layer": _shared,
    "half frozen": _half_frozen,
    "frozen": _frozen,
    "no parameters": lambda: Around(lambda inner, x: x.flatten(1)[:, :10] * 1.0, nn.Identity()),
    "lazy": lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(10)),
    "lazy normalisation": lambda: nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10)
    ),
    "complex": _Complex,
    "weight norm": _weight_norm,
    "old weight norm": _old_weight_norm,
    "spectral norm": lambda: nn.Sequential(nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(64, 10))),
    "extra state": lambda: _ExtraState(*_first(plain())),
    "hook": _hooked,
    "numpy in forward": lambda: Around(lambda inner, x: inner(x) + float(np.mean([0.0, 0.0]))),
    "numpy of the input": lambda: Around(lambda inner, x: inner(x) + float(x.detach().numpy().mean() * 0)),
    "item of the input": lambda: Around(lambda inner, x: inner(x) * (1.0 if x.sum().item() > -1e9 else 0.0)),
    "lock": lambda: _Lock(*_first(plain())),
    "lambda": lambda: Around(lambda inner, x: inner(x)),
    "in place": _InPlace,
    "no grad inside": lambda: Around(lambda inner, x: inner(x.detach())),
    "counts": _Counts,
    "attention": lambda: nn.Sequential(
        nn.Flatten(2), nn.Unflatten(1, (1,)) if False else nn.Flatten(1), nn.Unflatten(1, (8, 8)),
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(64, 10),
    ),
    "dropout everywhere": lambda: nn.Sequential(nn.Dropout(0.9), plain(), nn.Dropout(0.5)),
    "mode of evaluation": lambda: plain().eval(),
    "unused": lambda: _with_unused(),
    "double inside": lambda: Around(lambda inner, x: inner(x.double()).float(), plain().double()),
    "list of layers": lambda: _with_list(),
}  # fmt: skip


def _with_unused() -> nn.Module:
    network = Around(lambda inner, x: inner(x))
    network.unused = nn.Linear(3, 3)
    network.register_buffer("nothing", None)
    network.register_parameter("none", None)
    return network


def _with_list() -> nn.Module:
    network = Around(lambda inner, x: inner(x))
    network.hidden = [nn.Linear(3, 3)]  # not registered
    return network


FAILS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "a class": lambda: nn.Linear,
    "a function": lambda: lambda x: x,
    "a tensor": lambda: torch.zeros(3),
    "a tuple": lambda: (plain(),),
    "too few outputs": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 7)),
    "too many dimensions": lambda: nn.Sequential(nn.Linear(8, 10)),
    "a tuple of outputs": lambda: Around(lambda inner, x: (inner(x), x)),
    "no output": lambda: Around(lambda inner, x: None),
    "a mean": lambda: Around(lambda inner, x: inner(x).mean()),
    "whole outputs": lambda: Around(lambda inner, x: inner(x).argmax(1)),
    "complex outputs": lambda: Around(lambda inner, x: inner(x) + 0j),
    "another shape of input": lambda: nn.Sequential(nn.Linear(3, 10)),
    "raises in forward": lambda: Around(_raise),
    "exits in forward": lambda: Around(lambda inner, x: sys.exit(0)),
    "raises in backward": _raising_hook,
    "no state": lambda: _NoState(*_first(plain())),
    "not a number": lambda: Around(lambda inner, x: inner(x) * float("nan")),
    "not to be trained": lambda: _NoTrain(*_first(plain())),
    "memory": lambda: nn.Linear(2**40, 2**20),
    "on meta": lambda: plain().to("meta"),
}

EITHER: dict[str, Callable[[], Any]] = {  # searchkit may train them or say why not
    "scripted": lambda: torch.jit.script(plain()),
    "not to be copied": lambda: _NoCopy(*_first(plain())),
    "train returns nothing": lambda: _Returns(*_first(plain())),
    "double": lambda: plain().double(),
    "bfloat16": lambda: plain().bfloat16(),
    "random": lambda: Around(lambda inner, x: inner(x) + torch.rand(1)),
    "one example at a time": lambda: Around(lambda inner, x: torch.cat([inner(row[None]) for row in x])),
    "batch of one": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)),
    "infinite": lambda: Around(lambda inner, x: inner(x) * float("inf")),
    "sparse": lambda: nn.Sequential(
        nn.Flatten(),
        Around(lambda inner, x: inner(x.long().clamp(0, 9)).mean(1), nn.Embedding(10, 10, sparse=True)),
    ),
}  # fmt: skip

ALL = {"works": WORKS, "fails": FAILS, "either": EITHER}
STATES = {"works": {State.SCORED}, "fails": {State.FAILED}, "either": {State.SCORED, State.FAILED}}


def search(networks: list[tuple[str, str]], folder: Path, executor: Any, **given: Any) -> None:
    """Search a space in which every second candidate is such a network, and check that every one is accounted for."""

    def build(choices: dict[str, Any], input_shape: Any, n_classes: int) -> Any:
        i = choices["i"]
        kind, name = networks[i // 2]
        return ALL[kind][name]() if i % 2 else plain()

    n = 2 * len(networks)
    space = NetworkSpace([Choice("i", range(n))], build, input_shape=(1, 8, 8), n_classes=10)
    result = searchkit.run(
        "random", space=space, data=DATA, objectives=("accuracy", "params"), epochs=1, budget=n, storage=folder,
        name="s", executor=executor, batch=4, start=[{"i": 0}], **given,
    )  # fmt: skip
    again = searchkit.load("s", storage=folder, space=space)
    for found in (result, again):
        assert sorted(int(trial.code[0]) for trial in found.trials) == list(range(n))
        for trial in found.trials:
            i = int(trial.code[0])
            states = STATES[networks[i // 2][0]] if i % 2 else {State.SCORED}
            assert trial.state in states, f"{networks[i // 2]}: {trial.state}, {trial.reason}, {trial.traceback}"
        assert all(bool(trial.reason) == (trial.state is State.FAILED) for trial in found.trials)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32
    result.report(folder / "report.html")


@pytest.mark.slow
@pytest.mark.parametrize("executor", [None, "interleaved"])
@pytest.mark.parametrize("kind", ALL)
def test_each_network(kind: str, executor: Any, tmp_path: Path) -> None:
    search([(kind, name) for name in ALL[kind]], tmp_path, executor)


@pytest.mark.thorough
def test_each_network_in_worker_processes(tmp_path: Path) -> None:
    search([(kind, name) for kind in ALL for name in ALL[kind]], tmp_path, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy")
@pytest.mark.parametrize("name", thorough_if(lambda name: name not in [*WORKS][::4], WORKS))
def test_each_network_that_works_has_a_latency(name: str) -> None:
    space = NetworkSpace(
        [Choice("i", (0,))], lambda choices, shape, n: WORKS[name](), input_shape=(1, 8, 8), n_classes=10
    )
    result = searchkit.run(
        "random", space=space, data=DATA, objectives=("params", "latency_ms"), budget=1, storage="memory"
    )
    assert [trial.state for trial in result.trials] == [State.SCORED], result.trials[0].reason


@pytest.mark.filterwarnings("ignore:proxy")
@pytest.mark.parametrize("name", WORKS)
def test_each_network_that_works_with_proxies_costs_and_export(name: str, tmp_path: Path) -> None:
    space = NetworkSpace(
        [Choice("i", (0,))], lambda choices, shape, n: WORKS[name](), input_shape=(1, 8, 8), n_classes=10
    )
    result = searchkit.run(
        "random", space=space, data=DATA, objectives=("accuracy", "params", "macs", "peak_memory"), epochs=1, budget=1,
        storage=tmp_path, name="s", proxies="default",
    )  # fmt: skip
    assert [trial.state for trial in result.trials] == [State.SCORED], result.trials[0].reason
    built = result.build(0)
    x = DATA.val.x.float()
    with torch.no_grad():
        again = result.build(0)(x.clone())
        assert torch.equal(built(x.clone()), again)
        correct = (again.argmax(1) == DATA.val.y).float().mean()
    assert float(correct) == pytest.approx(result.trials[0].values["accuracy"])


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    networks=st.lists(
        st.one_of(*[st.tuples(st.just(kind), st.sampled_from(sorted(ALL[kind]))) for kind in ALL]),
        min_size=2,
        max_size=5,
    ),
    executor=st.sampled_from([None, "interleaved"]),
)
def test_networks_one_after_the_other(networks: list[tuple[str, str]], executor: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        search(networks, Path(folder), executor)
