"""Statistics of batch normalisations taken anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from searchkit.data.loading import load_data
from searchkit.training.recalibration import as_it_is, recalibrated

DATA = replace(load_data("digits", limit=300).as_given())


def network(momentum: float | None = 0.1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, momentum=momentum),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(144, 10),
    )


def test_the_statistics_are_those_of_the_train_part() -> None:
    given = network()
    before = {name: tensor.clone() for name, tensor in given.state_dict().items()}
    found = recalibrated(given, DATA)
    with torch.no_grad():
        inside = given[0](DATA.train.x.float())  # type: ignore[index]
    norm = found[1]  # type: ignore[index]
    assert norm.running_mean.numpy() == pytest.approx(inside.mean((0, 2, 3)).numpy(), rel=0.02, abs=0.02)
    assert norm.running_var.numpy() == pytest.approx(inside.var((0, 2, 3)).numpy(), rel=0.05)
    assert norm.momentum == 0.1
    assert not any(module.training for module in found.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in given.state_dict().items())


def test_the_better_of_both_is_kept() -> None:
    wrong = network()
    wrong[1].running_mean.fill_(1e3)  # type: ignore[index]
    kept, found = as_it_is(wrong, DATA, "accuracy")
    assert kept is not wrong
    assert float(kept[1].running_mean.abs().max()) < 100  # type: ignore[index]
    right = recalibrated(network(), DATA)
    _, again = as_it_is(right, DATA, "accuracy")
    assert again["accuracy"] >= found["accuracy"]


def test_a_network_without_normalisations_is_as_it_is() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    kept, found = as_it_is(plain, DATA, "accuracy")
    assert kept is plain
    assert 0 <= found["accuracy"] <= 1
