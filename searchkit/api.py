"""The call that most users need: a search.

Not named after it: importing a submodule ``searchkit.run`` would put the module in the place of the function.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError
from searchkit.execution.executors import Pool, open_executor
from searchkit.option_values import Proxies, Training
from searchkit.options import Options, chosen_by, read_options
from searchkit.problem.bounds_check import check_bounds
from searchkit.problem.problem import Problem, Strategy
from searchkit.proxy_layer.setup import open_scorer, open_screen, report
from searchkit.results.result import Result
from searchkit.search.accounting import Callback
from searchkit.search.callbacks import watched
from searchkit.search.loop import Search
from searchkit.search.progress import Progress
from searchkit.search.study import go_on
from searchkit.search.task import Task
from searchkit.space import Space
from searchkit.storage.optuna_record import OptunaRecord
from searchkit.storage.record import Memory, Record
from searchkit.training.evaluation import Evaluate

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from searchkit.costs.metrics import Metric
    from searchkit.scoring.protocols import NetworkProxy, Proxy
    from searchkit.types import Codes

DEFAULT_BUDGET = 40

log = logging.getLogger("searchkit")


def run(
    strategy: str | Callable[[Problem], Strategy] | object = "auto",
    *,
    space: str | Space | None = None,
    data: object = None,
    objectives: str | Metric | Sequence[str | Metric] | Mapping[str, str] | None = None,
    constraints: Mapping[Any, float | tuple[float | None, float | None]] | None = None,
    proxies: str | Proxy | NetworkProxy | Sequence[str | Proxy | NetworkProxy] | Proxies | None = (),
    training: Training | None = None,
    start: Result | Sequence[Mapping[str, Any]] | Sequence[Sequence[int]] | Codes | None = None,
    earlier: Result | Sequence[Result] | None = None,
    screen: int | None = None,
    verify: int | None = None,
    budget: int | Mapping[str, float | None] = DEFAULT_BUDGET,
    batch: int | None = None,
    evaluate: Callable[[dict[str, Any]], Mapping[str, float]] | None = None,
    device: str = "auto",
    executor: int | str | object = None,
    workers: int | None = None,
    storage: str | Path | BaseStorage | None = None,
    name: str | None = None,
    seed: int = 0,
    split_seed: int = 0,
    epochs: int | None = None,
    ladder: str | Sequence[Mapping[str, float]] | None = None,
    time_limit: float | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
) -> Result:
    """Search a space for the best trade-offs and return them.

    Without ``evaluate``, candidates are networks: each is built, its costs are counted and measured, and it is trained
    on the data and scored on the validation part; the front is scored on the untouched test part once, at the end.
    With ``evaluate=f``, candidates are whatever ``f(choices) -> {objective: value}`` makes of them.

    The same call again continues where it stopped, and evaluates nothing twice.

    Args:
        strategy: a name (see ``searchkit.plugins.names("strategy")``); "auto" picks one by budget, space and
            objectives, and ``result.strategy`` says which and why. Or an Optuna sampler, a pymoo algorithm, or a
            callable that makes a strategy from a :class:`~searchkit.problem.problem.Problem`, such as
            ``functools.partial(NSGA2, population=50)``.
        space: a name, a :class:`Space`, or a :class:`NetworkSpace`; where not given, a small NAS-Bench-201 for images
            and "tabular" for tables.
        data: see :func:`searchkit.load_data`; scikit-learn's digits where not given.
        objectives: names of metrics (accuracy, balanced_accuracy, log_loss, params, macs, peak_memory, latency_ms; r2
            or rmse for a regression; energy_mj and card_memory on a GPU) or :class:`Metric` objects; ("accuracy",
            "params") where not given. With ``evaluate``, a mapping name -> "min" or "max".
        constraints: bounds, e.g. ``{"params": 1e6, "latency_ms": (None, 5), "accuracy": 0.9}``: a number bounds the bad
            side, a pair is (low, high). Bounds on what is known without training are kept before training.
        proxies: cheap signals that rank candidates before they are evaluated: names (see
            ``searchkit.plugins.names("proxy")``), "default" for a set that holds on many spaces, or objects. More is
            proposed than is evaluated, the proxy layer picks (:mod:`searchkit.proxy_layer.signals`), and
            ``result.signals`` says what each was worth. Any proxy's name is an objective too: ``objectives=("naswot",
            "params")`` searches without training. ``Proxies(names, screen=..., earlier=...)`` says all of it in one
            value.
        training: ``Training(epochs=..., ladder=..., time_limit=...)``: these three in one value.
        start: candidates to begin with: dictionaries of choices, rows of codes, or a :class:`Result`, whose front they
            are. They are evaluated first and count in the budget.
        earlier: what is known already: the :class:`Result` of a study over the same choices, or several, also on other
            data. What each would predict joins the proxies, and loses its weight where it misleads.
        screen: candidates scored by the proxies for each one that is evaluated; 16 where not given.
        verify: of a search without training, train the best so many: ``result.verified``.
        budget: evaluations (40), or ``{"evaluations": n, "seconds": s}``; counted over the whole study.
        batch: candidates asked for at once, of which all are evaluated before the next are asked for. Where not given:
            on one worker the strategy's own size for functions and one for networks; on several, each candidate by
            itself as soon as a worker is free, so that a slow one holds nobody up. With a batch, the history depends on
            the seed alone, whatever the executor; without, on which of those that ran side by side ended first.
        device: "auto" (CUDA where there is one, else CPU), "cpu", "cuda", "cuda:1". With "auto" or "cuda", worker
            processes train on a card each, or share cards where there are more workers; "cuda:1" is that card for all.
            A cluster's may have cards where this machine has none.
        executor: None (here, in order), a number of worker processes, "interleaved" (several networks at once in this
            process, for a GPU: :mod:`searchkit.execution.interleaved`), "ray" (a cluster; "ray://head:10001" at an
            address), or
            an executor object: any of ``concurrent.futures``, Dask's, submitit's.
        workers: candidates that an executor takes at the same time, where it does not say (submitit's) or says
            otherwise; of "interleaved" 4 where not given, on each card.
        storage: None (``searchkit-runs/<name>.journal``), a folder, a ``.journal`` file, "memory", an SQLAlchemy URL,
            or an Optuna storage.
        name: of the study; made from the call where not given.
        seed: of everything random but the split of the data.
        split_seed: of the split of the data into parts. It is a choice of its own, so that the test part of one study
            is untouched in another that begins with its networks or learns from it, whatever their seeds.
        epochs: of each candidate's training; 30 where not given.
        ladder: cheap trainings that a candidate has to pass before the full one, from cheap to expensive, such as
            ``({"epochs": 3}, {"epochs": 10, "data": 0.5})``. A rung sets epochs, resolution (pixels of the shorter side
            of the images), width (a factor on the space's choice or option of that name) and data (a fraction of the
            train part); "default" is a tenth and a third of the epochs. After a rung, a candidate of the first third of
            all that got there (:mod:`searchkit.training.fidelity`) goes on; another ends as "dropped": it counts in the
            budget and stands in the history, with what the rungs were worth, and never on the front; bo and the proxy
            layer learn from the result that its last rung predicts, other strategies take it for a failed one. One rung
            leaves about a third for the full training and two a ninth, so the budget should be larger than without.
            Give a ``batch`` of several: they are compared with each other, too.
        time_limit: seconds a training may take, each rung's by itself; beyond, the candidate has failed.
        callbacks: called as ``callback(trial, trials)`` after every candidate; raise ``StopSearch`` to end. One
            that has a method ``on_start(result)`` or ``on_end(result, error)`` is told of the two ends as well
            (:func:`searchkit.search.callbacks.watched`). Trackers are callbacks: :mod:`searchkit.integrations.mlflow`,
            ``tensorboard`` and ``jsonlines``.
        progress: show a progress bar; where not given, only in a terminal.

    Raises:
        SearchkitError: one of its kinds, before any work, where something given cannot be used.
        SearchFailedError: the first candidates all failed.
    """
    options = read_options(**locals())
    problem = options.problem()
    if options.task.counted is not None:
        check_bounds(problem, options.task.goals.bounds, options.task.counted)
    begun = _begin(options, problem)
    with ExitStack() as stack:
        scorer = open_scorer(options) if options.proxies else None
        if scorer is not None:
            stack.callback(scorer.close)
        header = options.header(begun)
        task, keep = _with_folder(options, stack)
        open_pool = _pools(options, task)
        pool = open_pool(task.evaluate, task.needed)
        stack.callback(pool.close)
        record: Record = (
            Memory() if options.in_memory else OptunaRecord(storage, options.name, task.space, task.goals, header)
        )
        stack.callback(record.close)
        go_on(record, options.name, header)
        if chosen_by(begun):
            log.info("strategy 'auto' takes %s", chosen_by(begun))
        result = Result(
            task.space, task.goals, record.trials, options.name, "not begun", header["context"], task.folder
        )
        stack.enter_context(watched(result, options.callbacks))
        bar = stack.enter_context(Progress(progress, task.goals, options.budget, record.trials))
        screen_ = None if scorer is None else open_screen(options, problem, scorer, record, begun)
        watching = (*task.callbacks, bar.update, result.refresh, *options.callbacks)
        result.stopped = Search(
            problem, begun, task.goals, task.costs, pool, record, options.budget,
            options.batch_size(begun, pool.workers), options.seed, watching, screen_, task.ladder, options.start,
        ).run()  # fmt: skip
        if screen_ is not None:
            result.trust = report(screen_, record)
        task.verify(result, record, lambda evaluate: open_pool(evaluate, ("accuracy",)))
        if record.trials:
            task.finish(result, record)
        keep(result)
        return result


def _begin(options: Options, problem: Problem) -> Strategy:
    name = options.strategy_name
    try:
        begun = options.factory(problem)
    except (TypeError, ValueError) as error:
        raise SearchkitError(f"strategy '{name}' cannot be made for this search: {error}") from error
    if not isinstance(begun, Strategy):
        raise SearchkitError(
            f"strategy '{name}' made {begun!r}, which has no ask and tell; give a callable (problem) -> strategy"
        )
    return begun


def _pools(options: Options, task: Task) -> Callable[[Evaluate, tuple[str, ...]], Pool]:
    """What opens the executor for an evaluation."""
    any_card = options.device in ("auto", "cuda")

    def open_pool(evaluate: Evaluate, needed: tuple[str, ...]) -> Pool:
        return open_executor(options.executor, evaluate, needed, options.time_limit, options.workers, any_card)

    return open_pool


def _with_folder(options: Options, stack: ExitStack) -> tuple[Task, Callable[[Result], None]]:
    """The task with a folder for its files, where it keeps any.

    In memory that is a temporary one, which goes with the search, or with its result once that is kept.

    Returns:
        the task, and what keeps the folder for a result.
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
