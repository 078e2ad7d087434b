"""Architecture by gradient: mixed networks, what they learn, and bounds on what they expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from searchkit import Choice, NetworkSpace, Node
from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import ProxyError
from searchkit.proxies.gradient import Gradient, GradientSetting
from searchkit.proxies.mixed_network import MixedNetwork
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201

CELLS = nas_bench_201(width=4, cells=1, input_shape=(1, 8, 8))
LAYERS = macro(width=4, layers=(2, 1), input_shape=(1, 8, 8))
QUICK = GradientSetting(epochs=2, batch=32)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


@pytest.mark.parametrize("space", [CELLS, LAYERS], ids=["cells", "layers"])
def test_with_all_of_the_weight_on_one_candidate_it_is_that_network(space: NetworkSpace) -> None:
    mixed = MixedNetwork(space, 0)
    code = np.array([3, 1, 2, 3, 4, 1])[: space.n_choices] if space is CELLS else np.array([1, 2, 0])
    with torch.no_grad():
        mixed.alphas.fill_(-1e4)
        for i, node in enumerate(mixed.nodes):
            mixed.alphas[i, node.alternatives.index(tuple(code[list(node.columns)].tolist()))] = 1e4
    plain = space.builder(space.decode(code)[0], space.input_shape, space.n_classes)
    own = dict(mixed.network.named_parameters())
    state = {}
    for name, parameter in plain.named_parameters():
        place = next((p for n in mixed.nodes for p in n.places if name.startswith(p + ".")), None)
        key = name
        if place is not None:
            node = next(n for n in mixed.nodes if place in n.places)
            option = node.alternatives.index(tuple(code[list(node.columns)].tolist()))
            key = f"{place}.options.{option}.{name.removeprefix(place + '.')}"
        assert own[key].shape == parameter.shape
        state[name] = own[key].detach()
    plain.load_state_dict(state, strict=False)
    x = torch.randn(4, *space.input_shape)
    with torch.no_grad():
        assert torch.allclose(mixed.train()(x), plain.train()(x), atol=1e-5)
    assert (mixed.best() == code).all()
    assert mixed.log_shares(code[None])[0] == pytest.approx(0.0)


@pytest.mark.slow
def test_it_learns_and_continues_where_it_was_stopped(digits: Data, tmp_path: Path) -> None:
    whole = Gradient(CELLS, digits, setting=QUICK, folder=tmp_path / "whole").fit()

    def stop(epoch: int, network: MixedNetwork) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Gradient(CELLS, digits, setting=QUICK, folder=tmp_path / "cut").fit(stop)
    epochs: list[int] = []
    cut = Gradient(CELLS, digits, setting=QUICK, folder=tmp_path / "cut").fit(
        lambda epoch, network: epochs.append(epoch)
    )
    assert epochs == [2]
    for name, shares in whole.shares.items():
        assert np.array_equal(shares, cut.shares[name])
        assert shares.sum() == pytest.approx(1.0)
        assert shares.std() > 0
    scores = whole.score(CELLS.sample(5, np.random.default_rng(0)))
    assert np.isfinite(scores).all()
    assert (scores < 0).all()


@pytest.mark.slow
def test_a_bound_moves_the_shares_to_what_keeps_it(digits: Data) -> None:
    setting = GradientSetting(epochs=6, batch=32, alpha_lr=0.1, beta_decay=0.0)
    free = Gradient(LAYERS, digits, setting=setting).fit()
    least = float(space_counts(free.space, free.space.check([[0, 0, 0]]))["params"][0])
    bounded = Gradient(LAYERS, digits, setting=setting, bounds={"params": 1.2 * least}).fit()
    assert sum(share[0] for share in bounded.shares.values()) > sum(share[0] for share in free.shares.values())


@pytest.mark.slow
def test_beta_decay_keeps_shares_together(digits: Data) -> None:
    fast = replace(QUICK, epochs=3, alpha_lr=0.05)
    apart, together = (
        Gradient(CELLS, digits, setting=replace(fast, beta_decay=decay)).fit().shares for decay in (0.0, 500.0)
    )
    assert sum(s.max() for s in together.values()) < sum(s.max() for s in apart.values())


def test_spaces_that_cannot_be_mixed_are_refused(digits: Data) -> None:
    def build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"]), nn.Linear(choices["width"], n_classes))

    choices = [Choice("width", (2, 4))]
    with pytest.raises(ProxyError, match="names no modules at its nodes"):
        Gradient(NetworkSpace(choices, build, input_shape=(1, 8, 8)), digits).fit()
    nodes = lambda space: (Node("first", ("width",), (64,), (4,), module="1"),)  # noqa: E731
    with pytest.raises(ProxyError, match="give different shapes"):
        Gradient(NetworkSpace(choices, build, input_shape=(1, 8, 8), nodes=nodes), digits).fit()
    with pytest.raises(ProxyError, match="bounds are on"):
        Gradient(CELLS, digits, bounds={"latency_ms": 3})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": 0}, "epochs is a whole number of 1 or more, not 0"),
        ({"epochs": 1.5}, "epochs is a whole number of 1 or more, not 1.5"),
        ({"batch": 1}, "batch is a whole number of 2 or more, not 1"),
        ({"batch": True}, "batch is a whole number of 2 or more, not True"),
        ({"lr": 0}, "lr is a finite number above 0, not 0"),
        ({"lr": "0.1"}, "lr is a finite number above 0, not '0.1'"),
        ({"lr_end": -1.0}, "lr_end is a finite number of 0 or more, not -1.0"),
        ({"alpha_lr": float("nan")}, "alpha_lr is a finite number above 0, not nan"),
        ({"weight_decay": float("inf")}, "weight_decay is a finite number of 0 or more, not inf"),
        ({"beta_decay": None}, "beta_decay is a finite number of 0 or more, not None"),
        ({"flood": -0.1}, "flood is a finite number of 0 or more, not -0.1"),
    ],
)
def test_settings_of_the_descent_that_mean_nothing_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        GradientSetting(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"setting": {"epochs": 3}}, "setting is a GradientSetting"),
        ({"bounds": 3}, "bounds are a mapping from params or macs"),
        ({"bounds": {"parms": 3}}, "not 'parms'; is 'params' meant"),
        ({"bounds": {"params": "3"}}, "the bound on params is a finite number above 0, not '3'"),
        ({"bounds": {"params": 0}}, "the bound on params is a finite number above 0, not 0"),
    ],
)
def test_arguments_of_a_search_by_gradient_that_mean_nothing_are_refused(
    digits: Data, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ProxyError, match=said):
        Gradient(LAYERS, digits, **given)
