"""A call of :func:`searchkit.run` with ``proxies="auto"``: what judges its candidates, decided or on record."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import PASSED_ON
from searchkit.options import Options
from searchkit.proxy_layer.automatic import COUNTS, QUICK, SCORED, Judges, choose, few, price_of
from searchkit.proxy_layer.setup import IN_SEARCH, open_scorer
from searchkit.results.found_studies import is_recorded, recorded_note
from searchkit.storage.record import Record

if TYPE_CHECKING:
    from searchkit.search.plan import Plan

log = logging.getLogger("searchkit")

JUDGES = "judges"  # the note of a record with the proxies that were chosen for the study


def with_judges(options: Options, plan: Plan | None) -> tuple[Options, Judges | None]:
    """The options with the proxies that judge candidates: those on record, or chosen by the time that they take.

    A study is judged in all its runs as in its first one.

    Returns:
        the options; and what was chosen now, None where nothing was to choose.
    """
    if not options.automatic:
        return options, None
    if not options.in_memory and is_recorded(options.name, options.storage):
        return replace(options, judges=tuple(recorded_note(options.name, options.storage, JUDGES) or ())), None
    chosen = _chosen(options, plan)
    return replace(options, judges=chosen.names), chosen


def note_judges(chosen: Judges | None, record: Record) -> None:
    """Log what was chosen, and keep it with the study."""
    if chosen is not None:
        log.info("%s", chosen.why)
        if chosen.names:
            record.note(JUDGES, list(chosen.names))


def _chosen(options: Options, plan: Plan | None) -> Judges:
    budget, task = options.budget, options.task
    candidates = budget.evaluations or budget.more_evaluations or math.inf
    too_few = few(candidates if plan is None else min(plan.candidates, candidates))
    if too_few is not None:
        return too_few
    if plan is None:
        limit = budget.seconds or budget.more_seconds
        expected = task.estimate(None if math.isinf(candidates) else int(candidates), 1, limit)
        candidates = expected.candidates or 0
        too_few = few(candidates)
        if too_few is not None:
            return too_few
        seconds = expected.seconds / candidates
    else:
        candidates, seconds = plan.candidates, plan.slot
    codes = task.space.canonical(task.space.sample(1 + SCORED, np.random.default_rng(options.seed)))

    def price(names: Sequence[str]) -> float:
        with open_scorer(replace(options, judges=tuple(names), executor=None)) as scorer:
            return price_of(scorer, codes)

    try:
        return choose((IN_SEARCH, QUICK, COUNTS), price, candidates, seconds, options.screen)
    except PASSED_ON:
        raise
    except Exception as error:
        return Judges((), f"proxies: none, since scoring networks of this space fails: {error}")
