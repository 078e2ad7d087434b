"""Latencies measured together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.costs.together import latencies_together


def convolutions(n: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(n)), nn.Flatten(), nn.Linear(8 * 16 * 16, 2))


class Unusual(nn.Module):
    """What the tracing exporter does not take."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x.mean((1, 2))).real


def test_more_work_takes_longer() -> None:
    torch.manual_seed(0)
    networks = [convolutions(2), convolutions(16), convolutions(2)]
    modes = [network.training for network in networks]
    found = latencies_together(networks, (8, 16, 16), 0.2)
    assert found[1] > max(found[0], found[2])
    assert [network.training for network in networks] == modes


def test_all_are_run_by_one_method() -> None:
    found = latencies_together([convolutions(1), Unusual()], (8, 16, 16), 0.02)
    assert np.isfinite(found).all()
    assert (found > 0).all()
