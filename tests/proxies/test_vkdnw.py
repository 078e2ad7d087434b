"""VKDNW against explicit loops, and on networks of every kind that a user may bring."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from searchkit.data.loading import load_data
from searchkit.errors import CandidateError, ProxyError
from searchkit.proxies.vkdnw import MOST, VKDNW, chosen_weights, fisher, spectral_entropy
from searchkit.proxies.vkdnw_jacobian import SingleWeight, jacobian
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import Built, build, run
from searchkit.scoring.scorer import Scorer
from searchkit.space import Choice, NetworkSpace
from searchkit.spaces.nas_bench_201 import nas_bench_201

CPU = torch.device("cpu")
SHAPE, CLASSES, BATCH = (3, 6, 6), 4, 5
CELLS = nas_bench_201(width=4, cells=1, input_shape=(3, 8, 8))
LARGEST = math.log(9)


class Weird(nn.Module):
    """One layer of every kind that has to be differentiated in a way of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 4, 3, padding="same")
        self.grouped = nn.Conv2d(4, 8, 3, stride=2, padding=2, dilation=2, groups=2)
        self.reflected = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.twice = nn.Conv2d(8, 8, 1)
        self.wide = nn.ConvTranspose2d(8, 4, 2)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.scale = nn.Parameter(torch.ones(4, 4))
        self.inside = nn.Linear(4, 4)
        self.functional = nn.Linear(4, 4)
        self.never = nn.Linear(4, 4)
        self.last = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mul_(2)
        x = functional.relu_(self.plain(x))
        x = self.grouped(x)
        x += 1
        x = functional.silu(self.reflected(x), inplace=True)
        x = self.twice(functional.relu_(self.twice(x)))
        tokens = self.wide(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        tokens = functional.relu_(self.inside(tokens @ self.scale))
        pooled = functional.linear(tokens.mean(dim=1), self.functional.weight)
        logits: Tensor = self.last(pooled)
        return logits


def simple(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES))


def networks() -> dict[str, Callable[[], nn.Module]]:
    def conv(n_in: int = 3) -> nn.Module:
        return nn.Conv2d(n_in, 6, 3, padding=1)

    return {
        "in place": lambda: simple(
            nn.ReLU(inplace=True), conv(), nn.ReLU(inplace=True), conv(6), nn.SiLU(inplace=True)
        ),
        "batch norm": lambda: simple(conv(), nn.BatchNorm2d(6), nn.ReLU(), conv(6), nn.BatchNorm2d(6)),
        "every kind": Weird,
    }


def inputs(n: int = BATCH) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def every_weight(network: nn.Module) -> list[SingleWeight]:
    return chosen_weights(network, torch.Generator().manual_seed(1))


def by_loops(network: nn.Module, x: Tensor, weights: list[SingleWeight]) -> Tensor:
    """The derivatives, one number of an output of an example at a time."""
    network.requires_grad_()
    found = torch.zeros(len(x), CLASSES, len(weights))
    for n in range(len(x)):
        for c in range(CLASSES):
            network.zero_grad()
            network(x.clone())[n, c].backward()
            for k, weight in enumerate(weights):
                if weight.parameter.grad is not None:
                    found[n, c, k] = weight.parameter.grad[weight.index]
    network.zero_grad()
    return found


@pytest.mark.parametrize("kind", networks())
def test_derivatives_are_those_of_explicit_loops(kind: str) -> None:
    torch.manual_seed(0)
    network, x = networks()[kind]().eval(), inputs()
    weights = every_weight(network)
    before = x.clone()
    outputs, derivatives = jacobian(network, x, weights, CLASSES)
    assert torch.equal(x, before), "a batch is kept for other networks"
    torch.testing.assert_close(outputs, network(x.clone()).detach())
    torch.testing.assert_close(derivatives, by_loops(network, x, weights), rtol=1e-4, atol=1e-6)
    assert (derivatives.abs().amax(dim=(0, 1)) > 0).sum() >= len(weights) - 3  # all but what never runs, or is off


@pytest.mark.parametrize("dims", [1, 3])
def test_convolutions_over_other_axes_are_differentiated_as_well(dims: int) -> None:
    torch.manual_seed(0)
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    network = nn.Sequential(
        kind(2, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 4**dims, CLASSES)
    ).eval()
    x, weights = torch.randn(BATCH, 2, *[4] * dims), every_weight(network)
    torch.testing.assert_close(
        jacobian(network, x, weights, CLASSES)[1], by_loops(network, x, weights), rtol=1e-4, atol=1e-6
    )


