"""The front door: from what a user writes to a finished search.

Not named run.py: importing a submodule of that name would put the module in the place of ``searchkit.run``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from searchkit import plugins
from searchkit.errors import SearchkitError
from searchkit.execution.executors import check_executor, is_elsewhere, open_executor
from searchkit.problem.bounds_check import check_bounds
from searchkit.problem.budget import Budget, read_budget
from searchkit.problem.initial_design import read_start
from searchkit.problem.objectives import Goals, check_constraints
from searchkit.problem.problem import Problem, Strategy
from searchkit.proxy_layer.setup import name_of, open_scorer, open_screen, read_proxies, report
from searchkit.proxy_layer.transfer import read_earlier
from searchkit.results.result import Result
from searchkit.runtime.fingerprint import fingerprint
from searchkit.search.accounting import Callback
from searchkit.search.callbacks import read_callbacks, watched
from searchkit.search.loop import Search
from searchkit.search.progress import Progress
from searchkit.search.task import Task, function_task
from searchkit.space import Space
from searchkit.storage.header import FORMAT, plain
from searchkit.storage.paths import check_name, check_storage, networks_folder
from searchkit.storage.record import Memory, OptunaRecord, Record

DEFAULT_BUDGET = 40
SCREEN = 16  # candidates scored by proxies for each one that is evaluated

log = logging.getLogger("searchkit")


def run(
    strategy: Any = "auto",
    *,
    space: str | Space | None = None,
    data: Any = None,
    objectives: Any = None,
    constraints: dict[Any, Any] | None = None,
    proxies: Any = (),
    start: Any = None,
    earlier: Any = None,
    screen: int | None = None,
    verify: int | None = None,
    budget: Any = DEFAULT_BUDGET,
    batch: int | None = None,
    evaluate: Callable[[dict[str, Any]], dict[str, float]] | None = None,
    device: str = "auto",
    executor: Any = None,
    workers: int | None = None,
    storage: Any = None,
    name: str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    ladder: Any = None,
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
        proxies: cheap signals that judge candidates before they are evaluated: names (see
            ``searchkit.plugins.names("proxy")``), "default" for a set that holds on many spaces, or objects. More is
            proposed than is evaluated, the proxy layer picks (:mod:`searchkit.proxy_layer.signals`), and
            ``result.signals`` says what each was worth. Any proxy's name is an objective too: ``objectives=("naswot",
            "params")`` searches without training.
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
        seed: of everything random.
        epochs: of each candidate's training; 30 where not given.
        ladder: cheap trainings that a candidate has to pass before the full one, from cheap to dear, such as
            ``({"epochs": 3}, {"epochs": 10, "data": 0.5})``. A rung sets epochs, resolution (pixels of the shorter side
            of the images), width (a factor on the space's choice or option of that name) and data (a fraction of the
            train part); "default" is a tenth and a third of the epochs. After a rung, a candidate of the first third of
            all that got there (:mod:`searchkit.training.fidelity`) goes on; another ends as "dropped": it counts in the
            budget and stands in the history, with what the rungs were worth, and never on the front; bo and the proxy
            layer learn from what its last rung lets expect, other strategies take it for a failed one. One rung leaves
            about a third for the full training and two a ninth, so the budget should be larger than without. Give a
            ``batch`` of several: they are compared with each other, too.
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
    factory = plugins.strategy_factory(strategy)
    limits = read_budget(budget)
    batch, seed, epochs = _whole("batch", batch, 1), _whole("seed", seed, 0) or 0, _whole("epochs", epochs, 1)
    _check_seconds(time_limit)
    watchers = read_callbacks(callbacks)
    check_storage(storage)
    check_executor(executor)
    workers = _whole("workers", workers, 1)
    check_constraints(constraints)
    if name is not None:
        check_name(name)
    signals = read_proxies(proxies)
    screen, verify = _whole("screen", screen, 1) or SCREEN, _whole("verify", verify, 1) or 0
    if evaluate is not None:
        looked_at = {} if signals else {"data": data, "device": None if device == "auto" else device}
        _refuse_network_arguments(**looked_at, epochs=epochs, verify=verify or None, ladder=ladder)
        task = function_task(evaluate, space, objectives, constraints, data, seed)
        here = device
    else:
        from searchkit.runtime.devices import devices_of
        from searchkit.search.network_task import network_task

        here, there = devices_of(device, is_elsewhere(executor))
        task = network_task(space, data, objectives, constraints, here, there, seed, epochs, time_limit, verify, ladder)
    first = read_start(start, task.space)
    counted = task.counted(task.space.sample(1, np.random.default_rng(0))) if task.counted else ()
    signals += read_earlier(earlier, task.space, task.goals, counted)
    if signals:
        task = replace(task, identity=task.identity | {"proxies": [name_of(proxy) for proxy in signals]})
    in_memory = isinstance(storage, str) and storage == "memory"
    name = name or _name(task, strategy, seed)
    problem = Problem(
        task.space,
        len(task.goals.objectives),
        len(task.goals.bounds),
        budget=limits.evaluations,
        known=task.known,
        listable=task.listable,
        proxies=bool(signals),
    )
    if task.counted is not None:
        check_bounds(problem, task.goals.bounds, task.counted)
    begun = _begin(factory, problem, strategy)
    trained = None if in_memory else networks_folder(storage, name).absolute()  # workers may stand in another folder
    scorer = open_scorer(task, signals, here, seed, executor, trained) if signals else None
    call: dict[str, Any] = {"batch": batch, "device": device, "epochs": epochs, "time_limit": time_limit}
    if signals:
        call |= {"proxies": [name_of(proxy) for proxy in signals], "screen": screen}
    if verify:
        call |= {"verify": verify}
    if task.ladder is not None:
        call |= {"ladder": [rung.given for rung in task.ladder.rungs]}
    why = getattr(begun, "why", "")
    chosen = f"{getattr(begun, 'choice', '')}: {why}" if why else _strategy_name(strategy)
    header = plain(_header(task, strategy, chosen, seed, limits, call))
    with ExitStack() as stack:
        if scorer is not None:
            stack.callback(scorer.close)
        if task.in_folder is not None and in_memory:
            folder = Path(tempfile.mkdtemp(prefix="searchkit-"))
            abandoned = stack.enter_context(ExitStack())  # unless the search comes to a result, which then owns it
            abandoned.callback(shutil.rmtree, folder, ignore_errors=True)
            task = task.in_folder(task, folder)
        elif task.in_folder is not None:
            assert trained is not None
            task = task.in_folder(task, trained)
        any_card = device in ("auto", "cuda")
        pool = open_executor(executor, task.evaluate, task.needed, time_limit, workers, any_card)
        stack.callback(pool.close)
        record: Record = Memory() if in_memory else OptunaRecord(storage, name, task.space, task.goals, header)
        stack.callback(record.close)
        _continue(record, name, header)
        if why:
            log.info("strategy 'auto' takes %s", chosen)
        result = Result(task.space, task.goals, record.trials, name, "not begun", header["context"], task.folder)
        size = batch or (None if pool.workers > 1 else _batch_size(begun, evaluate is None, bool(signals), limits))
        stack.enter_context(watched(result, watchers))
        bar = stack.enter_context(Progress(progress, task.goals, limits, record.trials))
        judge = (
            None
            if scorer is None
            else open_screen(task, problem, scorer, record, screen, seed, signals, getattr(begun, "models", False))
        )
        watching = (*task.callbacks, bar.update, result.refresh, *watchers)
        search = Search(
            problem,
            begun,
            task.goals,
            task.costs,
            pool,
            record,
            limits,
            size,
            seed,
            watching,
            judge,
            task.ladder,
            first,
        )
        result.stopped = search.run()
        if judge is not None:
            result.trust = report(judge, record)
        if task.verify is not None:
            task.verify(
                result,
                record,
                lambda training: open_executor(executor, training, ("accuracy",), time_limit, workers, any_card),
            )
        if task.finish is not None and record.trials:
            task.finish(result, record)
        if in_memory and task.folder is not None:
            abandoned.pop_all()
            weakref.finalize(result, shutil.rmtree, task.folder, ignore_errors=True)
        return result


def _begin(factory: Callable[[Problem], Strategy], problem: Problem, strategy: Any) -> Strategy:
    name = _strategy_name(strategy)
    try:
        begun = factory(problem)
    except (TypeError, ValueError) as error:
        raise SearchkitError(f"strategy '{name}' cannot be made for this search: {error}") from error
    if not isinstance(begun, Strategy):
        raise SearchkitError(
            f"strategy '{name}' made {begun!r}, which has no ask and tell; give a callable (problem) -> strategy"
        )
    return begun


def _batch_size(strategy: Strategy, networks: bool, proxies: bool, budget: Budget) -> int:
    """Candidates asked for at once where they are evaluated one after another."""
    own = 1 if networks else int(getattr(strategy, "batch", 1))
    if proxies and budget.evaluations:  # the proxy layer learns after every batch
        own = min(own, max(1, budget.evaluations // 10))
    return own


def _whole(name: str, value: Any, least: int) -> int | None:
    if value is None and name != "seed":
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value < 2**32:
        allowed = f"from {least} to {2**32 - 1:,}" if name == "seed" else f"of at least {least}"
        raise SearchkitError(f"{name} must be a whole number {allowed}, not {value!r}")
    return int(value)


def _check_seconds(time_limit: Any) -> None:
    number = isinstance(time_limit, int | float | np.number) and not isinstance(time_limit, bool)
    if time_limit is not None and not (number and time_limit > 0):
        raise SearchkitError(f"time_limit must be a number of seconds above 0, not {time_limit!r}")


def _refuse_network_arguments(**given: Any) -> None:
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise SearchkitError(
            f"{' and '.join(named)} say how networks are trained, but evaluate= was given, which does all the work: "
            "leave one of them out"
        )


def _continue(record: Record, name: str, header: dict[str, Any]) -> None:
    """Say what a continued study does otherwise than before, and keep the call that it was last made with."""
    before = record.notes("latest") or getattr(record, "header", header)["context"]
    if record.trials:
        log.info("continuing study '%s' with %d candidates on record", name, len(record.trials))
        now = header["context"]
        changed = {
            "another strategy": any(before.get(key) != now[key] for key in ("strategy", "strategy_function")),
            "another version of what is evaluated": before.get("function") != now["function"],
        }
        for what in (what for what, differs in changed.items() if differs):
            log.warning("study '%s' is continued with %s; give another name to keep the two apart", name, what)
    if before != header["context"]:
        record.note("latest", header["context"])


def _header(task: Task, strategy: Any, chosen: str, seed: int, budget: Budget, call: dict[str, Any]) -> dict[str, Any]:
    """What the record keeps of the search: to compare, and to show it or go on without the call."""
    from searchkit import __version__

    return {
        "format": FORMAT,
        "version": __version__,
        "search": task.identity | _goals(task.goals) | {"space": task.space.describe(), "seed": seed},
        "context": task.context
        | {
            "strategy": strategy if isinstance(strategy, str) else None,
            "chosen": chosen,
            "strategy_function": None if isinstance(strategy, str) else fingerprint(strategy),
            "seed": seed,
            "budget": {"evaluations": budget.evaluations, "seconds": budget.seconds},
            "bounds": {
                b.name: [None if math.isinf(end) else end for end in (b.low, b.high)] for b in task.goals.bounds
            },
            "call": call,
        },
    }


def _goals(goals: Goals) -> dict[str, Any]:
    return {
        "objectives": {objective.name: objective.direction for objective in goals.objectives},
        "constraints": [str(bound) for bound in goals.bounds],
    }


def _name(task: Task, strategy: Any, seed: int) -> str:
    """A name that the same call gets again, and another call does not."""
    goals = _goals(task.goals) | {"objectives": [(o.name, o.direction) for o in task.goals.objectives]}
    own = None if isinstance(strategy, str) else fingerprint(strategy)
    everything = [task.identity, task.context.get("function"), goals, task.space.describe(), seed, own]
    digest = hashlib.blake2b(json.dumps(plain(everything), sort_keys=True).encode(), digest_size=3).hexdigest()
    return f"{task.space.name}-{task.label}-{_strategy_name(strategy)}-{digest}"


def _strategy_name(strategy: Any) -> str:
    if isinstance(strategy, str):
        return strategy
    inner = getattr(strategy, "func", strategy)  # functools.partial
    return str(getattr(inner, "__name__", type(inner).__name__)).lower()
