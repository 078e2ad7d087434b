"""Average pools have right gradients on a card, whatever this torch's own kernels come to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.plugins import load_space
from searchkit.runtime import pooling
from searchkit.runtime.pooling import right_pooling
from searchkit.training.train import build_seeded

CARD = torch.device("cuda", 0)
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    "even": nn.AvgPool2d(2, 2, 1, ceil_mode=True),
    "function": lambda x: functional.avg_pool2d(x, 3, 1, 1, False, False),
    "by name": lambda x: functional.avg_pool2d(input=x, kernel_size=(3, 5), stride=2, padding=(1, 2)),
    "divisor": lambda x: functional.avg_pool2d(x, 3, padding=[1, 0], divisor_override=4),
    "no padding": nn.AvgPool2d(2),
}


def gradient(pool: Callable[[Tensor], Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    x = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0)).to(device)
    x = x.to(memory_format=torch.channels_last, copy=True).requires_grad_()
    y = pool(x)
    y.backward(torch.cos(torch.arange(float(y.numel()))).view(y.shape).to(device))
    assert x.grad is not None
    return y.detach().cpu(), x.grad.cpu()


@pytest.mark.gpu
@needs_a_gpu
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_on_a_card_gradients_are_those_of_the_cpu(pool: Callable[[Tensor], Tensor]) -> None:
    with right_pooling(CARD):
        found = gradient(pool, CARD)
    torch.testing.assert_close(found, gradient(pool, torch.device("cpu")), rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@needs_a_gpu
@pytest.mark.parametrize("name", ["nas-bench-201", "macro", "mobilenet", "residual"])
def test_on_a_card_networks_of_the_built_in_spaces_have_the_gradients_of_the_cpu(name: str) -> None:
    space = load_space(name).for_data((3, 16, 16), 10)
    for code in space.sample(4, np.random.default_rng(0)):
        found = []
        for device in (torch.device("cpu"), CARD):
            network = build_seeded(space, code, 0).double().to(device, memory_format=torch.channels_last).train()
            x = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()
            x = x.to(device, memory_format=torch.channels_last)
            with right_pooling(device):
                network(x).square().mean().backward()
            found.append(torch.cat([p.grad.cpu().flatten() for p in network.parameters() if p.grad is not None]))
        assert (found[0] - found[1]).norm() < 1e-6 * found[0].norm()  # in float32 a ReLU's sign may change: 1e-2


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_another_format_inside_changes_nothing_that_a_network_sees(
    pool: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def affected(x: Tensor, padding: object) -> bool:
        seen.append(True)
        return True

    wanted = gradient(pool, torch.device("cpu"))
    monkeypatch.setattr(pooling, "_is_affected", affected)
    with pooling._Contiguous():
        torch.testing.assert_close(gradient(pool, torch.device("cpu")), wanted)
        x = torch.ones(2, 3, 9, 8).to(memory_format=torch.channels_last)
        assert pool(x).is_contiguous(memory_format=torch.channels_last)
    assert seen == [True, True]
