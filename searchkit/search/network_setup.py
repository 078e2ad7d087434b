"""Makes the task of a search over networks from the arguments of :func:`searchkit.run`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from searchkit import plugins
from searchkit.costs.measure import check_here, check_measurable
from searchkit.costs.metrics import MARGINS, Metric, read_metrics
from searchkit.costs.reach import check_reach
from searchkit.costs.targets.target import Target, described
from searchkit.costs.task_scores import SCORES, tasks_of, trained_scores
from searchkit.data.data import Data
from searchkit.errors import SearchkitError
from searchkit.problem.objectives import Goals, read_bounds, read_objectives
from searchkit.results.baselines import Source
from searchkit.results.recorded_data import recorded
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.registry import AnyProxy, Configured
from searchkit.scoring.scorer import Scorer
from searchkit.search.evaluations import Scoring
from searchkit.search.kinds import called
from searchkit.search.known_costs import with_known
from searchkit.search.network_task import NetworkTask, no_training
from searchkit.search.one_shot import Shared, read_evaluation, say_bounds
from searchkit.search.own_training import Own, by_function, own_scores
from searchkit.search.space_setup import read_space, space_and_data
from searchkit.search.start_weights import read_weights
from searchkit.search.verification import Verification
from searchkit.sharing.parts import proxy_of_part
from searchkit.sharing.shared_weights import SharedWeights
from searchkit.space import NetworkSpace
from searchkit.surroundings import settled
from searchkit.training.evaluation import Evaluate
from searchkit.training.evaluator import Training, at_rung
from searchkit.training.fidelity import Ladder, Rung, check_cheaper, read_ladder
from searchkit.training.metric_functions import with_functions
from searchkit.training.own_recipe import LENGTH, NOTHING, OwnRecipe, check_effect, own_space
from searchkit.training.recipe import Recipe, recipe_for
from searchkit.training.starts import Start
from searchkit.types import Task

log = logging.getLogger("searchkit")


def network_task(
    space: object,
    data: object,
    objectives: object,
    constraints: object,
    where: str,
    there: str,
    seed: int,
    split_seed: int,
    epochs: int | None,
    time_limit: float | None,
    verify: int = 0,
    ladder: object = None,
    own: OwnRecipe | None = None,
    targets: Mapping[str, Target] | None = None,
    trained_by: Own | None = None,
    weights: object = None,
    evaluation: object = None,
) -> NetworkTask:
    """The task of a search over networks; for the arguments see :func:`searchkit.run`.

    Args:
        where, there: the device of this process and that of the trainings, see
            :func:`searchkit.runtime.devices.devices_of`.
        own: what ``recipe=`` says, but for epochs that are fixed: these are in ``epochs``.
        targets: other devices on which costs are measured, by name.
        trained_by: the user's training function, in which case nothing else says how candidates are trained.
        weights: what networks begin with, see :func:`~searchkit.search.start_weights.read_weights`.
        evaluation: see :func:`~searchkit.search.one_shot.read_evaluation`.
    """
    space = None if space is None else read_space(space)
    targets, found = targets or {}, None
    if objectives is None:  # the data say which score counts
        read_metrics("params", constraints, targets)  # what is wrong with a bound is said before data are loaded
        found = space_and_data(space, data, split_seed, _task_hint(_names(constraints)))
        objectives = (SCORES[found[1].task][0], "params")
    asked = _scores_among(objectives)
    objectives, shared = read_evaluation(evaluation, objectives, constraints, trained_by is not None)
    say_bounds(shared, _names(constraints))
    own_names = {} if trained_by is None else own_scores(objectives, constraints)
    metrics, directions = read_metrics(objectives, constraints, targets, own_names)
    check_measurable(metrics, where, there)
    check_here(targets, metrics, where, there)
    goals = _goals(metrics, directions, constraints)
    check_reach(goals.bounds, metrics, trained_by is not None)
    space, loaded = found or space_and_data(space, data, split_seed, _task_hint([*metrics, *asked]))
    space, own, recipe = _with_recipe(space, own or NOTHING, epochs, loaded)
    rungs = read_ladder(ladder, recipe.epochs)
    _check_rungs(rungs, recipe.epochs, loaded, own)
    begin = read_weights(weights, space)
    context = _context(space, data, loaded, metrics, there, [rung.label for rung in rungs])
    context |= {"shared": isinstance(shared, SharedWeights)} if evaluation is not None else {}
    context |= {"weights": begin.identity} if begin is not None else {}
    context |= {"weights_file": str(settled(weights))} if isinstance(weights, str | Path) else {}
    known = loaded.without_test()
    scored = trained_scores([*metrics, *asked], loaded.task)
    metrics = with_functions(metrics, space, known, own_names)
    functions = tuple(m for m in metrics.values() if m.stage == "trained" and m.function is not None)
    trained = [name for name, metric in metrics.items() if metric.stage == "trained"]
    _check_trained(trained, goals, verify, rungs)
    _check_recipe(own, trained, goals, verify)
    training = Training(space, known, recipe, there, functions, Path(), time_limit, scored=scored, own=own, start=begin)
    training = replace(training, rungs=tuple(at_rung(training, rung, split_seed) for rung in rungs))
    signals = tuple(name for name, metric in metrics.items() if metric.stage == "scored")
    evaluate: Evaluate = training if trained else no_training
    if signals:
        evaluate = Scoring(_scorer(signals, space, known, where, seed, begin, shared), training if trained else None)
    from_training = (*scored, *(metric.name for metric in functions))
    made = NetworkTask(
        space=space,
        goals=goals,
        data=loaded,
        training=training,
        trains=bool(trained),
        metrics=metrics,
        needed=(*signals, *(from_training if trained else ())),
        device=where,
        split_seed=None if isinstance(data, Data) else split_seed,
        evaluate=evaluate,
        context=context | ({"targets": described(targets)} if targets else {}),
        targets=with_known(targets, space),
        shared=shared,
        ladder=Ladder(rungs, from_training) if rungs else None,
        source=Source(data, loaded, split_seed),
        verification=Verification(verify, training, loaded if len(loaded.test) else None, seed, where)
        if verify
        else None,
    )
    return made if trained_by is None else by_function(made, trained_by)


def _task_hint(metrics: Iterable[str]) -> Task | None:
    """The task that scores say; None where it may be classification or another, which the shape of y says then."""
    tasks = tasks_of(metrics)
    return None if len(tasks) > 1 and "classification" in tasks else next(iter(tasks), None)


def _goals(metrics: dict[str, Metric], directions: dict[str, Any], constraints: Any) -> Goals:
    named = {getattr(key, "name", key): limit for key, limit in (constraints or {}).items()}
    margins = {name: MARGINS[name] for name, metric in metrics.items() if name in MARGINS and metric.function is None}
    usual = {metric.name: metric.direction for metric in metrics.values()}
    return Goals(read_objectives(directions), read_bounds(named, usual, margins))


def _scores_among(objectives: Any) -> list[str]:
    """The scores of trained networks that objectives are, also where shared weights will stand in their place."""
    listed = [objectives] if isinstance(objectives, str | Metric) else objectives or ()
    names = [one for one in listed if isinstance(one, str)]
    return [name for name in names if any(name in of for of in SCORES.values())]


def _check_trained(trained: Sequence[str], goals: Goals, verify: int, rungs: Sequence[Rung]) -> None:
    """Refuse ``verify=`` in a search that trains, and ``ladder=`` in one that does not."""
    if verify and trained:
        raise SearchkitError(
            "verify trains the best candidates of a search without training, such as objectives=('eproxy', 'params'); "
            f"this search trains every candidate, for {', '.join(trained)}"
        )
    if rungs and not trained:
        raise SearchkitError(
            "ladder trains candidates cheaply before it trains them in full, but this search trains none: its "
            f"objectives and bounds are {', '.join(goals.metrics)}"
        )


def _with_recipe(
    space: NetworkSpace, own: OwnRecipe, epochs: int | None, data: Data
) -> tuple[NetworkSpace, OwnRecipe, Recipe]:
    """The space with the choices of the user's recipe, the user's recipe, and that of candidates which choose nothing.

    Raises:
        RecipeError: a setting has no effect on these data, or both the space and the recipe have it.
        SpaceError: a choice of the networks has the name of a setting.
    """
    networks, own = own_space(space, own)
    recipe = own.applied(recipe_for(data.kind, len(data.train), epochs, data.augment), data.kind, len(data.train))
    check_effect(own, recipe, data, networks)
    if data.kind == "images" and own.lacks_rate:
        log.warning(
            "recipe= has the optimiser adamw and no lr: the default learning rate, here %g, suits sgd; give adamw a "
            "lower one, about 0.005",
            recipe.lr,
        )
    return own.over(networks, recipe), own, recipe


def _check_recipe(own: OwnRecipe, trained: Sequence[str], goals: Goals, verify: int) -> None:
    """Refuse ``recipe=`` in a search that trains nothing, and its choices in one that trains only at its end."""
    if own.given and not trained and not verify:
        raise SearchkitError(
            "recipe sets how candidates are trained, but this search trains none: its objectives and bounds are "
            f"{', '.join(goals.metrics)}; leave it out, or search for a score of trained networks, such as accuracy"
        )
    if own.choices and not trained:
        raise SearchkitError(
            f"recipe has several options for '{own.choices[0].name}', which the search compares by training, but this "
            "search trains only the candidates of verify=: give one value"
        )


def _context(
    space: NetworkSpace, given: Any, data: Data, metrics: dict[str, Metric], device: str, rungs: list[str]
) -> dict[str, Any]:
    """The context of the task; see :class:`Task`."""
    return {
        "kind": "networks",
        "function": fingerprint(
            space.builder, space.canonical_function, [metric.function for metric in metrics.values()]
        ),
        "data": recorded(given, data),
        "device": device,
        "rungs": rungs,
        "units": {metric.name: metric.unit for metric in metrics.values() if metric.unit},
    }


def _scorer(
    signals: Sequence[str],
    space: NetworkSpace,
    data: Data,
    device: str,
    seed: int,
    weights: Start | None,
    shared: Shared | None,
) -> Scorer:
    """A scorer of the proxies that the signals belong to; shared weights of the user's in place of one by name."""
    registered = plugins.signals()
    proxies: list[str | AnyProxy | Configured] = list(dict.fromkeys(registered[name] for name in signals))
    if shared is not None:
        used: AnyProxy | Configured = proxy_of_part(shared, space, data)
        proxies = [used if proxy == shared.name else proxy for proxy in proxies]
    return Scorer(space, proxies, data, device=device, seed=seed, weights=weights)


def _names(constraints: Any) -> list[str]:
    return [str(getattr(key, "name", key)) for key in constraints or {}]


def _check_rungs(rungs: Sequence[Rung], epochs: int, data: Data, own: OwnRecipe) -> None:
    for name in LENGTH:
        if rungs and name in own.options:
            what = "steps" if name == "steps" else "several options for epochs"
            raise SearchkitError(
                f"recipe sets {what}, and the rungs of a ladder are cheaper than a number of epochs: give one number "
                "of epochs, or leave the ladder out"
            )
    if data.dense and any(rung.resolution is not None for rung in rungs):
        raise SearchkitError(
            f"a rung of the ladder sets resolution, but data '{data.name}' have something to predict for each pixel; a "
            "rung can set epochs, width and data"
        )
    if data.kind == "images":
        check_cheaper(rungs, epochs, min(data.input_shape[1:]))
        return
    if any(rung.resolution is not None for rung in rungs):
        raise SearchkitError(
            f"a rung of the ladder sets resolution, but data '{data.name}' are {called(data)} and have none; a rung "
            "can set epochs, width and data"
        )
    check_cheaper(rungs, epochs, 1)
