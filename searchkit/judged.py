"""What judges the candidates of a call of :func:`searchkit.run`: decided or on record, and what it takes."""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from searchkit import plugins
from searchkit.assembly import begin_strategy
from searchkit.errors import SearchkitError, duration, first_line_said
from searchkit.execution.outcome import Job
from searchkit.execution.processes import apart
from searchkit.execution.time_limits import within
from searchkit.options import Options
from searchkit.problem.problem import Problem, Strategy
from searchkit.proxy_layer.automatic import COUNTS, QUICK, SCORED, Judges, choose, few, price_of, scored_in
from searchkit.proxy_layer.scoring_time import fitting
from searchkit.proxy_layer.setup import IN_SEARCH, open_scorer, suiting
from searchkit.results.found_studies import is_recorded, recorded_note
from searchkit.results.studies import read_study
from searchkit.scoring.registry import Configured
from searchkit.space import distinct_rows
from searchkit.storage.record import Record
from searchkit.training.evaluation import as_evaluation
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.scoring.scorer import Scorer
    from searchkit.search.estimate import Estimate
    from searchkit.search.plan import Plan

log = logging.getLogger("searchkit")

JUDGING = "judging"  # the note of one with what the plan says of proxies and what they take
MEASURING = 0.02  # share of a planned time in which proxies that a user named are timed
MOST_MEASURING = 10.0  # seconds of that where nothing is planned
LIMITS = 4  # of a training, which measuring may take: several networks train for some steps, and some are scored
UNKNOWN = "for a time that is not known before"
OWN = "your training function is taken to need the time of searchkit's own training"
JUDGES = "judges"  # the note of a record with the proxies that were chosen for the study


