"""Reads the arguments of :func:`searchkit.run`, before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from searchkit import plugins
from searchkit.costs.targets.target import read_targets
from searchkit.execution.executors import check_executor, is_external
from searchkit.option_values import (
    DEFAULT_BUDGET,
    SCREEN,
    baseline_seconds,
    check_progress,
    check_seconds,
    grouped_proxies,
    grouped_training,
    own_recipe,
    planned_baselines,
    refuse_network_arguments,
    whole,
)  # fmt: skip
from searchkit.options import Options
from searchkit.problem.budget import Budget, read_budget
from searchkit.problem.initial_design import read_start
from searchkit.problem.numbers import seed_of
from searchkit.problem.objectives import check_constraints
from searchkit.proxy_layer.automatic import AUTO
from searchkit.proxy_layer.setup import IN_SEARCH, read_proxies, suiting
from searchkit.proxy_layer.transfer import read_earlier
from searchkit.search.accounting import Callback
from searchkit.search.callbacks import read_callbacks
from searchkit.search.own_training import read_own
from searchkit.search.task import Task, function_task
from searchkit.storage.paths import FOLDER, check_place, check_storage, is_file, settled_storage
from searchkit.storage.places import check_new_name
from searchkit.surroundings import settled


def read_options(
    strategy: object,
    *,
    space: Any,
    data: Any,
    objectives: Any,
    constraints: Any,
    proxies: object,
    training: object,
    early_stopping: object,
    start: object,
    earlier: object,
    screen: object,
    verify: Any,
    budget: object,
    batch: object,
    evaluate: object,
    device: str,
    targets: object,
    executor: Any,
    workers: Any,
    storage: Any,
    name: Any,
    seed: Any,
    split_seed: Any,
    epochs: Any,
    recipe: object,
    ladder: Any,
    time_limit: Any,
    callbacks: Sequence[Callback],
    progress: bool | Literal["table"] | None,
    baselines: bool | None,
    weights: object,
    evaluation: object,
) -> Options:
    """Check the arguments of :func:`searchkit.run`, which documents them.

    Raises:
        SearchkitError: an argument is invalid; one of its subclasses, which names the value and what is allowed.
    """
    factory, limits = plugins.strategy_factory(strategy), read_budget(DEFAULT_BUDGET if budget is None else budget)
    for_baselines = baseline_seconds(baselines, evaluate is not None, limits)
    epochs, recipe, ladder, time_limit = grouped_training(training, epochs, recipe, ladder, time_limit)
    function: Any = training if callable(training) else None
    network_arguments = {"epochs": epochs, "recipe": recipe}
    trained_by = (
        None if evaluate is not None else read_own(function, early_stopping, ladder, executor, network_arguments)
    )
    own, epochs = own_recipe(recipe, epochs, evaluate is not None)
    proxies, screen, earlier = grouped_proxies(proxies, screen, earlier)
    batch, epochs, workers = whole("batch", batch, 1), whole("epochs", epochs, 1), whole("workers", workers, 1)
    seed, split_seed = seed_of("seed", seed), seed_of("split_seed", split_seed)
    check_seconds("time_limit", time_limit)
    check_progress(progress)
    watchers = read_callbacks(callbacks)
    check_storage(storage)
    settled_there = storage if isinstance(storage, str) and storage == "memory" else settled_storage(storage)
    place, home = (settled_there, Path()) if is_file(storage) else (storage, settled(FOLDER))
    check_executor(executor)
    check_constraints(constraints)
    if name is not None:
        check_place(storage, check_new_name(name))
    automatic, judging = isinstance(proxies, str) and proxies == AUTO, False
    signals, devices = read_proxies(() if automatic else proxies, IN_SEARCH), read_targets(targets)
    screen, verify = whole("screen", screen, 1) or SCREEN, whole("verify", verify, 1) or 0
    task: Task
    if evaluate is not None:
        looked_at = {} if signals else {"data": data, "device": None if device == "auto" else device}
        looked_at |= {"training": training, "epochs": epochs, "verify": verify or None, "ladder": ladder}
        looked_at |= {"early_stopping": early_stopping, "weights": weights, "evaluation": evaluation}
        refuse_network_arguments(**looked_at, targets=targets)
        task, here = function_task(evaluate, space, objectives, constraints, data, split_seed), device
        signals = [] if automatic else read_proxies(proxies, suiting(IN_SEARCH, task.space))
    else:
        from searchkit.runtime.devices import devices_of
        from searchkit.search.network_setup import network_task
        from searchkit.search.planning import usual_seconds
        from searchkit.sharing.parts import proxy_of_part

        here, there = devices_of(device, is_external(executor))
        task = network_task(
            space, data, objectives, constraints, here, there, seed, split_seed, epochs, time_limit, verify,
            ladder if trained_by is None else None,
            own, devices, trained_by, weights, evaluation,
        )  # fmt: skip
        signals = [] if automatic else read_proxies(proxies, suiting(IN_SEARCH, task.space))
        signals = [proxy_of_part(proxy, task.space, task.data) for proxy in signals]
        plannable = task.trains and epochs is None and ladder is None and not task.training.own.sets_length
        plannable = plannable and trained_by is None
        limits = Budget(seconds=usual_seconds(task.data)) if plannable and budget is None else limits
        task = replace(task, plannable=plannable, planned=plannable and limits.timed)
        for_baselines = planned_baselines(limits) if task.planned and baselines is not False else for_baselines
        judging = task.trains and (ladder is None or trained_by is not None) and not earlier
    learned = read_earlier(earlier, task.space, task.goals, task.untrained, task.judged)
    return Options(
        strategy, factory, task, read_start(start, task.space), (*signals, *learned), screen, verify, limits, batch,
        seed, split_seed, device, here, executor, workers, settled_there, place, home, name, epochs, time_limit,
        watchers, progress, for_baselines, devices,
        automatic and judging, judging and not automatic and not signals,
    )  # fmt: skip
