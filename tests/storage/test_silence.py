"""Optuna's messages are silenced in one thread as if no other thread existed."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator

import pytest
from optuna.exceptions import ExperimentalWarning

from searchkit.storage.optuna_compat import quiet

LOGGER = logging.getLogger("optuna")


@pytest.fixture(autouse=True)
def level() -> Iterator[int]:
    before = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    with warnings.catch_warnings():
        yield logging.INFO
    LOGGER.setLevel(before)


class Other:
    """A thread that is inside quiet() from enter() to leave()."""

    def enter(self) -> None:
        self._leave, entered = threading.Event(), threading.Event()

        def be_inside() -> None:
            with quiet():
                entered.set()
                self._leave.wait(60)

        self._thread = threading.Thread(target=be_inside)
        self._thread.start()
        assert entered.wait(60)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join()


def said() -> int:
    """How many warnings of experimental features are let through."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn("new", ExperimentalWarning, stacklevel=1)
    return len(seen)


def test_messages_are_silenced_inside_and_told_again_after_it() -> None:
    warnings.simplefilter("always")
    before = list(warnings.filters)
    with quiet():
        assert (LOGGER.level, said()) == (logging.WARNING, 0)
        with quiet():
            assert said() == 0
        assert (LOGGER.level, said()) == (logging.WARNING, 0)
    assert (LOGGER.level, said()) == (logging.INFO, 1)
    assert warnings.filters == before


def test_threads_that_overlap_leave_levels_and_filters_as_they_were() -> None:
    warnings.simplefilter("always")
    before, other = list(warnings.filters), Other()
    with quiet():
        other.enter()
        assert said() == 0
    assert LOGGER.level == logging.WARNING  # for the other thread
    assert said() == 1  # which is not this one
    other.leave()
    assert LOGGER.level == logging.INFO
    assert warnings.filters == before


def test_what_another_thread_sets_for_a_moment_does_not_stay() -> None:
    warnings.simplefilter("always")
    before, other = list(warnings.filters), Other()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.enter()
    other.leave()
    assert warnings.filters == before
    other.enter()
    with warnings.catch_warnings():
        other.leave()
    assert warnings.filters == before


def test_a_level_that_is_set_meanwhile_stays() -> None:
    with quiet():
        LOGGER.setLevel(logging.DEBUG)
    assert LOGGER.level == logging.DEBUG
