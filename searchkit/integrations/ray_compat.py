"""What is used of Ray, and of Ray Tune's bridge to Optuna, that has no public name; checked on ray 2.60.0.

Where a later Ray has moved a name, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableSet
from typing import Any

import optuna


def study_of(searcher: Any) -> Any:
    """The Optuna study that a searcher keeps; None before it knows what is searched."""
    return searcher._ot_study


def trials_of(searcher: Any) -> dict[str, optuna.Trial]:
    """Optuna's trials by Tune's names of them."""
    trials: dict[str, optuna.Trial] = searcher._ot_trials
    return trials


def completed_of(searcher: Any) -> MutableSet[str]:
    """Tune's names of the trials that have been told."""
    completed: MutableSet[str] = searcher._completed_trials
    return completed


def space_of(searcher: Any) -> Any:
    """Optuna's distributions by name, or a function that asks for them."""
    return searcher._space


def last_cluster() -> str | None:
    """The address of the last cluster that ``ray start`` began on this machine, which may be gone; or None."""
    from ray._private.utils import read_ray_address

    return read_ray_address() or None


@contextlib.contextmanager
def on_the_loopback() -> Iterator[None]:
    """A cluster that is started inside has its ports on the loopback interface, as on Windows and macOS.

    On Linux it has them on all interfaces otherwise, and the address 127.0.0.1 is replaced by that of the machine.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
