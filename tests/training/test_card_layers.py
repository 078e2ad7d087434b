"""Batch norm and average pooling by our own kernels: the same values, gradients and statistics as torch's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from searchkit.training import card_layers as ours
from searchkit.training.card_layers import card_layers

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
SHAPES = [(4, 16, 9, 8), (2, 70, 5, 5), (16, 3, 1, 1), (128, 16, 32, 32)]
POOLS = [nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.AvgPool2d(3, 1, 1), nn.AvgPool2d(5, 1, 2)]


def outcome(layer: nn.Module, x: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """What a layer gives, and what it learns, for one input and one gradient; on the CPU, in double precision."""
    layer, leaf = copy.deepcopy(layer), x.clone().requires_grad_()
    y = layer(leaf)
    y.backward(dy.to(y.dtype))
    found = {"y": y.detach(), "gradient": leaf.grad}
    found |= {f"gradient of {name}": p.grad for name, p in layer.named_parameters()}
    return {name: tensor.cpu().double() for name, tensor in (found | dict(layer.named_buffers())).items()}


def norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2)
        layer.bias.normal_()
    return layer


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("which", ["norm", 0, 1])
def test_they_are_torchs_layers(shape: tuple[int, ...], dtype: torch.dtype, which: str | int) -> None:
    torch.manual_seed(0)
    device = torch.device("cuda", 0)
    layer = norm(shape[1]) if which == "norm" else POOLS[int(which)]
    x, dy = ((3 + 2 * torch.randn(shape)).to(dtype, memory_format=torch.channels_last) for _ in range(2))
    wanted = outcome(copy.deepcopy(layer).double(), x.double(), dy)
    layer = layer.to(device)
    with card_layers(layer, device):
        found = outcome(layer, x.to(device), dy.to(device))
        assert "forward" in layer.__dict__
    for name, right in wanted.items():
        assert (found[name] - right).norm() < (1e-4 if dtype is torch.float32 else 1e-2) * right.norm(), name


@gpu
@pytest.mark.gpu
def test_what_the_kernels_are_not_made_for_is_torchs() -> None:
    device = torch.device("cuda", 0)
    layer = norm(6).to(device)
    x = torch.randn(5, 6, 4, 4, device=device)
    with card_layers(layer, device):
        torch.testing.assert_close(layer(x), nn.functional.batch_norm(x, None, None, layer.weight, layer.bias, True))
        still = layer.eval()(x)
    torch.testing.assert_close(still, layer(x))
    with card_layers(layer.train(), device), pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(torch.randn(1, 6, 1, 1, device=device))


def test_on_a_cpu_nothing_changes() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), POOLS[0])
    with card_layers(network, torch.device("cpu")):
        assert not any("forward" in layer.__dict__ for layer in network.modules())


def test_only_layers_that_the_kernels_compute_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Special(nn.BatchNorm2d):
        pass

    patched = nn.BatchNorm2d(3)
    patched.forward = lambda x: x  # type: ignore[method-assign]
    taken = [nn.BatchNorm2d(3), *POOLS]
    left = [
        Special(3), patched, nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3, momentum=None), nn.BatchNorm1d(3),
        nn.BatchNorm2d(3, track_running_stats=False), nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 1, 0),
        nn.AvgPool2d(3, 1, 1, divisor_override=2), nn.AvgPool2d((3, 5), 1, (1, 2)), nn.MaxPool2d(3, 1, 1),
    ]  # fmt: skip
    monkeypatch.setattr(ours, "_usable", lambda device: True)
    network = nn.ModuleList([*taken, *left])
    own = patched.forward
    with card_layers(network, torch.device("cuda")):
        changed = [layer for layer in network if "forward" in layer.__dict__ and layer is not patched]
        assert changed == taken
    assert not any("forward" in layer.__dict__ for layer in network if layer is not patched)
    assert patched.forward is own
