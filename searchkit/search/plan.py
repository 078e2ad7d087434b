"""How the time of a search over networks is spent: made before it begins, told, and recorded.

A part of the time goes to candidates, each trained for few steps, and the larger part to the final training of the
winners. With little time, few candidates are trained for a few hundred steps each; with more time, there are more
candidates (their number grows with the 0.4th power of the time), and each is trained longer, up to a number of passes
beyond which a longer training tells little more about which candidate is better.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from searchkit.data.data import Data
from searchkit.errors import BudgetError, plural
from searchkit.space.recipe_space import Setting
from searchkit.training.evaluator import Training
from searchkit.training.own_recipe import NOTHING, OwnRecipe, told
from searchkit.training.recipe import LEAST_STEPS, Recipe, recipe_of_length, recipe_of_passes
from searchkit.training.speed import Speed, Within, measure, sizes
from searchkit.types import Codes

DEFAULT_SECONDS = 150.0  # of a search over data of at most SMALL_DATA numbers; grows with the root of their size
SMALL_DATA, MOST_DEFAULT = 1e6, 8.0
SEARCH = 0.44  # share of the time before the ending for candidates
ENDING = 0.04  # share of the time after the final trainings, for scores on the test part and simple baselines
LEAST_ENDING = 1.0  # seconds
MOST_ENDING = 0.25  # share of the time
SCORED_NETWORKS = 4  # on the front, on average
USUAL, USUAL_SECONDS, GROWTH = 12, 120.0, 0.4  # candidates in so many seconds, and how their number grows with time
FEWEST = 4  # candidates that make a search
MANY_PASSES = 30  # passes of a candidate's training; more time goes to more candidates
MEASURED = 10_000  # steps of a recipe of which a few are made to measure them
SHORT = 200  # steps that a candidate's training should have
SHORTEST = LEAST_STEPS
LONGEST_SLOT = 2.0  # times the planned seconds that the training of a large candidate may take, or
LARGEST_SHARE = 0.1  # of the time of all workers until the end of the search, where that is more
LAST = 0.8  # of the planned seconds: with less time left, no candidate is begun
CROWDED = 1.15  # a step takes so much longer where other workers train beside it


def usual_seconds(data: Data) -> float:
    """The time of a search for which no budget is given: minutes, more for more and larger examples."""
    numbers = len(data.train) * math.prod(data.input_shape)
    return float(round(DEFAULT_SECONDS * min(MOST_DEFAULT, max(1.0, math.sqrt(numbers / SMALL_DATA)))))


@dataclass(frozen=True)
class Plan:
    """How the time of a search is spent.

    Attributes:
        seconds: of the whole search.
        workers: candidates that train at the same time.
        candidates: that are expected to be trained.
        slot: planned seconds of a candidate's training.
        recipe: of a candidate's training; ``steps`` says its length.
        passes: over the train part in a candidate's training.
        search_until, final_until: seconds since the beginning at which the candidates' trainings and the final
            trainings end.
        speeds: ``(smallest, middle, largest)`` seconds of a training step.
        scoring: seconds for the scores of the front on the test part.
        options: settings of the user's recipe with the values that they may have.
    """

    seconds: float
    workers: int
    candidates: int
    slot: float
    recipe: Recipe
    passes: float
    search_until: float
    final_until: float
    speeds: tuple[float, float, float]
    scoring: float = 0.0
    options: dict[str, list[Setting]] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """The plan in three lines, and one for the user's recipe where there is one."""
        recipe = self.recipe
        small, middle, large = (1000 * step for step in self.speeds)
        several = {name for name, values in self.options.items() if len(values) > 1}
        rate = "" if several & {"lr", "batch_size"} else f", learning rate {recipe.lr:g}"
        images = "" if recipe.augment is None or "augment" in several else f", augmentation {recipe.augment}"
        beside = f" at a time on {self.workers} workers" if self.workers > 1 else " after another"
        passes = f"{self.passes:.2g} pass" + "es" * (f"{self.passes:.2g}" != "1")
        length = f"{plural(recipe.steps or 0, 'step')} of {recipe.batch_size} examples ({passes})"
        length = passes if "batch_size" in several else length
        candidates = plural(self.candidates, "candidate")
        return [
            f"plan: {round(self.seconds, 1):g} s; a training step takes {small:.2g} ms in a small, {middle:.2g} in a "
            f"middle and {large:.2g} in a large network of the space",
            f"search until {self.search_until:.0f} s: about {candidates}, {self.workers}{beside}, "
            f"each {length}{rate}{images}",
            f"then until {self.final_until:.0f} s: the winners, trained longer and on the validation part as well",
            *recipe_line(self.options),
        ]

    def told(self, before: float, prepared: float, n_done: int, most: int | None) -> list[str]:
        """The lines for a run of a study: the plan, or why this run trains no candidate.

        Args:
            before: seconds that the study has taken before this run.
            prepared: seconds of this run until its first candidate.
            n_done: candidates that were evaluated before.
            most: candidates in all, where the budget says so.
        """
        if n_done and most is not None and n_done >= most:
            why = f"it has {plural(n_done, 'candidate')} on record, of a budget of {most:,}; give more, such as"
            return [f"this run of the study trains no candidate: {why} --budget +{FEWEST} or budget='+{FEWEST}'"]
        spent = before + prepared
        if n_done and spent >= self.begin_until:
            more = self.slot
            while self.continued(spent + more, self.workers, spent).begin_until <= spent + 1:
                more *= 1.5
            enough = math.ceil(more + prepared)
            return [
                f"this run of the study trains no candidate: {spent:.0f} s are spent, of a budget of "
                f"{round(self.seconds, 1):g} s in all, which candidates and winners share, and a candidate takes about "
                f"{self.slot:.2g} s; give more time, such as --seconds +{enough} or "
                f"budget={{'more_seconds': {enough}}}"
            ]
        return self.lines

    def job_seconds(self, elapsed: float) -> float:
        """Seconds that a candidate's training may take which begins at this time of the search."""
        shortest = SHORTEST * self.speeds[0]
        longest = max(LONGEST_SLOT * self.slot, LARGEST_SHARE * self.search_until * self.workers)
        return max(shortest, min(longest, self.search_until - elapsed))

    def start(self, designs: Codes) -> Codes:
        """Of the space's own designs ``(s, d)`` those to begin with: as many as half of the candidates."""
        return designs[: max(FEWEST, self.candidates // 2)]

    @property
    def begin_until(self) -> float:
        """The time of the search after which no candidate is begun."""
        return self.search_until - LAST * self.slot

    def finals_until(self, scoring: float) -> float:
        """The time of the search at which final trainings end, if scores on the test part take so many seconds."""
        rest = (self.seconds - self.search_until) / (1 - SEARCH)  # about the time of the run
        return max(self.search_until, self.seconds - max(LEAST_ENDING, ENDING * rest) - scoring)

    def described(self) -> dict[str, Any]:
        """The plan as JSON values, for the record."""
        return {name: value for name, value in asdict(self).items() if name != "options" or value}

    @classmethod
    def from_record(cls, recorded: Mapping[str, Any]) -> Plan:
        """The plan that a study has on record."""
        return cls(**{**recorded, "recipe": Recipe(**recorded["recipe"]), "speeds": tuple(recorded["speeds"])})

    def continued(self, seconds: float, workers: int, spent: float, most: int | None = None) -> Plan:
        """The plan for a study that is continued: candidates are trained as before, in the time of this run.

        Args:
            seconds: of the whole study.
            spent: seconds that it has taken before.
            most: candidates that may still be trained.
        """
        search_until, final_until = _shares(seconds, spent, self.scoring)
        candidates = max(1, min(int((search_until - spent) * workers / self.slot), most or sys.maxsize))
        return replace(
            self, seconds=seconds, workers=workers, candidates=candidates, search_until=search_until,
            final_until=final_until,
        )  # fmt: skip


def recipe_line(options: Mapping[str, Sequence[Setting]]) -> list[str]:
    """The line about the user's recipe; none where there is none."""
    return [f"your recipe: {told(options)}"] if options else []


def make_plan(
    training: Training,
    seconds: float,
    workers: int,
    most: int | None = None,
    n_test: int = 0,
    within: Within | None = None,
) -> Plan:
    """A plan from the data, the speed of this device, and the time.

    Args:
        training: of the candidates; of its recipe, only the user's settings are used.
        seconds: of the whole search.
        workers: candidates that train at the same time.
        most: candidates that may be trained.
        n_test: examples of the test part, on which the networks of the front are scored at the end.
        within: bounds of the search: how long the networks take that meet them is what counts.

    Raises:
        BudgetError: the time is too short for one training; the message names the least.
        CandidateError: no network of the space can be trained.
    """
    data = training.data
    recipe = recipe_of_length(data.kind, len(data.train), 1.0, data.augment)
    speeds = measure(replace(training, recipe=replace(recipe, steps=MEASURED)), sizes(training.space, within))
    return plan_by(speeds, data, seconds, workers, most, n_test, training.own)


def plan_by(
    speeds: Sequence[Speed],
    data: Data,
    seconds: float,
    workers: int,
    most: int | None = None,
    n_test: int = 0,
    own: OwnRecipe = NOTHING,
) -> Plan:
    """A plan from known speeds, the quickest first; see :func:`make_plan`."""
    middle = speeds[len(speeds) // 2]
    scoring = SCORED_NETWORKS * n_test * middle.scored
    search_until, final_until = _shares(seconds, 0.0, scoring)
    check_long_enough(seconds, speeds, search_until)
    n, time = len(data.train), search_until * workers
    wanted = max(FEWEST, workers, round(USUAL * (seconds / USUAL_SECONDS) ** GROWTH))
    wanted = min(wanted, most or wanted)
    few = min(wanted, max(FEWEST, workers))
    for speed in (middle, speeds[0]):  # as many as wanted, or as many as have steps enough, or few of a small size
        step = speed.step * (CROWDED if workers > 1 else 1.0)
        candidates = min(wanted, max(few, int(time / (SHORT * step))))
        slot = min(time / candidates, search_until)
        examples = slot / step * speed.batch_size
        if slot >= SHORT * step:
            break
    passes = examples / n
    if passes > MANY_PASSES:
        slot, passes = slot * MANY_PASSES / passes, float(MANY_PASSES)
        candidates = min(int(time / slot), most or int(time / slot))
    recipe = own.applied(recipe_of_passes(data, n, passes), data.kind, n)
    return Plan(
        seconds, workers, max(1, candidates), slot, recipe, passes, search_until, final_until,
        (speeds[0].step, middle.step, speeds[-1].step), scoring, own.options,
    )  # fmt: skip


def check_long_enough(seconds: float, speeds: Sequence[Speed], search_until: float) -> None:
    """Raise BudgetError where the time does not suffice for one short training of the smallest network."""
    shortest = SHORTEST * speeds[0].step
    if search_until < shortest:
        least = math.ceil(shortest / (SEARCH * (1 - MOST_ENDING)) + 2 * LEAST_ENDING)
        raise BudgetError(
            f"a budget of {seconds:g} s is too short: a training of {SHORTEST} steps takes {shortest:.2g} s here, and "
            f"a search at least {least} s; give more, or epochs= to train for less"
        )


def _shares(seconds: float, spent: float, scoring: float) -> tuple[float, float]:
    """When the search and the final trainings end, in seconds since the beginning of the study."""
    rest = seconds - spent
    ending = min(MOST_ENDING * rest, max(LEAST_ENDING, ENDING * rest) + scoring)
    return spent + SEARCH * (rest - ending), seconds - ending
