"""TE-NAS's signals: exact kernels of linear networks, regions of known functions, and ranks among others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from searchkit import Choice, NetworkSpace
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import ProxyError
from searchkit.proxies.te_nas import CLAMPED, NTK, TENAS, Regions, condition, tangent_kernel
from searchkit.scoring.passes.activation_signs import Patterns
from searchkit.scoring.scorer import Scorer
from searchkit.spaces.nas_bench_201 import nas_bench_201

CELLS = nas_bench_201(width=4, cells=1, input_shape=(1, 8, 8))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=300).without_test()


def test_the_kernel_of_a_linear_network_is_the_gram_matrix_of_its_inputs() -> None:
    x = torch.randn(20, 7)
    kernel = tangent_kernel(nn.Linear(7, 3, bias=False), x)
    assert torch.allclose(kernel, 3 * (x.double() @ x.double().T), atol=1e-4)
    square = torch.randn(5, 7)
    values = torch.linalg.eigvalsh(square.double() @ square.double().T)
    found = condition(tangent_kernel(nn.Linear(7, 1, bias=False), square))
    assert found == pytest.approx(float(values[-1] / values[0]), rel=1e-3)


def test_two_equal_inputs_cannot_be_told_apart() -> None:
    x = torch.randn(6, 9)
    x[3] = x[1]
    assert condition(tangent_kernel(nn.Linear(9, 2), x)) == CLAMPED


def test_regions_are_the_distinct_patterns_of_units() -> None:
    network = nn.Sequential(nn.Linear(1, 3, bias=True), nn.ReLU())
    layer = network[0]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.copy_(torch.tensor([0.0, -1.0, -2.0]))  # bends at 0, 1 and 2
        x = torch.linspace(-0.95, 3.05, 41)[:, None]
        with Patterns(len(x)) as patterns:
            network(x)
    assert patterns.distinct() == 4


@pytest.mark.slow
def test_signals_rank_among_random_networks(digits: Data) -> None:
    codes = CELLS.sample(4, np.random.default_rng(3))
    one, many = NTK(8, 1), Regions(60, 1)
    ranked = TENAS(CELLS, digits, others=4, ntk=one, regions=many)
    signals = Scorer(CELLS, [one, many], digits, warns=False)(codes)
    found = ranked.score(codes)
    kept = np.isfinite(signals).all(axis=1)
    assert (np.isfinite(found) == kept).all()
    assert ((found[kept] >= 0) & (found[kept] <= 1)).all()
    assert (signals[kept, 1] <= math.log(60)).all()
    best = np.flatnonzero(kept)[np.argmax(signals[kept].sum(axis=1))]
    worse = [i for i in np.flatnonzero(kept) if (signals[i] <= signals[best]).all()]
    assert all(found[i] <= found[best] for i in worse)


def test_what_cannot_be_scored_says_why(digits: Data) -> None:
    def build(choices: object, input_shape: object, n_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, n_classes))

    plain = NetworkSpace([Choice("a", (1, 2))], build, input_shape=(1, 8, 8))
    scorer = Scorer(plain, [Regions(20, 1)], digits, warns=False)
    assert np.isnan(scorer(np.array([[0]]))).all()
    assert "3 x 3" in str(scorer.reason(np.array([0]), "regions"))
    with pytest.raises(ProxyError, match="2 inputs"):
        NTK(1)
    with pytest.raises(ProxyError, match="2 crops"):
        Regions(1)
    with pytest.raises(ProxyError, match="2 or more other"):
        TENAS(CELLS, digits, others=1)


def test_a_candidate_without_one_of_its_signals_says_which(digits: Data) -> None:
    def build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
        act = nn.ReLU() if choices["act"] == "relu" else nn.Identity()
        return nn.Sequential(nn.Conv2d(input_shape[0], n_classes, 3), act, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    space = NetworkSpace([Choice("act", ("relu", "none"))], build, name="acts", input_shape=(1, 8, 8))
    scorer = Scorer(space, [TENAS(space, digits, others=2, ntk=NTK(4, 1), regions=Regions(8, 1))], warns=False)
    scores = scorer(space.enumerate())
    assert np.isnan(scores[:, 0]).tolist() == [False, True]
    assert str(scorer.reason(space.enumerate()[1], "te_nas")).startswith("it has no regions: ")
    assert scorer.reason(space.enumerate()[0], "te_nas") is None