def test_the_fisher_information_is_that_of_explicit_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(BATCH, CLASSES, generator=generator, dtype=torch.float64)
    rows = torch.randn(BATCH, CLASSES, 7, generator=generator, dtype=torch.float64)
    wanted = torch.zeros(7, 7, dtype=torch.float64)
    for n in range(BATCH):
        p = 0.95 * logits[n].exp() / logits[n].exp().sum() + 0.05 / CLASSES
        wanted += rows[n].T @ (p.diag() - p.outer(p)) @ rows[n] / BATCH
    found = fisher(logits, rows)
    torch.testing.assert_close(found * rows.abs().max() ** 2, wanted)
    assert torch.linalg.eigvalsh(found)[0] > -1e-12
    torch.testing.assert_close(fisher(logits, 1e-30 * rows), found)
    quantity = fisher(logits[:, :1], rows[:, :1])  # a regression: errors of variance 1
    torch.testing.assert_close(quantity * rows[:, 0].abs().max() ** 2, rows[:, 0].T @ rows[:, 0] / BATCH)


def test_the_score_is_the_entropy_of_the_deciles() -> None:
    network, x = build(CELLS, CELLS.check(np.full((1, 6), 3))[0], drawn(), 0).network, drawn().noise(16)[0]
    built = Built(network, drawn(), 0, CPU, dict)
    proxy = VKDNW()
    (information,) = run(built, proxy.passes).values()
    torch.testing.assert_close(information, information.T)
    values = np.linalg.eigvalsh(information.numpy()).clip(0)
    deciles = np.quantile(values, np.linspace(0.1, 0.9, 9))
    share = deciles / deciles.sum()
    wanted = -sum(s * math.log(s) for s in share if s > 0)
    assert proxy.values([information])["vkdnw"] == pytest.approx(wanted, rel=1e-6)
    assert x.shape == (16, 3, 8, 8)


def drawn(data: Any = None) -> ProxyInputs:
    return ProxyInputs(data, CELLS.input_shape, 10, CPU, 0)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=40))
@settings(max_examples=40, deadline=None)
def test_an_entropy_of_positive_eigenvalues_is_in_range_and_has_no_scale(values: list[float]) -> None:
    matrix = torch.diag(torch.tensor(values, dtype=torch.float64))
    found = spectral_entropy(matrix)
    assert 0 < found <= LARGEST + 1e-12
    assert spectral_entropy(1e-9 * matrix) == pytest.approx(found)


def test_equal_eigenvalues_have_the_largest_entropy_and_none_is_refused() -> None:
    assert spectral_entropy(torch.eye(128, dtype=torch.float64)) == pytest.approx(LARGEST)
    one = torch.zeros(128, 128, dtype=torch.float64)
    one[0, 0] = 1
    with pytest.raises(CandidateError, match="fewer than a tenth"):
        spectral_entropy(one)
    zeros = torch.zeros(2, 3, 4, dtype=torch.float64)
    with pytest.raises(CandidateError, match="none of its weights"):
        fisher(zeros[:, :, 0], zeros)
    with pytest.raises(CandidateError, match="not finite"):
        fisher(zeros[:, :, 0] + math.inf, zeros + 1)


@pytest.mark.slow
def test_scores_are_in_range_repeatable_and_of_images_in_any_order() -> None:
    codes = CELLS.sample(12, np.random.default_rng(3))
    first = Scorer(CELLS, [VKDNW()])(codes)
    assert ((first > 0) & (first <= LARGEST)).all()
    np.testing.assert_array_equal(Scorer(CELLS, [VKDNW()])(codes[::-1])[::-1], first)
    assert (Scorer(CELLS, [VKDNW()], seed=1)(codes) != first).all()
    inputs = drawn()
    x, y = inputs.noise(16)
    inputs._kept[("noise", 16, 0)] = (x.flip(0), y.flip(0))
    turned = [run(build(CELLS, code, inputs, 0), VKDNW().passes) for code in CELLS.check(codes)]
    scores = [VKDNW().values(list(recorded.values()))["vkdnw"] for recorded in turned]
    np.testing.assert_allclose(scores, first[:, 0], rtol=1e-4)


