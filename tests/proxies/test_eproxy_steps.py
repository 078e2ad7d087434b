"""Eproxy's steps, recorded once and repeated, come to the same score to the bit as when each is made from Python."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.replayed import Recording, TwoStages
from torch import Tensor, nn

import searchkit
from searchkit.errors import CandidateError
from searchkit.proxies.eproxy import DEFAULT, Branch, EproxySetting
from searchkit.proxies.eproxy_pass import regression_errors
from searchkit.runtime.cuda_graphs import Capture, Work
from searchkit.runtime.threads import one_thread
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import Built, build
from searchkit.space import NetworkSpace
from searchkit.spaces.nas_bench_201 import nas_bench_201

SMALL = EproxySetting(batch=4, side=4, branches=(Branch(out_channels=8, last_channels=8),) * 3)
CELLS = nas_bench_201(width=4, cells=1, input_shape=(3, 8, 8))


def built(network: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> Built:
    inputs = ProxyInputs(None, shape, 10, torch.device("cpu"), 0)
    return Built(network.to(memory_format=torch.channels_last).train(), inputs, 7, inputs.device, dict)  # type: ignore[call-overload]


def small(between: Callable[[Tensor], Tensor]) -> Built:
    torch.manual_seed(0)
    return built(TwoStages(between))


def errors(subject: Built, setting: EproxySetting, capture: Capture | None = None) -> list[float]:
    """As a pass is run: from the initial weights and the candidate's random state."""
    random.seed(0)
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(subject.seed)
        subject.reset()
        return regression_errors(setting, subject, capture)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "codes", "setting"),
    [
        (CELLS, CELLS.enumerate()[[5, 900, 1700, 2500, 3300, 4100]], SMALL),
        (searchkit.load_space("macro", width=8), 2, replace(DEFAULT, batch=4, steps=5)),
        (searchkit.load_space("mobilenet"), 1, replace(DEFAULT, batch=4, steps=5)),
    ],
    ids=["nas-bench-201", "macro", "mobilenet"],
)
def test_repeating_a_recorded_step_is_as_making_each(space: NetworkSpace, codes: Any, setting: EproxySetting) -> None:
    if isinstance(codes, int):
        codes = space.sample(codes, np.random.default_rng(0))
    inputs = ProxyInputs(None, space.input_shape, space.n_classes, torch.device("cpu"), 0)
    for code in codes:
        subject, capture = build(space, code, inputs, 0), Recording()
        assert errors(subject, setting, capture) == errors(subject, setting)
        assert (capture.recorded, capture.repeated) == (1, setting.steps - 1)


def test_random_numbers_of_the_network_are_drawn_anew_in_each_step() -> None:
    subject, capture = small(nn.Dropout(0.5)), Recording()
    assert errors(subject, SMALL, capture) == errors(subject, SMALL)
    assert capture.recorded == 1
    assert errors(small(nn.Identity()), SMALL) != errors(subject, SMALL)


def waits(x: Tensor) -> Tensor:
    return x if x.sum().item() > 0 else -x


def test_a_network_that_waits_for_a_value_has_the_same_score() -> None:
    subject, capture = small(waits), Recording()
    assert errors(subject, SMALL, capture) == errors(subject, SMALL)
    assert (capture.refused, capture.repeated) == (1, 0)


def test_what_a_recording_would_freeze_is_not_recorded() -> None:
    unlike = small(lambda x: x * random.choice((-1.0, 2.0)))
    counted = small(nn.Identity())
    counted.network.recordable = False  # type: ignore[assignment]
    for subject in (unlike, counted):
        capture = Recording()
        assert errors(subject, SMALL, capture) == errors(subject, SMALL)
        assert (capture.recorded, capture.refused) == (0, 0)


def test_few_steps_are_not_worth_a_recording() -> None:
    for steps in (1, 2, 3):
        subject, capture = small(nn.Identity()), Recording()
        few = replace(SMALL, steps=steps)
        assert errors(subject, few, capture) == errors(subject, few)
        assert capture.recorded == 0


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: unspecified launch failure"), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_a_lost_device_and_a_lack_of_memory_are_no_reason_to_go_on(error: Exception) -> None:
    def refuse(work: Work) -> Work:
        raise error

    with pytest.raises(type(error), match=str(error)):
        errors(small(nn.Identity()), SMALL, refuse)


def test_without_feature_maps_there_is_no_score() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).sum(dim=1, keepdim=True)

    with pytest.raises(CandidateError, match="no feature maps"):
        errors(built(Flat()), SMALL, Recording())
