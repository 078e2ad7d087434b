"""What is logged of a training of shared weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from searchkit.sharing.epoch import EpochDone
from searchkit.sharing.judging import IN_NO_STEP

GUESSED = 0.97  # of the loss of guessing: what networks have at least that have learned nothing
LITTLE = 0.5  # of the epochs that were asked for, below which a shorter training is warned of
SETTLED = 0.7  # rank correlation of two late orders of the probes, below which a warning is given
log = logging.getLogger("searchkit")


def logged(done: EpochDone, epochs: int) -> None:
    """Say what is known after an epoch, with the number of epochs in all."""
    said = "" if done.val_loss is None else f", validation loss of a few networks {done.val_loss:.3f}"
    said += "" if done.agreement is None else f", their order is as before by {done.agreement:.2f}"
    log.info("shared weights: epoch %d of %d, training loss %.3f%s", done.epoch, epochs, done.train_loss, said)


def said_other(path: object, differs: Sequence[str]) -> str:
    """Why a file of shared weights is not read, by what differs, and what to do where that is the space."""
    hint = ""
    if "space" in differs:
        hint = "; weights of a whole space are loaded into SharedWeights of it, which searches of its parts take"
    return f"{path} holds shared weights with another {' and another '.join(differs)}{hint}"


def said_longer(why: str, epochs: float, bounded: bool, timed: bool) -> str:
    """The reason why a network has no loss, with what to change where that was too short a training.

    Args:
        bounded: whether only paths within bounds were trained.
        timed: whether a time has decided how many epochs there were.
    """
    if IN_NO_STEP not in why:
        return why
    within = ", or search within the bounds that they were trained in" if bounded else ""
    more = f"more time, which {epochs:.3g} epochs fitted into" if timed else f"more epochs than {epochs:g}"
    return f"{why}: give {more}{within}"


def warn_unsettled(settled: float | None, epochs: float) -> None:
    """Warn where the order of networks was still changing in the last part of a training.

    Args:
        settled: the rank correlation of the last order with an earlier one.
    """
    if settled is not None and settled < SETTLED:
        log.warning(
            "the order of networks by shared weights has not settled: rho %.2f with that after six tenths of the "
            "epochs; what they say may be the wrong way round, give more epochs than %g",
            settled,
            epochs,
        )


def say_planned(steps: int, asked: int, per_epoch: int, seconds: float) -> None:
    """Say how long a training is that a time has planned; a warning where that is less than half of what was asked."""
    if steps < asked:
        log.log(
            logging.WARNING if steps < LITTLE * asked else logging.INFO,
            "shared weights: %.3g of %.3g epochs, as many as are expected to fit into %.3g s%s",
            steps / per_epoch, asked / per_epoch, max(0.0, seconds),
            "; after a short training they may rank networks the wrong way round" if steps < LITTLE * asked else "",
        )  # fmt: skip


def warn_guessing(losses: Sequence[float], guessing: float, epochs: float, lr: float, left: bool = False) -> None:
    """Warn where networks with shared weights are no better than a guess that does not look at the inputs.

    Args:
        losses: of networks drawn at random, after the training.
        guessing: the loss of such a guess.
        left: the losses are of the network that a policy is left with.
    """
    middle = float(np.median(losses)) if losses else math.nan
    if losses and middle >= GUESSED * guessing:
        log.warning(
            "the shared weights have learned nothing yet: the loss of %s is %.3f, and that of guessing is %.3f; the "
            "order of networks by them is chance, give more epochs than %g, or another lr than %g",
            "the network that is left" if left else f"{len(losses)} networks drawn at random (median)",
            middle, guessing, epochs, lr,
        )  # fmt: skip