@pytest.mark.parametrize(("n_classes", "batch"), [(2, 64), (4, 43), (10, 16), (100, 16)])
def test_there_are_inputs_enough_to_tell_the_weights_apart(n_classes: int, batch: int) -> None:
    choices = [Choice("layers", (12,)), Choice("dead", (False,))]
    space = NetworkSpace(choices, build_few, input_shape=(3, 4, 4), n_classes=n_classes)
    given, wanted = (Scorer(space, [VKDNW(n)])(space.enumerate()) for n in (None, batch))
    np.testing.assert_array_equal(given, wanted)


def test_images_are_looked_at_where_asked_for() -> None:
    data = load_data("digits", limit=200)
    space = nas_bench_201(width=4, cells=1).for_data(data.input_shape, data.n_classes)
    codes = space.check(np.full((1, 6), 3))
    noise, images = (Scorer(space, [VKDNW(source=source)], data)(codes) for source in ("noise", "images"))
    assert np.isfinite(images).all()
    assert noise != images


def test_of_many_tensors_those_that_divide_the_depth_are_taken() -> None:
    network = nn.Sequential(*[nn.Linear(1, 1) for _ in range(300)])
    tensors = [id(layer.weight) for layer in network if isinstance(layer, nn.Linear)]
    places = [tensors.index(id(weight.parameter)) for weight in every_weight(network)]
    assert len(places) == MOST
    assert set(np.diff(places)) == {2, 3}
    assert not any(weight.parameter.ndim == 1 for weight in every_weight(simple(nn.Conv2d(3, 6, 1))))


def test_equal_networks_have_equal_weights_and_frozen_ones_are_left_out() -> None:
    network = simple(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3))
    places = [weight.index for weight in every_weight(network)]
    assert [weight.index for weight in every_weight(copy.deepcopy(network))] == places
    next(network.parameters()).requires_grad_(False)
    assert len(every_weight(network)) == len(places) - 1


def test_the_network_is_what_it_was_for_the_next_pass() -> None:
    built = build(CELLS, CELLS.check(np.full((1, 6), 3))[0], drawn(), 0)
    before = {name: tensor.clone() for name, tensor in built.network.state_dict().items()}
    frozen = next(built.network.parameters()).requires_grad_(False)
    built = Built(built.network, built.inputs, built.seed, CPU, dict)
    run(built, VKDNW().passes)
    built.reset()
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.network.state_dict().items())
    assert built.network.training
    assert not frozen.requires_grad
    assert all(p.requires_grad and p.grad is None for p in list(built.network.parameters())[1:])
    assert not any(module._forward_hooks for module in built.network.modules())


def build_few(choices: Mapping[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
    hidden: list[nn.Module] = [nn.Linear(48, 48) for _ in range(choices["layers"] - 1)]
    last = nn.Linear(48, n_classes)
    if choices["dead"]:
        last.register_forward_hook(lambda layer, args, out: out * 0)
    return nn.Sequential(nn.Flatten(), *hidden, last)


FEW = NetworkSpace(
    [Choice("layers", (1, 2, 3, 12)), Choice("dead", (False, True))], build_few, input_shape=(3, 4, 4), n_classes=10
)


def test_a_network_with_one_tensor_has_no_score_and_says_why() -> None:
    with pytest.warns(UserWarning, match="it has 1 weight tensor, and compares two or more"):
        assert np.isnan(Scorer(FEW, ["vkdnw"])(FEW.encode({"layers": 1, "dead": False}))).all()
    few = FEW.encode([{"layers": n, "dead": False} for n in (2, 3, 12)])
    found = Scorer(FEW, ["vkdnw"])(few)
    assert ((found > 0) & (found <= LARGEST)).all()


def test_a_network_whose_outputs_are_constant_has_no_score_and_says_why() -> None:
    with pytest.warns(UserWarning, match="its outputs depend on none of its weights"):
        assert np.isnan(Scorer(FEW, ["vkdnw"])(FEW.encode({"layers": 3, "dead": True}))).all()


def test_what_it_cannot_take_is_refused_before_any_network() -> None:
    with pytest.raises(ProxyError, match="1 to 64 inputs, not 65"):
        VKDNW(65)
    with pytest.raises(ProxyError, match="'noise' or 'images', not 'image'"):
        VKDNW(source="image")  # type: ignore[arg-type]
