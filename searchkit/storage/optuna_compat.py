"""Optuna without its chatter: searchkit says what happens in its own words."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

from optuna.exceptions import ExperimentalWarning


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna's information messages and notices of experimental features are off inside."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)
