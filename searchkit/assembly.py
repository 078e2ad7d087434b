"""What :func:`searchkit.run` makes of its checked arguments: a strategy, executors, a folder."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from searchkit.costs.targets.target import described
from searchkit.errors import PASSED_ON, SearchkitError, message_of, readable
from searchkit.execution.executors import Pool, open_executor
from searchkit.execution.outcome import reason_of
from searchkit.options import Options
from searchkit.problem.making import made
from searchkit.problem.problem import Problem, Strategy
from searchkit.results.found_studies import recorded_note
from searchkit.results.result import Result
from searchkit.search.task import Task
from searchkit.storage.optuna_record import OptunaRecord
from searchkit.storage.record import Record
from searchkit.training.evaluation import Evaluate

log = logging.getLogger("searchkit")

TARGETS = "targets"  # the note of a record with the first measurement on its targets


def begin_strategy(options: Options, problem: Problem) -> Strategy:
    name = options.strategy_name
    try:
        begun = made(options.factory, problem)
    except PASSED_ON:
        raise
    except BaseException as error:
        said = message_of(error) if isinstance(error, SearchkitError | TypeError | ValueError) else reason_of(error)
        raise SearchkitError(f"strategy '{name}' cannot be made for this search: {readable(said)}") from error
    if not isinstance(begun, Strategy):
        raise SearchkitError(
            f"strategy '{name}' made {begun!r}, which has no ask and tell; give a callable (problem) -> strategy"
        )
    return begun


def opener_of(options: Options, header: dict[str, Any]) -> Callable[[], OptunaRecord]:
    """A function that opens the record of the study in its storage."""
    return partial(OptunaRecord, options.storage, options.name, options.task.space, options.task.goals, header)


def check_targets(options: Options, task: Task) -> Callable[[Record], None]:
    """Measure a small network on the targets, before the record is opened; a study does so once.

    Returns:
        a function that notes in a record what was measured, and measures the first networks of targets that have any.

    Raises:
        DeviceError: what is known of other devices cannot be used.
        TargetError: a target gives no measurement; the message names it.
    """
    if not options.targets:
        return lambda record: None
    from searchkit.search.cost_meter import CostMeter  # which loads torch
    from searchkit.search.first_networks import measure_first, prepare_first

    assert isinstance(task.costs, CostMeter)
    prepare_first(task.costs)
    now = described(options.targets)
    noted = None if options.in_memory else recorded_note(options.name, options.storage, TARGETS)
    if noted is not None and noted["targets"] == now and set(noted["metrics"]) == set(task.goals.metrics):
        task.costs.on_targets.take_check(noted["checked"])
        return partial(measure_first, task.costs)
    checked = task.costs.check_targets()

    def note_and_go_on(record: Record) -> None:
        assert isinstance(task.costs, CostMeter)
        if checked is not None:
            record.note(TARGETS, {"targets": now, "metrics": list(task.goals.metrics), "checked": checked})
        measure_first(task.costs, record)

    return note_and_go_on


def pools_of(options: Options, task: Task) -> Callable[[Evaluate, tuple[str, ...]], Pool]:
    """A function that opens the executor for an evaluation."""
    any_card = options.device in ("auto", "cuda")

    def open_pool(evaluate: Evaluate, needed: tuple[str, ...]) -> Pool:
        return open_executor(options.executor, evaluate, needed, options.time_limit, options.workers, any_card)

    return open_pool


def with_folder(options: Options, stack: ExitStack) -> tuple[Task, Callable[[Result], None]]:
    """The task with a folder for its files, if it writes any.

    For a record in memory this is a temporary folder, deleted after a failed search, else with the result.

    Returns:
        the task, and a function that ties the folder to the life of a result.
    """
    if not options.task.keeps_files:
        return options.task, lambda result: None
    if options.folder is not None:
        return options.task.in_folder(options.folder), lambda result: None
    folder = Path(tempfile.mkdtemp(prefix="searchkit-"))
    abandoned = stack.enter_context(ExitStack())
    abandoned.callback(shutil.rmtree, folder, ignore_errors=True)

    def keep(result: Result) -> None:
        abandoned.pop_all()
        weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)

    return options.task.in_folder(folder), keep
