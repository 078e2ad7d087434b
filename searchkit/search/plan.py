"""How the time of a search over networks is spent: told, recorded, and shared out anew when a study is continued."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from searchkit.errors import BudgetError, duration, plural
from searchkit.space.recipe_space import Setting
from searchkit.training.own_recipe import told
from searchkit.training.recipe import LEAST_STEPS, Recipe
from searchkit.types import Codes

SEARCH = 0.44  # share of the time before the ending for candidates
ENDING = 0.04  # share of the time after the final trainings, for scores on the test part and simple baselines
LEAST_ENDING = 1.0  # seconds
MOST_ENDING = 0.25  # share of the time
FEWEST = 4  # candidates that make a search
SHORTEST = LEAST_STEPS
MANY_PASSES = 30  # passes of a candidate's training; more time goes to more candidates
LONGEST_SLOT = 2.0  # times the planned seconds that the training of a large candidate may take, or
LARGEST_SHARE = 0.1  # of the time of all workers until the end of the search, where that is more
LAST = 0.8  # of the planned seconds: with less time left, no candidate is begun
LEAST_SECONDS = 0.5  # that any candidate's training may take: a pause of the machine is no slow network
PROPOSED = 0.2  # seconds that it takes to propose a candidate and to record it, which count where trainings are short
SLACK = 1.2  # times the planned seconds of candidates, where their number decides how long a search may go on


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
        bounded: whether the speeds are of networks within bounds.
        most_macs: MACs of the largest network that was found to meet bounds on what is measured; None: no such bounds.
        found: codes of the networks whose speeds were measured, where there are such bounds; they meet them, as far as
            that is known, and the search begins with some of them.
        judged: a line on the proxies that judge candidates before they are trained; empty where none are asked for.
        score_seconds: that a network takes to be scored by them; 0 where that is not known.
        ranking, judging: seconds of all that before the first of them, and for each candidate.
        spent: seconds of the study before its next candidate; prepared: those of them that are of this run.
        done: candidates that the study has already.
        most: candidates that it may have in all; None: as many as there is time for.
        counted: a number of candidates was asked for and no time: each has what it needs, and the winners their share.
        about: lines on what is searched, of :func:`searchkit.plan`; not recorded.
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
    bounded: bool = False
    most_macs: float | None = None
    found: list[list[int]] = field(default_factory=list)
    judged: str = ""
    score_seconds: float = 0.0
    ranking: float = 0.0
    judging: float = 0.0
    spent: float = 0.0
    prepared: float = 0.0
    done: int = 0
    most: int | None = None
    counted: bool = False
    about: tuple[str, ...] = field(default=(), compare=False)

    @property
    def lines(self) -> list[str]:
        """The plan in three lines, and one each for the user's recipe and for the proxies, where there are any.

        Or one line, why no candidate is trained.
        """
        return self._nothing or self._lines

    @property
    def _lines(self) -> list[str]:
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
        networks = "network within the bounds" if self.bounded else "network of the space"
        before = f" in all, of which {self.spent:.0f} s are spent" if self.done else ""
        return [
            f"plan: {round(self.seconds, 1):g} s{before}; a training step takes {duration(small / 1e3)} in a "
            f"small, {duration(middle / 1e3)} in a middle and {duration(large / 1e3)} in a large {networks}",
            f"search until {self.search_until:.0f} s: about {candidates}, {self.workers}{beside}, "
            f"each {length}{rate}{images}",
            f"then until {self.final_until:.0f} s: the winners, trained longer and on the validation part as well",
            *recipe_line(self.options),
            *([self.judged] if self.judged else []),
        ]

    @property
    def _nothing(self) -> list[str]:
        """Why this run of the study trains no candidate; empty where it trains some."""
        if self.done and self.most is not None and self.done >= self.most:
            why = f"it has {plural(self.done, 'candidate')} on record, of a budget of {self.most:,}; give more, such as"
            return [f"this run of the study trains no candidate: {why} --budget +{FEWEST} or budget='+{FEWEST}'"]
        if self.done and self.spent >= self.begin_until:
            more = self.slot
            while self.continued(self.spent + more, self.workers, self.spent).begin_until <= self.spent + 1:
                more *= 1.5
            enough = math.ceil(more + self.prepared)
            return [
                f"this run of the study trains no candidate: {self.spent:.0f} s are spent, of a budget of "
                f"{round(self.seconds, 1):g} s in all, which candidates and winners share, and a candidate takes about "
                f"{self.slot:.2g} s; give more time, such as --seconds +{enough} or "
                f"budget={{'more_seconds': {enough}}}"
            ]
        return []

    def job_seconds(self, elapsed: float) -> float:
        """Seconds that a candidate's training may take which begins at this time of the search.

        One that begins when the time for candidates is over, since there was no other, has the planned seconds.
        """
        shortest = max(LEAST_SECONDS, SHORTEST * self.speeds[0])
        longest = max(LONGEST_SLOT * self.slot, LARGEST_SHARE * self.search_until * self.workers)
        if self.counted:
            return max(shortest, longest)
        left = self.search_until - elapsed
        return max(shortest, min(longest, left if left > 0 else self.slot))

    def start(self, designs: Codes) -> Codes:
        """Of the space's own designs ``(s, d)`` those to begin with: as many as half of the candidates."""
        return designs[: max(FEWEST, self.candidates // 2)]

    @property
    def begin_until(self) -> float:
        """The time of the search after which no candidate is begun."""
        return self.search_until - LAST * self.slot

    @property
    def last_hope(self) -> float:
        """The time of the search until which a candidate is begun while none has been scored."""
        return max(self.begin_until, self.final_until - max(LEAST_SECONDS, self.slot))

    def finals_until(self, scoring: float, elapsed: float = 0.0) -> float:
        """The time of the search at which final trainings end, if scores on the test part take so many seconds.

        Args:
            elapsed: seconds of the study at the end of its last candidate.
        """
        if self.counted:
            return elapsed + max(0.0, elapsed - self.spent) * (1 - SEARCH) / SEARCH
        rest = (self.seconds - self.search_until) / (1 - SEARCH)  # about the time of the run
        return max(self.search_until, self.seconds - max(LEAST_ENDING, ENDING * rest) - scoring)

    def described(self) -> dict[str, Any]:
        """The plan as JSON values, for the record; what has its default is left out where older plans lack it."""
        later = (
            "options", "bounded", "most_macs", "found", "judged", "score_seconds", "ranking", "judging", "spent",
            "prepared", "done", "most", "counted",
        )  # fmt: skip
        values = {name: value for name, value in asdict(self).items() if name != "about"}
        return {name: value for name, value in values.items() if name not in later or value}

    @classmethod
    def from_record(cls, recorded: Mapping[str, Any]) -> Plan:
        """The plan that a study has on record."""
        return cls(**{**recorded, "recipe": Recipe(**recorded["recipe"]), "speeds": tuple(recorded["speeds"])})

    def judged_in(self, line: str, score_seconds: float, sample: int, choice: int) -> Plan:
        """The plan for candidates that proxies judge.

        Args:
            line: on the proxies, for the plan's lines.
            score_seconds: that a network takes to be scored.
            sample, choice: networks that are scored before the first candidate is chosen, and for each one.
        """
        return replace(
            self, judged=line, score_seconds=score_seconds, ranking=sample * score_seconds,
            judging=choice * score_seconds,
        )  # fmt: skip

    @property
    def with_scores(self) -> Plan:
        """The plan of a new study with the candidates that are left where scores take of their time."""
        together = self.candidates * self.slot - self.ranking * self.workers
        return replace(self, candidates=max(1, min(self.candidates, int(together / (self.slot + self.judging) + 1e-9))))

    def continued(
        self,
        seconds: float,
        workers: int,
        spent: float,
        prepared: float = 0.0,
        done: int = 0,
        most: int | None = None,
    ) -> Plan:
        """The plan for a study that is continued: candidates are trained as before, in the time of this run.

        Args:
            seconds: of the whole study.
            spent, prepared, done, most: see the attributes.
        """
        search_until, final_until = shares(seconds, spent, self.scoring)
        left = sys.maxsize if most is None else most - done
        each = self.judging + (self.slot if self.passes < MANY_PASSES else self.slot + PROPOSED)
        available = search_until - spent - (0.0 if done else self.ranking)
        candidates = max(1, min(int(available * workers / each), left))
        return replace(
            self, seconds=seconds, workers=workers, candidates=candidates, search_until=search_until,
            final_until=final_until, spent=spent, prepared=prepared, done=done, most=most,
        )  # fmt: skip

    def seconds_for(self, candidates: int, workers: int, spent: float) -> float:
        """Seconds of the whole study, if so many candidates more are trained and the winners have their share."""
        wanted = SLACK * math.ceil(candidates / workers) * (self.slot + self.judging)
        rest = wanted / SEARCH
        while shares(spent + rest, spent, self.scoring)[0] - spent < wanted:
            rest *= 1.05
        return spent + rest


def recipe_line(options: Mapping[str, Sequence[Setting]]) -> list[str]:
    """The line about the user's recipe; none where there is none."""
    return [f"your recipe: {told(options)}"] if options else []


def shares(seconds: float, spent: float, scoring: float) -> tuple[float, float]:
    """When the search and the final trainings end, in seconds since the beginning of the study."""
    rest = seconds - spent
    ending = min(MOST_ENDING * rest, max(LEAST_ENDING, ENDING * rest) + scoring)
    return spent + SEARCH * (rest - ending), seconds - ending


def check_left(seconds: float, plan: Plan) -> None:
    """Raise BudgetError where what came before the first candidate leaves no time for one short training."""
    check_long_enough(seconds, SHORTEST * plan.speeds[0], plan.search_until - plan.spent, plan.spent)


def check_long_enough(seconds: float, shortest: float, available: float, spent: float = 0.0) -> None:
    """Raise BudgetError where the time does not suffice for one short training of the smallest network.

    Args:
        shortest: seconds of that training.
        available: seconds for candidates.
        spent: seconds before the first of them.
    """
    if available < shortest:
        least = math.ceil(spent + shortest / (SEARCH * (1 - MOST_ENDING)) + 2 * LEAST_ENDING)
        before = f"loading and measuring took {spent:.2g} s of it, " if spent > 1.0 else ""
        raise BudgetError(
            f"a budget of {seconds:g} s is too short: {before}a training of {SHORTEST} steps takes "
            f"{shortest:.2g} s here, and a search at least {least} s; give more, or epochs= to train for less"
        )
