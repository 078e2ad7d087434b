"""A call of :func:`searchkit.run` with ``proxies="auto"``: what judges its candidates, decided or on record."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from searchkit.assembly import begin_strategy
from searchkit.errors import SearchkitError, first_line_said
from searchkit.options import Options
from searchkit.problem.problem import Problem, Strategy
from searchkit.proxy_layer.automatic import COUNTS, QUICK, SCORED, Judges, choose, few, price_of
from searchkit.proxy_layer.setup import IN_SEARCH, open_scorer
from searchkit.results.found_studies import is_recorded, recorded_note
from searchkit.results.studies import read_study
from searchkit.space import distinct_rows
from searchkit.storage.record import Record

if TYPE_CHECKING:
    from searchkit.search.plan import Plan

log = logging.getLogger("searchkit")

JUDGES = "judges"  # the note of a record with the proxies that were chosen for the study


def with_judges(
    options: Options, problem: Problem, begun: Strategy, plan: Plan | None
) -> tuple[Options, Strategy, Judges | None]:
    """The options with the proxies that judge candidates: those on record, or chosen by the time that they take.

    A study is judged in all its runs as in its first one.

    Returns:
        the options; the strategy, which says of its choice that it is judged; and what was chosen now, None where
        nothing was to choose.
    """
    options, chosen = _with_judges(options, problem, plan)
    if options.judges and isinstance(options.strategy, str):
        begun = begin_strategy(options, replace(problem, proxies=True))
    return options, begun, chosen


def _with_judges(options: Options, problem: Problem, plan: Plan | None) -> tuple[Options, Judges | None]:
    if not options.automatic:
        return options, None
    if not options.in_memory:
        noted = recorded_note(options.name, options.storage, JUDGES)
        if noted is None and _has_trials(options):  # begun before searches chose their proxies
            noted = []
        if noted is not None:
            return replace(options, judges=tuple(noted)), None
    chosen = _chosen(options, problem, plan)
    return replace(options, judges=chosen.names), chosen


def _has_trials(options: Options) -> bool:
    name, storage = options.name, options.storage
    return is_recorded(name, storage) and bool(read_study(name, storage, options.task.space).trials)


def note_judges(chosen: Judges | None, record: Record) -> None:
    """Log what was chosen, and keep it with the study."""
    if chosen is not None:
        log.info("%s", chosen.why)
        record.note(JUDGES, list(chosen.names))


def _chosen(options: Options, problem: Problem, plan: Plan | None) -> Judges:
    budget, size = options.budget, problem.space.size
    candidates = budget.evaluations or budget.more_evaluations or math.inf
    if plan is not None:
        candidates = min(candidates, plan.candidates)
    if math.isfinite(candidates) and candidates >= size:
        return Judges((), f"proxies: none, since all {size:,} networks of the space are trained")
    try:
        return few(candidates) or _by_price(options, problem, plan, candidates)
    except SearchkitError as error:  # the search will say it of its candidates, with what led to it
        return Judges((), f"proxies: none, since what they take could not be measured: {first_line_said(error)}")


def _by_price(options: Options, problem: Problem, plan: Plan | None, candidates: float) -> Judges:
    if plan is None:
        candidates, seconds = _trainings(options, problem, candidates)
        too_few = few(min(candidates, problem.space.size))
        if too_few is not None:
            return too_few
    else:
        seconds = plan.slot
    drawn = problem.space.canonical(problem.sample(8 * SCORED, np.random.default_rng(options.seed)))
    codes = distinct_rows(drawn)[: 1 + SCORED]

    def price(names: Sequence[str]) -> float:
        with open_scorer(replace(options, judges=tuple(names), executor=None)) as scorer:
            found = price_of(scorer, codes)
            signals = [i for i, name in enumerate(scorer.names) if name not in COUNTS]
            scores = scorer(codes)[:, signals]
            return math.inf if signals and np.isnan(scores).all() else found

    return choose((IN_SEARCH, QUICK, COUNTS), price, candidates, seconds, options.screen)


def _trainings(options: Options, problem: Problem, candidates: float) -> tuple[float, float]:
    """How many trainings an unplanned search is expected to have, and the seconds of one; nothing costly is measured.

    Bounds on what is measured are left out: who meets them is not known before.
    """
    from searchkit.search.estimate import estimate
    from searchkit.search.network_task import NetworkTask
    from searchkit.training.speed import Within

    assert isinstance(options.task, NetworkTask)
    limit = options.budget.seconds or options.budget.more_seconds
    most = None if math.isinf(candidates) else int(candidates)
    expected = estimate(options.task.training, most, 1, Within(problem), limit)
    assert expected.candidates is not None
    return expected.candidates, expected.seconds / expected.candidates
