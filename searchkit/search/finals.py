"""The ending of a search with a time: its winners are trained longer, on the validation part as well."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchkit.costs.metrics import Metric
from searchkit.errors import readable
from searchkit.execution.executors import Pool, as_they_finish
from searchkit.execution.outcome import Job
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import Trial, pareto_front
from searchkit.results.notes import NOTE
from searchkit.results.refit import steps_on_record
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.threads import one_thread
from searchkit.search.loop import evaluation_seed
from searchkit.storage.record import Record
from searchkit.training.evaluator import STEPS_MADE, Training
from searchkit.training.recipe import GENEROUS, MOST_PASSES, Recipe, final_recipe
from searchkit.training.scores import scoring_time
from searchkit.training.train import build_seeded, place
from searchkit.training.weights import aside_of, final_path, keep_aside, weights_path

BEST_SHARE = 0.6  # of the time for the best of the front, where one worker trains all
OTHERS = 5  # winners beside the best that are trained longer too
LONGER = 1.5  # times the candidates' passes that a final training should at least have
OVERHEAD = 0.3  # seconds of a candidate's training that are no steps
WORSE = 0.03  # of accuracy on the validation part, which it has seen: a final training that lost more has not worked

log = logging.getLogger("searchkit")


@dataclass(frozen=True)
class Final:
    """A planned final training of a candidate: its recipe, and the seconds that it may take."""

    trial: Trial
    recipe: Recipe
    within: float


def planned_finals(
    winners: Sequence[Trial], training: Training, seconds: float, workers: int, passes: float
) -> list[Final]:
    """The final trainings that fit into a time.

    With several workers, one trains the best of the winners for all of the time, and the others train others, all for
    the same number of passes; where the time does not suffice for all, those nearest to the best are left out last.

    Args:
        winners: the best first; with values of what their trainings took.
        seconds: from now.
        passes: of the candidates' trainings.
    """
    data = training.data
    n = len(data.train) + len(data.val)
    known = [(trial, _example_seconds(trial, training)) for trial in winners]
    known = [(trial, example) for trial, example in known if math.isfinite(example)]
    if not known or seconds <= 0:
        return []
    (best, example), others = known[0], known[1 : 1 + OTHERS]
    rest = (workers - 1) * seconds if workers > 1 else (1 - BEST_SHARE) * seconds
    each = 0.0
    while others:
        each = min(float(MOST_PASSES), rest / sum(n * example for _, example in others))
        if each >= LONGER * passes:
            break
        others = others[:-1]
    for_best = seconds if workers > 1 or not others else BEST_SHARE * seconds
    finals = [Final(best, final_recipe(data, n, for_best / example), for_best)]
    for trial, example in sorted(others, key=lambda one: -one[1]):
        within = min(seconds, each * n * example)
        finals.append(Final(trial, final_recipe(data, n, within / example), within))
    return finals


def _example_seconds(trial: Trial, training: Training) -> float:
    """Seconds that training took for each example; NaN where that is not known."""
    steps = trial.values.get(STEPS_MADE)
    if not steps or trial.seconds <= 0:
        return math.nan
    batch_size = min(training.recipe_of(trial.code).batch_size, len(training.data.train))
    return max(trial.seconds - OVERHEAD, 0.5 * trial.seconds) / (steps * batch_size)


def not_shorter(finals: Sequence[Final], earlier: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Final]:
    """Without those that would replace a longer final training of an earlier run, or of ``result.refit``.

    Args:
        earlier: what is on record, by the number of the trial.
        folder: of the weights.
    """
    kept = []
    for one in finals:
        made = steps_on_record(earlier, str(one.trial.number))
        if not final_path(folder, one.trial.code).exists() or (one.recipe.steps or 0) / GENEROUS > made:
            kept.append(one)
    return kept


def scoring_seconds(winners: Sequence[Trial], training: Training, n_test: int, device: str) -> float:
    """About the seconds that it takes to score networks on a test part.

    Args:
        n_test: examples of the test part.
        device: on which they will be scored.
    """
    if not n_test:
        return 0.0
    where, total = resolve_device(device), 0.0
    for trial in winners:
        network = build_seeded(training.space, trial.code, 0)
        with one_thread():
            place(network, where)
            total += scoring_time(network, training.data, where) * n_test
    return total


def train_finals(
    finals: Sequence[Final], training: Training, record: Record, pool: Pool, seed: int, score: str
) -> dict[int, dict[str, Any]]:
    """Train the winners, record what came of it, and return it by the number of the trial.

    The weights of one whose final training failed, or did clearly worse on the validation part than before, are those
    of the search. Where there was an earlier final training, that one stays, also if the new one turned out shorter.

    Args:
        seed: of the search.
        score: name of the score by which that is judged.
    """
    for one in finals:
        keep_aside(final_path(training.folder, one.trial.code))
    jobs = [Job(one.trial.code, evaluation_seed(seed, one.trial.code), None, one.within, one.recipe) for one in finals]
    found: dict[str, dict[str, Any]] = dict(record.notes(NOTE) or {})
    for i, outcome in as_they_finish(pool, jobs):
        one, path = finals[i], final_path(training.folder, finals[i].trial.code)
        entry: dict[str, Any] = {"seconds": round(outcome.seconds, 3)}
        before, now = one.trial.values.get(score, math.nan), outcome.values.get(score, math.nan)
        if outcome.reason:
            entry["reason"] = readable(outcome.reason)
        elif score in ("accuracy", "balanced_accuracy") and now < before - WORSE:
            entry["reason"] = f"its {score} on the validation part, which it has seen, is {now:.4g}, below {before:.4g}"
        else:
            entry[STEPS_MADE] = outcome.values.get(STEPS_MADE)
        number, aside = str(one.trial.number), aside_of(path)
        if "reason" in entry:
            path.unlink(missing_ok=True)
            log.warning("the final training of candidate %s did not work: %s", number, entry["reason"])
        if aside.exists() and ("reason" in entry or (entry[STEPS_MADE] or 0) < steps_on_record(found, number)):
            aside.replace(path)
            log.info("the earlier final training of candidate %s, of more steps, is kept", number)
            continue
        found[number] = entry
        record.note(NOTE, found)
        aside.unlink(missing_ok=True)
    return {int(number): entry for number, entry in found.items()}


def winners_of(trials: Sequence[Trial], goals: Goals, folder: Path, score: Metric) -> list[Trial]:
    """The front, best first by a score, without those whose weights are not there."""
    front = [trial for trial in pareto_front(trials, goals) if weights_path(folder, trial.code).exists()]
    return sorted(front, key=lambda trial: trial.values[score.name], reverse=score.direction == "max")
