"""torch's compiler: importing it takes a process seconds, and nothing that searchkit does by itself needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from searchkit.runtime import torch_compat

SEARCH = """
import sys
import torch
import searchkit

SPACE = searchkit.load_space("macro", width=2, layers=(1, 1))
searchkit.run(
    "random", space=SPACE, data=searchkit.load_data("digits", limit=200), objectives=("accuracy", "params", "macs"),
    budget=2, epochs=1, storage="memory", progress=False, proxies=("naswot",), screen=2, recipe=RECIPE,
)
print("torch._dynamo" in sys.modules)
"""

LATER = """
import sys
import torch
from searchkit.runtime import torch_compat

torch_compat.spare_compiler()
weight = torch.nn.Parameter(torch.ones(3))
optimiser = torch.optim.SGD([weight], lr=0.5)
weight.grad = torch.ones(3)
torch_compat.make_step(optimiser)
optimiser.zero_grad()
optimiser.load_state_dict(optimiser.state_dict())
assert "torch._dynamo" not in sys.modules
assert weight.grad is None and weight.tolist() == [0.5] * 3

@torch.compile(backend="eager")
def step():
    optimiser.zero_grad()
    (weight ** 2).sum().backward()
    optimiser.step()

step()
assert weight.tolist() == [0.0] * 3, weight
weight.grad = torch.ones(3)
optimiser.zero_grad()
assert weight.grad is None
own = getattr(torch.optim.Optimizer.zero_grad.__wrapped__, torch_compat.APART)
print(own.__module__.startswith("torch."))
"""


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ['{"optimiser": "sgd"}', '{"optimiser": "adamw"}'])
def test_a_search_does_without_it(recipe: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SEARCH.replace("RECIPE", recipe)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


@pytest.mark.slow
def test_it_is_there_for_those_who_use_it_later() -> None:
    run = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "True", run.stderr


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adam])
@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}])
def test_a_step_is_the_optimisers_own(kind: type[torch.optim.Optimizer], options: dict[str, bool]) -> None:
    ours, torchs = nn.Linear(3, 2), nn.Linear(3, 2)
    torchs.load_state_dict(ours.state_dict())
    steps = [kind(network.parameters(), lr=0.1, weight_decay=0.01, **options) for network in (ours, torchs)]  # type: ignore[call-arg]
    for _ in range(3):
        for network, optimiser in zip((ours, torchs), steps, strict=True):
            optimiser.zero_grad()
            network(torch.ones(4, 3)).square().sum().backward()
            torch_compat.make_step(optimiser) if network is ours else optimiser.step()
    assert torch.equal(ours.weight, torchs.weight)
    assert torch.equal(ours.bias, torchs.bias)
