"""The function :func:`searchkit.run`.

The module has another name because importing a submodule ``searchkit.run`` would replace the function by the module.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from searchkit.assembly import begin_strategy, check_targets, opener_of, pools_of, with_folder
from searchkit.execution.at_work import AtWork
from searchkit.judged import judged_plan, note_judges, with_judges
from searchkit.option_reading import read_options
from searchkit.option_values import Proxies, Training, chosen_by
from searchkit.planned import (
    begin_plan,
    begin_until,
    checked_problem,
    first_candidates,
    keep_time,
    scoring_time,
    with_plan,
)
from searchkit.problem.problem import Problem, Strategy
from searchkit.proxy_layer.comparisons import Comparisons
from searchkit.proxy_layer.setup import open_scorer, open_screen, report
from searchkit.results.result import Result
from searchkit.search.accounting import Callback
from searchkit.search.callbacks import watched
from searchkit.search.limited_costs import LimitedCosts, limited
from searchkit.search.loop import Search
from searchkit.search.progress import Progress
from searchkit.search.schedules import ENDED
from searchkit.search.study import go_on
from searchkit.search.target_columns import say_predicted
from searchkit.space import Space
from searchkit.storage.record import Memory, Record

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from torch import Tensor, nn

    from searchkit.costs.metrics import Metric
    from searchkit.scoring.protocols import NetworkProxy, Proxy
    from searchkit.sharing.shared_weights import SharedWeights
    from searchkit.training.own_training import TrainingFunction
    from searchkit.training.recipe import Recipe
    from searchkit.training.stopping_rules import Halving, Median
    from searchkit.types import Codes

Limit = float | tuple[float | None, float | None]  # a bound, see ``constraints`` of :func:`run`

log = logging.getLogger("searchkit")


def run(
    strategy: str | Callable[[Problem], Strategy] | object = "auto",
    *,
    space: str | Space | None = None,
    data: object = None,
    objectives: str | Metric | Sequence[str | Metric] | Mapping[str, str] | None = None,
    constraints: Mapping[str, Limit] | Mapping[Metric, Limit] | Mapping[str | Metric, Limit] | None = None,
    proxies: str | Proxy | NetworkProxy | Sequence[str | Proxy | NetworkProxy] | Proxies | None = "auto",
    training: Training | TrainingFunction | None = None,
    early_stopping: str | Halving | Median | None = None,
    start: Result | Sequence[Result | Mapping[str, object] | Sequence[int]] | Codes | None = None,
    earlier: Result | Comparisons | Sequence[Result | Comparisons] | None = None,
    screen: int | None = None,
    verify: int | None = None,
    budget: int | str | timedelta | Mapping[str, float | None] | None = None,
    batch: int | None = None,
    evaluate: Callable[[dict[str, Any]], Mapping[str, float]] | None = None,
    device: str = "auto",
    targets: Mapping[str, object] | None = None,
    executor: int | str | object = None,
    workers: int | None = None,
    storage: str | Path | BaseStorage | None = None,
    name: str | None = None,
    seed: int = 0,
    split_seed: int = 0,
    epochs: int | None = None,
    recipe: Mapping[str, object] | Recipe | None = None,
    ladder: str | Sequence[Mapping[str, float | bool]] | None = None,
    time_limit: float | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | Literal["table"] | None = None,
    baselines: bool | None = None,
    weights: SharedWeights | Result | Sequence[Result] | Mapping[str, Tensor] | nn.Module | str | Path | None = None,
    evaluation: str | Mapping[str, object] | SharedWeights | None = None,
) -> Result:
    """Search a space for the best trade-offs and return them.

    Without ``evaluate``, candidates are networks: each is built, its costs are counted and measured, and it is trained
    on the data and scored on the validation part. The networks of the front are scored on the test part, which the
    search does not use otherwise, once at the end.
    With ``evaluate=f``, a candidate is a dictionary of choices, and ``f(choices)`` returns ``{objective: value}``.

    The same call again continues where it stopped, and evaluates nothing twice.

    Args:
        strategy: a name (see ``searchkit.plugins.names("strategy")``); "auto" picks one by budget, space and
            objectives, and ``result.strategy`` says which and why. Or an Optuna sampler, a pymoo algorithm, or a
            callable that makes a strategy from a :class:`~searchkit.problem.problem.Problem`, such as
            ``functools.partial(NSGA2, population=50)``.
        space: a name, a :class:`Space`, or a :class:`NetworkSpace`; by default "residual" for images, "tabular" for
            tables, "sequence" for tokens and signals, and "encoder-decoder" for masks and maps.
        data: see :func:`searchkit.load_data`; by default scikit-learn's digits.
        objectives: names of metrics (accuracy, balanced_accuracy, log_loss, params, macs, peak_memory, file_bytes,
            ram_int8, flash_int8, latency_ms; r2 or rmse of quantities; f1_macro or subset_accuracy of several labels at
            once; miou or pixel_accuracy of masks; rmse or ssim of maps; energy_mj; card_memory on a GPU), of
            scikit-learn's scorers, or :class:`Metric` objects; by default the first score of the task and params. With
            ``evaluate``, a mapping name -> "min" or "max".
        constraints: bounds, e.g. ``{"params": 1e6, "latency_ms": (None, 5), "accuracy": 0.9}``: a number limits the
            metric in its bad direction, a pair is (low, high). Candidates that break a bound on a cost are not trained.
        proxies: cheap signals that rank candidates before they are evaluated: names (see
            ``searchkit.plugins.names("proxy")``), "default" for a set that works on many spaces, or objects; ``()``
            or "none" for none. "auto" takes some where networks are trained, if scoring takes a small part of the time
            of that, which is measured here, and says so in a line of the logger "searchkit"; a continued study keeps to
            it. With a time in the budget, as many networks are scored as fit into it. The strategy proposes more
            candidates than are evaluated, the proxy layer chooses among them
            (:mod:`searchkit.proxy_layer.signals`), and ``result.signals`` has how well each proxy predicted. A proxy's
            name can be an objective: ``objectives=("naswot", "params")`` searches without training.
            ``Proxies(names, screen=..., earlier=...)`` is these three arguments as one value.
        training: ``Training(epochs=..., ladder=..., time_limit=..., recipe=...)``: these arguments as one value. Or
            your own, a function (network, data, report) -> {score: value}, which then decides how long it trains; see
            :class:`~searchkit.training.reporter.Reporter` for ``report(epoch, {score: value})``.
        early_stopping: whether your own training is told to stop by what others had reported at the same epoch:
            "halving", "median", or :class:`~searchkit.training.Halving` or ``Median`` with other settings. Those
            that are stopped end as "dropped", as on a ladder, whose rungs set epochs of halving here.
        start: candidates to evaluate first: dictionaries of choices, rows of codes ``(n, d)``, or a :class:`Result`,
            whose front is taken, or several in the list. They count in the budget.
        earlier: the :class:`Result` of an earlier study over the same choices, or several, also on other data, also
            with options more or fewer, where five of its scored candidates are of the new space. A predictor fitted to
            each is added to the proxies, and loses its weight if it predicts badly. One of another space is a hint, if
            both have roles (:class:`Choice`). Also :class:`~searchkit.Comparisons` of candidates.
        screen: candidates scored by the proxies for each one that is evaluated (16).
        verify: number of best candidates to train at the end of a search without training; ``result.verified`` has the
            scores of the task that they reach.
        budget: a time, ``{"seconds": s}``, or a number of evaluations, or both: ``{"evaluations": n, "seconds": s}``;
            counted over the whole study. "+60" is 60 evaluations from now on, ``{"more_seconds": 300}`` so much time.
            With a time, and without ``epochs`` or ``ladder``, the search plans how it is spent: for how many steps
            candidates are trained, how many there are, and how long the winners are trained at the end, on the
            validation part as well (:mod:`searchkit.search.plan`). None: minutes, by the size of the data; 40
            evaluations where nothing is planned.
        batch: candidates asked for at once; all are evaluated before the next batch. By default, on one worker, the
            strategy's own size for functions and one for networks; on several workers, one candidate whenever a worker
            is free, so that a slow one delays no other. With a batch, the history depends on the seed alone; without,
            on several workers, also on the order in which evaluations end.
        device: "auto" (a CUDA device if there is one, else the CPU), "cpu", "cuda", "cuda:1". With "auto" or "cuda",
            worker processes are spread over all CUDA devices; "cuda:1" is this device for all. Workers of a cluster may
            have CUDA devices although this machine has none.
        targets: other devices by name, on which costs are measured: a command with ``{file}`` where the path of the
            candidate's ONNX file belongs, which prints a number, ``"ssh://user@host"``, ``"here"``, a function (path)
            -> milliseconds, or a :class:`Target` with further settings. ``"latency_ms@phone"`` is then a metric.
        executor: None (in this process, one after another), a number of worker processes, "interleaved" (several
            networks at once in this process, for a GPU: :mod:`searchkit.execution.interleaved`), "ray" (a cluster;
            "ray://head:10001" at an address), or an object: any of ``concurrent.futures``, Dask's, submitit's.
        workers: candidates that an executor evaluates at the same time, if it does not know this itself (submitit's) or
            if another number is wanted; for "interleaved" the number on each device (4).
        storage: None (``searchkit-runs/<name>.journal``), a folder, a ``.journal`` file, "memory", an SQLAlchemy URL,
            or an Optuna storage.
        name: name of the study; by default made from the other arguments.
        seed: seed of everything random except the split of the data.
        split_seed: seed of the split of the data into parts. It is independent of ``seed``, so that studies with
            different seeds have the same test part, also when one starts with candidates of another or learns from it.
        epochs: epochs of each candidate's training (30, or what the plan says).
        recipe: settings of :class:`~searchkit.Recipe` in place of the default ones or those of the plan, also in final
            trainings: ``{"lr": 0.05, "label_smoothing": 0.0}``. A list, a tuple or a :class:`Choice` is options, of
            which the search chooses for each candidate, as it does of the space's: ``{"lr": [0.02, 0.05, 0.1]}``. With
            epochs or steps nothing is planned. A whole ``Recipe(...)`` sets all settings, the epochs too.
        ladder: cheaper trainings that a candidate has to pass before the full one, from cheap to expensive, such as
            ``({"epochs": 3}, {"epochs": 10, "data": 0.5})``. A rung sets epochs, resolution (pixels of the shorter side
            of the images), width (a factor on the space's choice or option of that name) and data (a fraction of the
            train part); "default" is a tenth and a third of the epochs. A candidate among the best third of those that
            reached a rung goes on (:mod:`searchkit.training.fidelity`), or later, with ``"again": True`` in the rung or
            "econas" as the ladder. The others end as "dropped": they count in the budget and are in the history with
            their values at the rungs, but not on the front. bo and the proxy layer learn the final value that the last
            rung predicts; for other strategies, a dropped candidate has failed. About a third of the candidates are
            trained in full after one rung and a ninth after two, so the budget should be larger. Give a ``batch``.
        time_limit: seconds that a training may take, counted for each rung separately; a longer one has failed. The
            same limit holds for all that your own metrics without training take for a candidate.
        callbacks: called as ``callback(trial, trials)`` after every candidate; raise ``StopSearch`` to end the search.
            The methods ``on_start(result)`` and ``on_end(result, error)`` of a callback are called at its start and
            end (:func:`searchkit.search.callbacks.watched`). Trackers are callbacks:
            :mod:`searchkit.integrations.mlflow`, ``tensorboard`` and ``jsonlines``.
        progress: whether to show a bar; by default on a terminal and in notebooks. "table": the front there, live.
        baselines: True: at the end, fit simple models (the most frequent class or the mean, a linear model, a random
            forest, an MLP) on the same train part, once in a study and in about 10 s, or a tenth of a budget in
            seconds, of a planned one a fortieth; ``result.baselines`` has their scores, and the logger "searchkit"
            warns where the best of the front is not above them. None: as False. Where nothing is trained there is
            nothing to compare, and it has no effect.
        weights: what networks begin with in place of random weights, in trainings and for proxies:
            :class:`searchkit.SharedWeights`, the :class:`Result` of an earlier search over the same space (its front)
            or a list of these, a torch module or its state, or a file of that. A network takes what has the name and
            shape of its own.
        evaluation: "one-shot": no candidate is trained. One set of weights, shared by all networks of the space, is
            trained once (:class:`searchkit.SharedWeights`), and minus the loss that a network has with its part of
            them, "one-shot", is the objective in place of a score. With ``verify=10`` the ten best are then trained.
            Settings of these weights by name, ``{"policy": "fair", "epochs": 50}``, or weights of your own.

    Raises:
        SearchkitError: an argument is invalid; one of its subclasses, raised before any work.
        SearchFailedError: the first candidates all failed, or all of a small budget. If the front is empty for another
            reason, such as bounds that no candidate meets, the logger "searchkit" warns and says which.
    """
    given, began = locals(), time.perf_counter()
    options = read_options(**given)
    problem = checked_problem(options)
    begun = begin_strategy(options, problem)
    options, plan = with_plan(options, begun, began)
    options, begun, chosen = with_judges(options, problem, begun, plan)
    with ExitStack() as stack:
        scorer = stack.enter_context(open_scorer(options)) if options.signals else None
        header = options.header(begun)
        task, keep = with_folder(options, stack)
        keep_time(task, scorer, options.budget, began)
        note_check = check_targets(options, task)
        open_pool = pools_of(options, task)
        pool = stack.enter_context(closing(open_pool(task.evaluate, task.needed)))
        costs = limited(task.costs, pool)
        if isinstance(costs, LimitedCosts):
            stack.callback(costs.close)
        record: Record = Memory() if options.in_memory else opener_of(options, header)()
        stack.callback(record.close)
        note_judges(chosen, record, plan)
        note_check(record)
        stack.enter_context(AtWork(options.folder and options.folder.with_suffix(".at-work"), record))
        go_on(record, options.name, header)
        task.begin()
        plan = judged_plan(plan, options, problem, chosen, scorer, record)
        plan, limits, note_spent = begin_plan(plan, options.budget, record, pool, began)
        _say_strategy(begun)
        result = Result(
            task.space, task.goals, record.trials, options.name, "not begun", header["context"], task.folder
        )
        result.open_record = (lambda: record) if options.in_memory else opener_of(options, header)
        stack.enter_context(watched(result, options.callbacks))
        bar = stack.enter_context(Progress(progress, task.goals, limits, record.trials))
        limits = begin_until(plan, limits, record, began, options.budget.timed)
        within = scoring_time(plan, limits, record, began, pool.workers, scorer)
        screen_ = None if scorer is None else open_screen(options, problem, scorer, record, begun, within)
        watching = (*task.callbacks, bar.update, result.refresh, *options.callbacks)
        search = Search(
            problem, begun, task.goals, costs, pool, record, limits,
            options.batch_size(begun, pool.workers), options.seed, watching, screen_, task.ladder,
            first_candidates(options, task, plan, record),
            began, None if plan is None else plan.job_seconds, options.strategy_name, task.reporting,
        )  # fmt: skip
        result.stopped = search.run()
        bar.close()
        result.refresh()
        say_predicted(result.trials, task.goals)
        if screen_ is not None:
            result.trust = report(screen_, record)
        if plan is not None and result.stopped in ENDED:
            note_spent(search.ledger.elapsed())  # a killed ending has had it
            task.train_finals(record, pool, plan, search.ledger.elapsed(), options.seed)
        task.verify(result, record, open_pool)
        if record.trials:
            task.finish(result, record)
            task.compare(result, record, options.baselines)
        result.took = note_spent(search.ledger.elapsed())
        _say_if_empty(result)
        keep(result)
        return result


def _say_strategy(begun: Strategy) -> None:
    """Log which strategy "auto" takes, where it was asked for."""
    if chosen_by(begun):
        log.info("strategy 'auto' takes %s", chosen_by(begun))


def _say_if_empty(result: Result) -> None:
    """Log why the front is empty, where it is."""
    if result.nothing:
        log.getChild("front").warning("the front of study '%s' is empty: %s", result.name, result.nothing)
