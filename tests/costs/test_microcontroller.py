"""Memory in int8: by hand on small networks, and by brute force on drawn graphs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from searchkit.costs.microcontroller import Step, int8_memory, peak
from searchkit.errors import CandidateError


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.second, self.last = nn.Conv2d(width, width, 3, padding=1), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = x + torch.relu(self.second(x))
        y: torch.Tensor = self.last(x.mean((2, 3)))
        return y


def test_a_residual_network_by_hand() -> None:
    found = int8_memory(Residual(8), (3, 32, 32))
    assert found.ram == 3 * 8 * 32 * 32  # both branches and their sum
    convolutions = (3 * 8 * 9 + 8 * 8 * 9) + 2 * 8 * 4 + 2 * 8 * 4  # weights, scales, biases
    assert found.flash == convolutions + 8 * 10 + 10 * 4 + 10 * 4


def test_a_chain_needs_an_input_and_an_output() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2, padding=1), nn.ReLU())
    assert int8_memory(layers, (1, 10, 10)).ram == 100 + 400
    assert int8_memory(nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 5)), (30,)).ram == 50


def test_the_network_is_not_changed() -> None:
    network = Residual(4).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    int8_memory(network, (3, 8, 8))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_network_without_a_graph_says_so() -> None:
    class Refusing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("no forward pass today")

    with pytest.raises(CandidateError, match=r"memory in int8 cannot be told.*no forward pass today"):
        int8_memory(Refusing(), (3, 8, 8))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Step], dict[str, int]]:
    n = draw(st.integers(1, 7))
    sizes = {f"t{i}": draw(st.integers(1, 20)) for i in range(n + 1)}
    steps = []
    for i in range(1, n + 1):
        reads = draw(st.lists(st.sampled_from([f"t{j}" for j in range(i)]), min_size=1, max_size=2, unique=True))
        steps.append(Step(tuple(reads), (f"t{i}",), draw(st.booleans())))
    return steps, sizes


@pytest.mark.slow
@given(graphs())
def test_the_peak_is_that_of_a_run_that_frees_what_nothing_reads_any_more(
    graph: tuple[list[Step], dict[str, int]],
) -> None:
    steps, sizes = graph
    output = steps[-1].makes[0]
    held, most = {"t0": sizes["t0"]}, sizes["t0"]
    for i, step in enumerate(steps):
        later = {name for other in steps[i + 1 :] for name in other.reads} | {output}
        over = step.in_place and step.reads[0] not in later and held[step.reads[0]] >= sizes[step.makes[0]]
        if not over:
            held[step.makes[0]] = sizes[step.makes[0]]
        most = max(most, sum(held.values()))
        held[step.makes[0]] = sizes[step.makes[0]]
        held = {name: size for name, size in held.items() if name in later}
    assert peak(steps, sizes, ["t0"], [output]) == most


@pytest.mark.slow
def test_a_search_keeps_bounds_on_both_and_counts_them() -> None:
    import searchkit

    result = searchkit.run(
        "random", space="residual", data=searchkit.load_data("digits", limit=60), budget=6, epochs=1, storage="memory",
        objectives=("accuracy", "flash_int8"), constraints={"ram_int8": 6000, "flash_int8": 300_000},
    )  # fmt: skip
    history = result.history
    trained = history[history.state == "scored"]
    assert len(trained)
    assert (trained.ram_int8 <= 6000).all()
    assert (trained.flash_int8 <= 300_000).all()
    assert (history.state == "infeasible").any()
    found = int8_memory(result.build(0).network, result.network_space.input_shape)  # type: ignore[union-attr]
    assert (found.ram, found.flash) == (result.front.ram_int8[0], result.front.flash_int8[0])
