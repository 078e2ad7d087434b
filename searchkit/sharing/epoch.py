"""What is known of shared weights after an epoch of their training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochDone:
    """What is known of the weights after an epoch.

    Attributes:
        epoch: number of epochs done, from 1.
        train_loss: mean of its steps.
        val_loss: mean of the probes, a few paths that are the same after every epoch; None where none is trained yet,
            and after epochs after which they are not judged, as that would take longer than the epoch.
        agreement: Spearman's rho of the probes' losses with those when they were judged before: whether the order of
            paths has settled. None where they were not.
    """

    epoch: int
    train_loss: float
    val_loss: float | None = None
    agreement: float | None = None
