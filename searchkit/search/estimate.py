"""How long a search takes whose length is a number of evaluations."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace

import numpy as np

from searchkit.errors import plural
from searchkit.search.plan import recipe_line
from searchkit.search.planning import CROWDED
from searchkit.space.recipe_space import Setting
from searchkit.training.evaluator import Training
from searchkit.training.own_recipe import either
from searchkit.training.recipe import Recipe
from searchkit.training.speed import SAMPLED, Within, measure, sizes


@dataclass(frozen=True)
class Estimate:
    """What a search is expected to take whose length is a number of evaluations.

    Attributes:
        candidates: evaluations in all; None: as many as end in the time, where that is not known.
        recipe: of a candidate's training.
        seconds: of the whole search; NaN where that is not known.
        options: settings of the user's recipe with the values that they may have.
        limit: seconds after which no candidate begins; None: no limit.
        judged: a line on the proxies that judge candidates before they are trained; empty where there are none.
        about: lines on what is searched, of :func:`searchkit.plan`.
    """

    candidates: int | None
    workers: int
    recipe: Recipe | None
    seconds: float
    options: dict[str, list[Setting]] = field(default_factory=dict)
    limit: float | None = None
    judged: str = ""
    about: tuple[str, ...] = field(default=(), compare=False)

    def judged_in(self, line: str, seconds: float) -> Estimate:
        """The estimate with the seconds that scores by proxies take in all; with a limit, of fewer candidates."""
        total, n = self.seconds + seconds, self.candidates
        if self.limit is not None and n is not None and total > self.limit:
            n = max(1, math.ceil(n * self.limit / total))
            total = max(self.limit, self.seconds * n / max(1, self.candidates or 1))
        return replace(self, candidates=n, seconds=total, judged=line)

    @property
    def lines(self) -> list[str]:
        """The estimate in a line or two, and one each for the user's recipe and for proxies where there are any."""
        n = "candidates" if self.candidates is None else plural(self.candidates, "candidate")
        until = "" if self.limit is None else f", none begun after {self.limit:g} s"
        said = f"plan: {n}, {self.workers} at a time{until}"
        if self.recipe is None:
            return [f"{said}; how long their evaluations take is not known", *self._judged]
        length = "steps" if self.recipe.steps is not None or "steps" in self.options else "epochs"
        lengths = self.options.get(length, [getattr(self.recipe, length)])
        how_long = f"{either(lengths)} {length.removesuffix('s') if list(lengths) == [1] else length}"
        size = either(self.options.get("batch_size", [self.recipe.batch_size]))
        return [
            f"{said}, each {how_long} with batches of {size}",
            *recipe_line(self.options),
            *self._judged,
            f"with networks of a middle size of the space, that takes about {self.seconds:.0f} s here",
        ]

    @property
    def _judged(self) -> list[str]:
        return [self.judged] if self.judged else []


def estimate(
    training: Training,
    candidates: int | None,
    workers: int,
    within: Within | None = None,
    limit: float | None = None,
) -> Estimate:
    """What a search for so many evaluations within its bounds takes, from the speed of this device.

    Args:
        limit: seconds after which no candidate begins; the training of those that have begun is completed.
    """
    speeds = measure(training, sizes(training.space, within))
    example = speeds[len(speeds) // 2].example * (CROWDED if workers > 1 else 1.0)
    each = example * _examples(training) / workers
    fitting = sys.maxsize if limit is None else max(1, math.ceil(limit / each))
    candidates = min(fitting, candidates or fitting)
    return Estimate(candidates, workers, training.recipe, each * candidates, training.own.options, limit)


def _examples(training: Training) -> float:
    """Examples of a candidate's training, on average over what candidates may choose of the recipe."""
    n = len(training.data.train)
    codes = training.space.sample(SAMPLED if training.own.choices else 1, np.random.default_rng(0))
    recipes = [training.recipe_of(code) for code in codes]
    return float(np.mean([recipe.steps_over(n) * min(recipe.batch_size, n) for recipe in recipes]))
