"""Sanity at the end of a search: simple models on the same data, which the front should be above."""

from __future__ import annotations

import logging

from searchkit.data.data import Data
from searchkit.results.baselines import shortfall
from searchkit.results.result import Result
from searchkit.storage.record import Record

log = logging.getLogger("searchkit")


def beside(result: Result, record: Record, data: Data, seconds: float) -> None:
    """Give the result the simple models of its study; those that are not on record are fitted, once in a study.

    A search that is interrupted, also while they are fitted, ends without them. The logger "searchkit.baselines" warns
    where the front is not above them.

    Args:
        data: with its test part.
        seconds: that they may take; 0: none is fitted.
    """
    result.simple = list(record.notes("baselines") or [])
    if not seconds:
        return
    if not result.simple and result.stopped != "interrupted":
        from searchkit.training.baselines import baselines

        try:
            result.simple = baselines(data, seconds=seconds)
        except KeyboardInterrupt:
            result.stopped = "interrupted"
            return
        record.note("baselines", result.simple)
    if said := shortfall(result):
        log.getChild("baselines").warning("%s", said)
