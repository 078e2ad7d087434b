"""The figures of a model card: what was measured, on what, and what the network was chosen from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from searchkit.costs.task_scores import SCORES, recorded_task
from searchkit.data.data import Data
from searchkit.errors import duration, plural
from searchkit.problem.trial import State, Trial
from searchkit.results.file_scores import FileScore
from searchkit.results.result import Result
from searchkit.space.inputs import kind_of
from searchkit.space.recipe_space import settings_of
from searchkit.types import Task

COUNTED = ("params", "macs")
BESIDE = 2  # rows of the front that are shown on each side of the network's


@dataclass(frozen=True)
class Figures:
    """A network of a search, with its data and the score of its files.

    Attributes:
        worth: what ``model.pt2`` answers, judged on the test part, or on the validation part where there is none.
    """

    result: Result
    trial: Trial
    data: Data
    worth: FileScore

    @property
    def task(self) -> Task:
        """What the network predicts."""
        return recorded_task(self.result.context["data"])

    @property
    def retrained(self) -> bool:
        """Whether the weights are of a final training, on the train and the validation part."""
        return "steps" in self.result.finals.get(self.trial.number, {})

    def scores(self) -> list[tuple[str, str, float]]:
        """``(metric, part, value)`` of these weights: of the test part, and of the validation part if they left it out.

        The weights of a final training have seen the validation part, so the search's score is not theirs.
        """
        found = [(self.worth.metric, self.worth.part, self.worth.network)]
        names = SCORES[self.task]
        known = [(name, "validation", self.trial.values[name]) for name in names if name in self.trial.values]
        if not self.retrained:
            found += [one for one in known if one[:2] != found[0][:2]]
        return [one for one in found if math.isfinite(one[2])]

    @cached_property
    def measured(self) -> list[tuple[str, str, str]]:
        """Every figure as ``(name, value, how)``, of which the first is the score of these weights."""
        result, score = self.result, self.worth
        examples = len(self.data.test) if score.part == "test" else len(self.data.val)
        rows = [(f"{score.metric} ({score.part} part)", number(score.network), plural(examples, "example"))]
        units = result.context.get("units", {})
        for name, value in result.as_delivered(self.trial).items():
            how = self.trial.methods.get(name) or units.get(name, "counted" if name in COUNTED else "")
            if name in SCORES[self.task]:
                if (name, "validation") == (score.metric, score.part) and not self.retrained:
                    continue  # of the same weights and examples as the first row
                how = plural(len(self.data.val), "example") + ", before the final training" * self.retrained
                name = f"{name} (validation part{', in the search' * self.retrained})"
            how = "of the final training" if name == "steps" and self.retrained else how
            rows.append((name, number(value), how))
        return rows

    @property
    def pixels(self) -> tuple[float, float] | None:
        """Least and largest raw pixel of the train part; None of other inputs, and where they are not at hand."""
        x = self.data.train.x
        if (
            kind_of(self.result.network_space.input_shape) != "images"
            or not isinstance(x, torch.Tensor)
            or not x.numel()
        ):
            return None
        return float(x.min()), float(x.max())

    @property
    def chosen_from(self) -> str:
        """A sentence: how many candidates of how large a space were looked at, and how many are on the front."""
        result = self.result
        scored = sum(trial.state is State.SCORED for trial in result.trials)
        bounds = f", within {' and '.join(map(str, result.goals.bounds))}" if result.goals.bounds else ""
        goals = " and ".join(f"{goal.name} ({goal.direction})" for goal in result.goals.objectives)
        took = f" in {duration(result.took)}" if result.took else ""
        name, _, why = result.strategy.partition(": ")
        return (
            f"Strategy {name}{f' ({why})' if why else ''} looked at {plural(len(result.trials), 'candidate')} of "
            f"{_size(result.space.size)} in the space {result.space.name}{took}, {scored:,} of them "
            f"evaluated in full, for {goals}{bounds}. "
            f"{plural(len(result.front), 'network')} {'is' if len(result.front) == 1 else 'are'} on the front."
        )

    @property
    def about_neighbours(self) -> str:
        """What :attr:`neighbours` are."""
        return "Those beside it there:" if self.on_front else "This one is not among them; the first of them are:"

    @property
    def on_front(self) -> bool:
        """Whether no other candidate is better in all objectives."""
        return any(trial.number == self.trial.number for trial in self.result._winners)

    @cached_property
    def neighbours(self) -> tuple[list[str], list[list[str]]]:
        """Names of columns, and the rows of the front around this network, in the order of the first objective.

        There are none where it is alone on the front.
        """
        result = self.result
        front, (mark,) = result.front, [name for name in result.front if name in ("trial", "trial (record)")][-1:]
        names = [name for name in (*result.goals.names, result.tested) if name in front]
        numbers = [int(n) for n in front[mark]]
        here = numbers.index(self.trial.number) if self.trial.number in numbers else None
        first = max(0, (here or 0) - BESIDE)
        rows = range(first, min(len(front), (here or 0) + BESIDE + 1))
        rows = range(0) if here is not None and len(front) == 1 else rows
        columns = {name: front[name].tolist() for name in names}
        cells = [[str(numbers[i]) + " (this)" * (i == here), *(number(columns[n][i]) for n in names)] for i in rows]
        return ["candidate", *names], cells

    @property
    def training(self) -> str:
        """How the weights came about, in sentences."""
        context, trial = self.result.context, self.trial
        if "trained_by" in context:
            said = f"Trained by a function of the user's, {context['trained_by']}."
        else:
            epochs, steps = context.get("call", {}).get("epochs"), trial.values.get("steps")
            length = f" for {plural(epochs, 'epoch')}" if epochs else f" for {steps:,.0f} steps" if steps else ""
            said = f"Trained by searchkit on the train part{length}."
        recipe = dict(context.get("call", {}).get("recipe") or {}) | settings_of(self.result.network_space, trial.code)
        said += f" Settings of the recipe: {', '.join(f'{k} {v}' for k, v in recipe.items())}." if recipe else ""
        if self.retrained:
            final = self.result.finals[trial.number]
            took = f" in {duration(final['seconds'])}" if "seconds" in final else ""
            said += f" Then trained anew on the train and the validation part, {final['steps']:,.0f} steps{took}."
        return said


def number(value: object) -> str:
    """A value of a table."""
    if not isinstance(value, int | float) or value != value:
        return "" if value != value else str(value)
    return f"{int(value):,}" if value == int(value) and abs(value) >= 1 else f"{value:.4g}"


def _size(size: int) -> str:
    return f"{size:,}" if size < 10**9 else f"10^{len(str(size)) - 1} or more"
