"""Signals of networks whose weights are given: flatness, angle and the Fisher-Rao norm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import ProxyError
from searchkit.proxies.angle import Angle
from searchkit.proxies.fisher_rao import FisherRao
from searchkit.proxies.flatness import Flatness
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.scorer import Scorer
from searchkit.sharing import SharedWeights
from searchkit.sharing.starts import Given
from searchkit.spaces.macro import macro
from searchkit.training.train import build_seeded

SPACE = macro(width=4, layers=(2, 1), input_shape=(1, 8, 8))
CODES = SPACE.check([[1, 2, 1], [1, 1, 2]])


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=600).without_test()


@pytest.fixture(scope="module")
def shared(digits: Data) -> SharedWeights:
    return SharedWeights(SPACE, digits, epochs=4).fit()


@pytest.mark.slow
def test_the_angle_is_between_weights_as_they_were_and_as_they_are(shared: SharedWeights, digits: Data) -> None:
    scores = Scorer(SPACE, [Angle()], digits, weights=shared)(CODES)[:, 0]
    for code, score in zip(CODES, scores, strict=True):
        first, last = shared.initial(code), shared.start(code)
        names = [name for name, tensor in first.items() if tensor.ndim > 1]
        a, b = (torch.cat([tensors[name].flatten() for name in names]).double() for tensors in (first, last))
        assert score == pytest.approx(float(torch.arccos(a @ b / a.norm() / b.norm())), abs=1e-6)
    assert (scores > 0).all()


@pytest.mark.slow
def test_flatness_is_the_slope_of_the_loss_along_noise(shared: SharedWeights, digits: Data) -> None:
    near, far = (Scorer(SPACE, [Flatness((d,))], digits, weights=shared)(CODES)[:, 0] for d in (1e-4, 3.0))
    assert (near <= 0).all()
    assert np.isfinite(far).all()
    assert np.array_equal(near, Scorer(SPACE, [Flatness((1e-4,))], digits, weights=shared)(CODES[::-1])[::-1, 0])
    flat = {name: torch.zeros_like(one) for name, one in build_seeded(SPACE, CODES[0], 0).named_parameters()}
    assert Scorer(SPACE, [Flatness()], digits, weights=Given(flat, "zeros"))(CODES[:1])[0, 0] == 0, "zeros do not move"


@pytest.mark.parametrize("proxy", [Flatness(), Angle()])
def test_random_weights_have_neither(proxy: Flatness | Angle, digits: Data) -> None:
    scorer = Scorer(SPACE, [proxy], digits, warns=False)
    assert np.isnan(scorer(CODES)).all()
    assert "give" in str(scorer.reason(CODES[0], proxy.names[0]))


def test_an_angle_needs_weights_that_know_what_they_were(digits: Data) -> None:
    state = build_seeded(SPACE, CODES[0], 0).state_dict()
    assert np.isnan(Scorer(SPACE, [Angle()], digits, warns=False, weights=Given(state, "some"))(CODES[:1])).all()


def test_fisher_rao_is_weights_times_gradients(digits: Data) -> None:
    network = build_seeded(SPACE, CODES[0], 3).train()
    inputs = ProxyInputs(digits, (1, 8, 8), (10,), torch.device("cpu"), 0)
    for i in range(4):
        x, y = inputs.images(32, i)
        nn.functional.cross_entropy(network(x), y).backward()  # type: ignore[no-untyped-call]
    total = sum(
        float((p.detach().double() * p.grad.double()).sum()) for p in network.parameters() if p.grad is not None
    )
    start = Given(build_seeded(SPACE, CODES[0], 3).state_dict(), "seed 3")
    score = Scorer(SPACE, [FisherRao()], digits, weights=start)(CODES[:1])[0, 0]
    assert score == pytest.approx(math.log(abs(total)), rel=1e-3)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ProxyError, match="deviations above 0 that rise"):
        Flatness((0.1, 0.05))
    with pytest.raises(ProxyError, match="minibatches"):
        FisherRao(n_batches=0)