def with_judges(
    options: Options, problem: Problem, begun: Strategy, plan: Plan | None
) -> tuple[Options, Strategy, Judges | None]:
    """The options with the proxies that judge candidates: those on record, or chosen by the time that they take.

    A study is judged in all its runs as in its first one.

    Returns:
        the options; the strategy, which says of its choice that it is judged; and what was chosen, now or when the
        study was begun, None where nothing was to choose.
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
            return replace(options, judges=tuple(noted)), Judges.as_begun(noted)
    chosen = _chosen(options, problem, plan)
    return replace(options, judges=chosen.names), chosen


def _has_trials(options: Options) -> bool:
    name, storage = options.name, options.storage
    return is_recorded(name, storage) and bool(read_study(name, storage, options.task.space).trials)


def note_judges(chosen: Judges | None, record: Record, plan: Plan | None) -> None:
    """Log what was chosen, where no plan says it, and keep it with the study."""
    if chosen is not None:
        if plan is None:
            log.info("%s", chosen.why)
        if chosen.new:
            record.note(JUDGES, list(chosen.names))


def judged_plan(
    plan: Plan | None,
    options: Options,
    problem: Problem,
    chosen: Judges | None,
    scorer: Scorer | None = None,
    record: Record | None = None,
) -> Plan | None:
    """The plan with what judges its candidates and the time that it takes, which is measured where it is not known.

    Args:
        chosen: by :func:`with_judges`.
        scorer: of the proxies, where it is there already.
        record: of the study, which keeps what was measured; None: it is read only.
    """
    if plan is None or (chosen is None and not options.signals):
        return plan
    noted = record.notes(JUDGING) if record is not None else None
    if record is None and not options.in_memory:
        noted = recorded_note(options.name, options.storage, JUDGING)
    if noted is not None:
        line, seconds, sample, choice = noted
        return plan.judged_in(line if chosen is None else chosen.why, seconds, sample, choice)
    if chosen is None and scorer is None:
        with _opened_apart(options) as scorer:
            return judged_plan(plan, options, problem, chosen, scorer, record)
    line, seconds, sample, choice = _judging(plan, options, problem, chosen, scorer)
    if record is not None and (chosen is None or chosen.new):
        record.note(JUDGING, [line, seconds, sample, choice])
    return plan.judged_in(line, seconds, sample, choice)


def _judging(
    plan: Plan, options: Options, problem: Problem, chosen: Judges | None, scorer: Scorer | None
) -> tuple[str, float, int, int]:
    """What :meth:`Plan.judged_in` is told."""
    if chosen is not None:
        names, seconds = chosen.names, chosen.seconds
    else:
        assert scorer is not None
        names = scorer.names
        seconds = _price(options, problem, scorer, MEASURING * plan.seconds) or 0.0
    sample, choice = fitting(seconds, plan.search_until - plan.spent, plan.slot, plan.workers, options.screen)
    if chosen is not None:
        line = chosen.why
    elif not seconds:
        line = _line(names, UNKNOWN)
    elif choice:
        how_many = f"of about {choice} for each candidate, compared with {sample}"
        line = _line(names, f"which takes {duration(seconds)} a network: {how_many}")
    else:
        line = (
            f"proxies: none judges, since a network takes {duration(seconds)} to be scored by {', '.join(names)}, and "
            "there is no time for as many as would say something"
        )
    return line, seconds, sample if names else 0, choice if names else 0


def judged_estimate(made: Estimate, options: Options, problem: Problem, chosen: Judges | None) -> Estimate:
    """The estimate with what judges the candidates and the time that it takes, which is measured."""
    if chosen is None and not options.signals:
        return made
    if chosen is not None:
        line, seconds = chosen.why, chosen.seconds
    else:
        with _opened_apart(options) as scorer:
            seconds = _price(options, problem, scorer, MOST_MEASURING) or 0.0
            line = _line(scorer.names, f"which takes {duration(seconds)} a network" if seconds else UNKNOWN)
    if made.candidates is None or not seconds:
        return replace(made, judged=line)
    return made.judged_in(line, seconds * scored_in(made.candidates, options.screen))


def _opened_apart(options: Options) -> Scorer:
    """The proxies in this process, without warnings: the search will say what they say."""
    return open_scorer(replace(options, executor=None, automatic=True))


def _line(names: Sequence[str], what: str) -> str:
    return f"proxies: {', '.join(names)} judge networks before they are trained, {what}"


def _price(options: Options, problem: Problem, scorer: Scorer, most: float) -> float | None:
    """Seconds that a network takes to be scored; None where that cannot be measured.

    Args:
        most: seconds after which no further network is scored to measure it.
    """
    given = [proxy.name if isinstance(proxy, Configured) else proxy for proxy in options.signals]
    kinds = [plugins.resolve("proxy", proxy) if isinstance(proxy, str) else proxy for proxy in given]
    if any(getattr(kind, "needs_data", False) for kind in kinds):  # it trains something before its first score
        return None
    took: list[float] = []
    try:
        for code in _drawn(options, problem):
            began = time.perf_counter()
            scorer(code[None])
            took.append(time.perf_counter() - began)
            if sum(took) > most:
                break
    except SearchkitError:  # the search will say it of its candidates, with what led to it
        return None
    return float(np.mean(took[1:] or took))


def _drawn(options: Options, problem: Problem) -> Codes:
    """Networks by which a price is measured."""
    drawn = problem.space.canonical(problem.sample(8 * SCORED, np.random.default_rng(options.seed)))
    return distinct_rows(drawn)[: 1 + SCORED]


def _chosen(options: Options, problem: Problem, plan: Plan | None) -> Judges:
    budget, size = options.budget, problem.space.size
    candidates = budget.evaluations or budget.more_evaluations or math.inf
    if plan is not None:
        candidates = min(candidates, plan.candidates)
    if math.isfinite(candidates) and candidates >= size:
        return Judges((), f"proxies: none, since all {size:,} networks of the space are trained")
    try:
        return few(candidates) or _protected(options, problem, plan, candidates)
    except SearchkitError as error:  # the search will say it of its candidates, with what led to it
        return Judges((), f"proxies: none, since what they take could not be measured: {first_line_said(error)}")


def _protected(options: Options, problem: Problem, plan: Plan | None, candidates: float) -> Judges:
    """What :func:`_by_price` finds; a network that hangs or ends its process ends no more than in a training.

    Raises:
        SearchkitError: it took too long, or its process ended.
    """
    limit = None if options.time_limit is None else LIMITS * options.time_limit
    if options.executor is None:
        return within(limit, _by_price, options, problem, plan, candidates)
    bare = replace(options, executor=None, callbacks=())
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "judges.json"

        def measure(_code: Codes, _seed: int) -> dict[str, float]:
            found.write_text(json.dumps(asdict(_by_price(bare, problem, plan, candidates))))
            return {}

        job = Job(np.zeros(1, dtype=np.int64), options.seed)
        outcome = apart(as_evaluation(measure), job, "it was measured in a process of its own", limit=limit)
        if outcome.reason is not None:
            raise SearchkitError(outcome.reason)
        held = json.loads(found.read_text())
    return Judges(**(held | {"names": tuple(held["names"])}))


def _by_price(options: Options, problem: Problem, plan: Plan | None, candidates: float) -> Judges:
    if plan is None:
        candidates, seconds = _trainings(options, problem, candidates)
        too_few = few(min(candidates, problem.space.size))
        if too_few is not None:
            return too_few
    else:
        seconds = plan.slot
    codes = _drawn(options, problem)

    def price(names: Sequence[str]) -> float:
        with open_scorer(replace(options, judges=tuple(names), executor=None)) as scorer:
            found = price_of(scorer, codes)
            signals = [i for i, name in enumerate(scorer.names) if name not in COUNTS]
            scores = scorer(codes)[:, signals]
            return math.inf if signals and np.isnan(scores).all() else found

    sets = [suiting(names, problem.space) for names in (IN_SEARCH, QUICK, COUNTS)]
    chosen = choose(sets, price, candidates, seconds, options.screen)
    if "trained_by" not in options.task.context:
        return chosen
    return replace(chosen, why=f"{chosen.why}; {OWN}")


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
