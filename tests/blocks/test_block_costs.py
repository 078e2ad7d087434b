"""What blocks cost: counts that add up to the network's, times by a made clock, and networks that cannot be cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import searchkit
from searchkit import Choice, NetworkSpace, Node
from searchkit.blocks.block_costs import OUTSIDE, BlockCost, BlockCosts, block_costs
from searchkit.costs.counts import count
from searchkit.errors import SearchkitError
from searchkit.training.train import build_seeded

CALL, EACH = 0.5, 1e-3  # ms of any call, and of each parameter beside it


def made(module: nn.Module, shape: Sequence[int]) -> float:
    """Milliseconds as if parameters were all that takes time."""
    return CALL + EACH * sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("macro", {"width": 8, "input_shape": (1, 8, 8)}),
        ("mobilenet", {"input_shape": (3, 16, 16)}),
        ("residual", {"input_shape": (1, 8, 8)}),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_blocks_and_what_is_outside_of_them_add_up_to_the_network(
    name: str, options: dict[str, Any], seed: int
) -> None:
    space = searchkit.load_space(name, **options)
    code = space.sample(1, np.random.default_rng(seed))[0]
    found = block_costs(space, code, measure=made)
    network = build_seeded(space, code, 0)
    rows = [*found.blocks, found.outside]
    assert [one.block for one in rows][-1] == OUTSIDE
    assert sum(one.macs for one in rows) == found.macs == count(network, space.input_shape)["macs"]
    assert sum(one.ms for one in rows) == pytest.approx(found.ms)
    assert found.ms == made(network, ())
    assert found.call_ms == CALL
    shares = np.array([found.shares(one) for one in rows])
    assert shares.sum(axis=0) == pytest.approx(1)
    inside = {node.block or node.name: 0 for node in space.nodes}
    for node in space.nodes:
        if not node.left_out(space.decode(code)[0]):
            module = network.get_submodule(node.module)
            inside[node.block or node.name] += sum(p.numel() for p in module.parameters())
    assert {one.block: one.ms for one in found.blocks} == pytest.approx({k: EACH * n for k, n in inside.items()})


def test_a_block_says_what_the_network_has_there() -> None:
    space = searchkit.load_space("mobilenet", input_shape=(3, 16, 16))
    code = space.sample(1, np.random.default_rng(0))[0]
    options = space.decode(code)[0]
    first = block_costs(space, code, measure=made).blocks[0]
    assert first.block == "stage_1"
    layers = [f"kernel {options[f'kernel_1_{j}']} expansion {options[f'expansion_1_{j}']}" for j in range(1, 5)]
    assert first.choice == ", ".join(layers[: options["depth_1"]])


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(torch.relu(self.conv1(x))) + x
        return y


class Twice(nn.Module):
    """The same block two times, one that computes nothing, and one that takes two tensors."""

    def __init__(self, two: nn.Module) -> None:
        super().__init__()
        self.block, self.nothing, self.two, self.head = Block(4), nn.Identity(), two, nn.Linear(4 * 36, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.nothing(self.block(x)))
        out: Tensor = self.head((self.two(x, x) if isinstance(self.two, nn.Bilinear) else self.two(x)).flatten(1))
        return out


def space_of(two: nn.Module, *modules: str) -> NetworkSpace:
    shape = (4, 6, 6)
    nodes = tuple(Node(f"n{i}", ("c",) if not i else (), shape, shape, module=m) for i, m in enumerate(modules))
    return NetworkSpace([Choice("c", (1, 2))], lambda *_: Twice(two), input_shape=shape, nodes=lambda _: nodes)


def test_a_module_that_is_called_twice_counts_twice_and_one_that_computes_nothing_takes_no_time() -> None:
    found = block_costs(space_of(nn.ReLU(), "block", "nothing"), np.array([0]), measure=made)
    params = sum(p.numel() for p in Block(4).parameters())
    twice, nothing = found.blocks
    assert twice == BlockCost("n0", "1", 2 * 2 * 4 * 4 * 9 * 36, pytest.approx(2 * EACH * params))  # type: ignore[arg-type]
    assert (nothing.macs, nothing.ms) == (0, 0.0)
    assert found.outside.ms < CALL + EACH * 10 * 4 * 36  # the parameters are there once only


def test_a_module_within_another_nodes_counts_once() -> None:
    alone = block_costs(space_of(nn.ReLU(), "block", "nothing"), np.array([0]), measure=made)
    nested = block_costs(space_of(nn.ReLU(), "block", "block.conv1", "nothing"), np.array([0]), measure=made)
    assert [(one.macs, one.ms) for one in nested.blocks] == [(one.macs, one.ms) for one in alone.blocks]
    assert nested.outside == alone.outside


def test_networks_that_cannot_be_timed_block_by_block_are_refused_with_the_reason() -> None:
    cells = searchkit.load_space("nas-bench-201")
    with pytest.raises(SearchkitError, match="names no modules of its networks.*'macro' and 'mobilenet'"):
        block_costs(cells, cells.sample(1, np.random.default_rng(0))[0])
    with pytest.raises(SearchkitError, match="'two' of node 'n1' .* always with one tensor of one shape"):
        block_costs(space_of(nn.Bilinear(6, 6, 6), "block", "two"), np.array([0]), measure=made)
    with pytest.raises(SearchkitError, match="the module 'blok', which the network does not have"):
        block_costs(space_of(nn.ReLU(), "blok"), np.array([0]), measure=made)


def test_a_space_made_of_a_trained_network_is_timed_as_others_are() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), Block(16), Block(16), nn.Flatten(), nn.Linear(16 * 36, 10))
    space = NetworkSpace.from_model(model, torch.randn(4, 1, 6, 6).numpy(), nodes=["1", "2"])
    for code in space.sample(3, np.random.default_rng(0)):
        found = block_costs(space, code, measure=made)
        options = space.decode(code)[0]
        assert {one.block: one.choice for one in found.blocks} == options
        network = space.build(code)
        assert sum(one.macs for one in [*found.blocks, found.outside]) == count(network, (1, 6, 6))["macs"]


@pytest.mark.slow
def test_it_is_timed_by_a_clock_where_none_is_given_and_changes_nothing() -> None:
    space = searchkit.load_space("macro", width=8, input_shape=(1, 8, 8))
    state, code = torch.get_rng_state(), space.sample(1, np.random.default_rng(1))[0]
    found = block_costs(space, code, seconds=0.01)
    assert torch.equal(state, torch.get_rng_state())
    assert all(one.ms >= 0 for one in found.blocks)
    assert found.ms > found.call_ms > 0
    assert "onnxruntime" in found.method
    assert BlockCosts.read(json.loads(json.dumps(found.plain()))) == found


def test_the_block_whose_shares_are_furthest_apart_comes_first() -> None:
    blocks = (BlockCost("a", "", 80, 6.0), BlockCost("b", "", 8, 3.1), BlockCost("c", "", 0, 0.1))
    found = BlockCosts(blocks, 100, 10.0, 0.0, "")
    assert [one.block for one in found.sorted] == ["b", "a", "c"]
    assert found.said() == "'b' has 8 % of the MACs and 31 % of the milliseconds"
    assert found.outside == BlockCost(OUTSIDE, "", 12, pytest.approx(0.8))  # type: ignore[arg-type]
