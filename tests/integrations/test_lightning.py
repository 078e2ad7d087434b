"""A LightningModule as a training function: trained in place, reported, stopped; what is said where it cannot be."""

from __future__ import annotations

import math
import signal
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.errors import SearchFailedError, SearchkitError
from searchkit.integrations.lightning import library, lightning_training
from searchkit.problem.trial import State

try:
    lightning = library()
except SearchkitError as error:
    pytest.skip(str(error), allow_module_level=True)

DIGITS = searchkit.load_data("digits", limit=300)


def linear(choices: dict[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
    layers = [nn.Flatten(), nn.Linear(math.prod(shape), choices["width"]), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(choices["width"], n_classes))


SPACE = NetworkSpace(
    [Choice("width", (1, 2, 3, 4, 8, 12, 16, 24, 32, 40))], build=linear, input_shape=(1, 8, 8), n_classes=10,
    name="linear",
)  # fmt: skip


class Mine(lightning.LightningModule):
    def __init__(self, network: nn.Module, called: str = "accuracy") -> None:
        super().__init__()
        self.network, self.called = network, called

    def training_step(self, batch, index):
        return functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log(self.called, (self.network(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.03)


class Unvalidated(Mine):
    validation_step = lightning.LightningModule.validation_step

    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss


def run(training: Any, **given: Any) -> searchkit.Result:
    given = {"space": SPACE, "data": DIGITS, "budget": 2, "storage": "memory", "proxies": (), "progress": False} | given
    return searchkit.run("random", training=training, device="cpu", **given)


def test_a_module_in_ten_lines_trains_is_reported_and_is_what_the_result_builds(capfd: pytest.CaptureFixture) -> None:
    result = run(lightning_training(Mine, max_epochs=4))
    assert (result.reports.groupby("trial").epoch.apply(list).map(tuple) == (1.0, 2.0, 3.0, 4.0)).all()
    best = result.best()
    assert best.accuracy > 0.5
    network = result.build(0)
    with torch.no_grad():
        right = (network(DIGITS.val.x).argmax(1) == DIGITS.val.y).float().mean()
    assert float(right) == pytest.approx(best.accuracy)
    assert capfd.readouterr().out == ""
    again = run(lightning_training(Mine, max_epochs=4))
    assert again.reports.equals(result.reports)


def test_where_the_search_says_stop_the_trainer_stops_after_that_epoch() -> None:
    result = run(lightning_training(Mine, max_epochs=4), budget=8, objectives="accuracy", early_stopping="halving")
    dropped = [trial for trial in result.trials if trial.state is State.DROPPED]
    assert len(dropped) >= 3
    assert {trial.reports[-1][0] for trial in dropped} <= {1.0, 3.0}
    whole = [trial for trial in result.trials if trial.state is State.SCORED]
    assert {len(trial.reports) for trial in whole} == {4}


def test_names_say_what_the_search_calls_what_is_logged() -> None:
    result = run(
        lightning_training(lambda network: Mine(network, "val_acc"), max_epochs=1, names={"val_acc": "accuracy"})
    )
    assert list(result.reports.columns) == ["trial", "epoch", "accuracy"]


def test_without_a_validation_what_is_logged_in_training_is_reported() -> None:
    result = run(lightning_training(Unvalidated, max_epochs=2))
    assert list(result.reports.columns) == ["trial", "epoch", "loss"]
    assert result.history.accuracy.between(0, 1).all()  # by searchkit


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda network: network, "made Normalised, not a LightningModule"),
        (lambda network: Mine(nn.Linear(1, 1)), "does not keep the network that it was given"),
        (lambda network: Mine(network, "other"), "logged none of val_acc (other)"),
    ],
)
def test_a_module_that_cannot_be_used_fails_with_the_reason(make: Any, words: str) -> None:
    with pytest.raises(SearchFailedError) as failed:
        run(lightning_training(make, max_epochs=1, names={"val_acc": "accuracy"}), budget=3)
    assert words in str(failed.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"module": 3, "max_epochs": 1}, "takes a function (network) -> LightningModule"),
        ({"module": Mine, "max_epochs": 0}, "max_epochs is a whole number of at least 1, not 0"),
        ({"module": Mine, "max_epochs": 1, "batch_size": 0.5}, "batch_size is a whole number"),
        ({"module": Mine, "max_epochs": 1, "devices": 2}, "devices of the trainer is for the search to decide"),
    ],
)
def test_arguments_are_checked(given: dict, words: str) -> None:
    with pytest.raises(SearchkitError) as raised:
        lightning_training(**given)
    assert words in str(raised.value)


def test_ctrl_c_ends_the_search_and_not_the_process() -> None:
    class Interrupted(Mine):
        def training_step(self, batch, index):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = run(lightning_training(Interrupted, max_epochs=1))
    assert result.stopped == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before
