"""What readers of the README and the documentation have, and calls of theirs with less to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import searchkit
from searchkit.compression.learning import LearningSetting


def a_network() -> nn.Module:
    """One that takes the digits."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def compress_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a bound that a network as small as the reader's can meet, and with little training."""
    compress = searchkit.compress
    learning = LearningSetting(least=20, passes=0.1)
    less = {"constraints": {"params": "60%"}, "epochs": 1, "progress": False, "learning": learning}

    def small(*given: Any, **more: Any) -> Any:
        return compress(*given, **(more | less))

    monkeypatch.setattr(searchkit, "compress", small)
