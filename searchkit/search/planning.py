"""The plan of a search over networks, made before it begins from the data, the speed of the device, and the time.

A part of the time goes to candidates, each trained for few steps, and the larger part to the final training of the
winners. With little time, few candidates are trained for a few hundred steps each; with more time, there are more
candidates (their number grows with the 0.4th power of the time), and each is trained longer, up to a number of passes
beyond which a longer training tells little more about which candidate is better.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.search.plan import FEWEST, MANY_PASSES, PROPOSED, SHORTEST, Plan, check_long_enough, shares
from searchkit.training.evaluator import Training
from searchkit.training.own_recipe import NOTHING, OwnRecipe
from searchkit.training.recipe import recipe_of_length, recipe_of_passes
from searchkit.training.speed import Speed, Within, measure, sizes

log = logging.getLogger("searchkit")

DEFAULT_SECONDS = 150.0  # of a search over data of at most SMALL_DATA numbers; grows with the root of their size
SMALL_DATA, MOST_DEFAULT = 1e6, 8.0
SCORED_NETWORKS = 4  # on the front, on average
USUAL, USUAL_SECONDS, GROWTH = 12, 120.0, 0.4  # candidates in so many seconds, and how their number grows with time
MEASURED = 10_000  # steps of a recipe of which a few are made to measure them
SHORT = 200  # steps that a candidate's training should have
LOOKING = 0.1  # share of the time for measuring which networks meet the bounds, before the search is planned
CROWDED = 1.15  # a step takes so much longer where other workers train beside it


def usual_seconds(data: Data) -> float:
    """The time of a search for which no budget is given: minutes, more for more and larger examples."""
    numbers = len(data.train) * math.prod(data.input_shape)
    return float(round(DEFAULT_SECONDS * min(MOST_DEFAULT, max(1.0, math.sqrt(numbers / SMALL_DATA)))))


def make_plan(
    training: Training,
    seconds: float,
    workers: int,
    most: int | None = None,
    n_test: int = 0,
    within: Within | None = None,
    spent: float = 0.0,
) -> Plan:
    """A plan from the data, the speed of this device, and the time.

    Args:
        training: of the candidates; of its recipe, only the user's settings are used.
        seconds: of the whole search.
        workers: candidates that train at the same time.
        most: candidates that may be trained.
        n_test: examples of the test part, on which the networks of the front are scored at the end.
        within: bounds of the search: how long the networks take that meet them is what counts.
        spent: seconds that the search has taken before.

    Raises:
        BudgetError: the time is too short for one training; the message names the least.
        CandidateError: no network of the space can be trained.
    """
    data, began = training.data, time.perf_counter()
    recipe = recipe_of_length(data.kind, len(data.train), 1.0, data.augment)
    log.info("measuring how long training steps take here, by which the time is planned")
    codes = sizes(training.space, within, LOOKING * seconds)
    looked = time.perf_counter() - began
    speeds = measure(replace(training, recipe=replace(recipe, steps=MEASURED)), codes)
    measured = within.measured if within is not None else ()
    if measured and looked > LOOKING * seconds:
        log.warning(
            "measuring %s took %.2g s before the search was planned, and each candidate takes such measurements: "
            "with more time, or a quicker metric, more of them are trained",
            " and ".join(measured), looked,
        )  # fmt: skip
    plan = plan_by(speeds, data, seconds, workers, most, n_test, training.own, spent + time.perf_counter() - began)
    most_macs = float(space_counts(training.space, codes)["macs"].max()) if measured else None
    found = np.unique(codes, axis=0).tolist() if measured else []
    return replace(plan, bounded=within is not None and within.bounded, most_macs=most_macs, found=found)


def plan_by(
    speeds: Sequence[Speed],
    data: Data,
    seconds: float,
    workers: int,
    most: int | None = None,
    n_test: int = 0,
    own: OwnRecipe = NOTHING,
    spent: float = 0.0,
) -> Plan:
    """A plan from known speeds, the quickest first, with so many seconds spent; see :func:`make_plan`."""
    middle = speeds[len(speeds) // 2]
    scoring = SCORED_NETWORKS * n_test * middle.scored
    search_until, final_until = shares(seconds, spent, scoring)
    available = search_until - spent
    check_long_enough(seconds, SHORTEST * speeds[0].step, available, spent)
    n, together = len(data.train), available * workers
    wanted = max(FEWEST, workers, round(USUAL * (seconds / USUAL_SECONDS) ** GROWTH))
    wanted = min(wanted, most or wanted)
    few = min(wanted, max(FEWEST, workers))
    for speed in (middle, speeds[0]):  # as many as wanted, or as many as have steps enough, or few of a small size
        step = speed.step * (CROWDED if workers > 1 else 1.0)
        candidates = min(wanted, max(few, int(together / (SHORT * step))))
        slot = min(together / candidates, available)
        examples = slot / step * speed.batch_size
        if slot >= SHORT * step:
            break
    passes = examples / n
    if passes > MANY_PASSES:
        slot, passes = slot * MANY_PASSES / passes, float(MANY_PASSES)
        fitting = int(together / (slot + PROPOSED))
        candidates = min(fitting, most or fitting)
    recipe = own.applied(recipe_of_passes(data, n, passes), data.kind, n)
    return Plan(
        seconds, workers, max(1, candidates), slot, recipe, passes, search_until, final_until,
        (speeds[0].step, middle.step, speeds[-1].step), scoring, own.options,
    )  # fmt: skip
