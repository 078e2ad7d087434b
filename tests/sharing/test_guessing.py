"""Shared weights that have learned nothing: what guessing comes to in each task, and the warning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.dense import masked

from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.sharing import SharedWeights
from searchkit.sharing.judging import Judged
from searchkit.sharing.log import warn_guessing
from searchkit.spaces.macro import macro

CPU = torch.device("cpu")
TABLE = np.random.default_rng(0).normal(size=(400, 3))
SMALL = macro(width=4, layers=(1, 1))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


def test_guessing_among_balanced_classes_is_the_log_of_their_number(digits: Data) -> None:
    assert Judged.of(digits.without_test(), CPU).guessing == pytest.approx(math.log(10), abs=0.02)


def test_guessing_takes_the_shares_of_the_classes_and_the_mean_of_quantities() -> None:
    rare = np.where(np.arange(400) % 10 == 0, "rare", "usual")
    entropy = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
    assert Judged.of(load_data((TABLE, rare)).without_test(), CPU).guessing == pytest.approx(entropy, abs=0.02)
    labels = np.stack([np.arange(400) % 10 == 0, np.arange(400) % 2 == 0], axis=1).astype(int)
    found = Judged.of(load_data((TABLE, labels)).without_test(), CPU).guessing
    assert found in (pytest.approx(entropy + math.log(2), abs=0.1), pytest.approx((entropy + math.log(2)) / 2, abs=0.1))
    quantity = Judged.of(load_data((TABLE, 50 + 9 * TABLE[:, 0]), task="regression").without_test(), CPU)
    assert quantity.guessing == pytest.approx(1, abs=0.4)


def test_guessing_of_masks_is_below_the_log_of_their_classes() -> None:
    x, masks = masked()
    judged = Judged.of(load_data((x, masks)).without_test(), CPU)
    shares = np.unique(masks, return_counts=True)[1] / masks.size
    assert judged.guessing == pytest.approx(-(shares * np.log(shares)).sum(), abs=0.2)
    assert judged.guessing < math.log(len(shares))


def test_weights_that_have_learned_nothing_are_said_to_have(digits: Data, caplog: pytest.LogCaptureFixture) -> None:
    SharedWeights(SMALL, digits, epochs=1, lr=1e-9).fit()
    assert "the shared weights have learned nothing yet" in caplog.text
    assert "guessing is 2.3" in caplog.text
    assert "more epochs than 1, or another lr than 1e-09" in caplog.text


def test_weights_that_have_learned_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    warn_guessing([2.0, 2.3, 1.0], 2.3, 5, 0.1)
    warn_guessing([], 2.3, 5, 0.1)
    assert caplog.text == ""
