"""The scores of each task, and the task that names of scores say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from searchkit.costs.scikit_scores import is_scorer, scorer_tasks
from searchkit.errors import ObjectiveError
from searchkit.types import Task

AT = "@"  # latency_ms@phone: the metric, and the target that it is measured on
INT8 = "int8"  # accuracy@int8: of the file that is quantised to eight bits
SCORES: dict[Task, tuple[str, ...]] = {  # the first is that of the test part
    "classification": ("accuracy", "balanced_accuracy", "log_loss"),
    "multilabel": ("f1_macro", "subset_accuracy"),
    "regression": ("r2", "rmse"),
    "segmentation": ("miou", "pixel_accuracy"),
    "maps": ("rmse", "ssim"),
}
OF_SKLEARN = "validation part, by scikit-learn"
_ALWAYS = {"regression": 2}  # scores that are computed whether they are asked for or not; of other tasks one


def tasks_of(metrics: Iterable[str]) -> tuple[Task, ...]:
    """The tasks whose scores are among the metrics; empty if there are no scores.

    Raises:
        ObjectiveError: there are scores of which no task has all.
    """
    names = {name: in_float(name) for name in metrics}
    scores = {name: [task for task, of in SCORES.items() if score in of] for name, score in names.items()}
    for name, tasks in scores.items():  # those of several labels are scikit-learn's, which has them for classes too
        if tasks in ([], ["multilabel"]) and is_scorer(name):
            scores[name] = list(scorer_tasks(name))
    scores = {name: tasks for name, tasks in scores.items() if tasks}
    found = tuple(task for task in SCORES if scores and all(task in tasks for tasks in scores.values()))
    if scores and not found:
        first, *others = scores
        other = next((name for name in others if not set(scores[name]) & set(scores[first])), others[-1])
        raise ObjectiveError(
            f"{first} is a score of {scores[first][0]} and {other} is one of {scores[other][0]}; a search has scores "
            "of one task"
        )
    return found


def task_of(metrics: Iterable[str]) -> Task | None:
    """The first task whose scores are among the metrics; None if there are no scores.

    Raises:
        ObjectiveError: there are scores of which no task has all.
    """
    return next(iter(tasks_of(metrics)), None)


def recorded_task(noted: Mapping[str, object]) -> Task:
    """The task of data, of which these are on record."""
    return noted.get("task") or ("regression" if "target" in noted else "classification")  # type: ignore[return-value]


def trained_scores(metrics: Iterable[str], task: Task) -> tuple[str, ...]:
    """Names of the scores to compute after a training: those that are always computed, and others among the metrics.

    Raises:
        ObjectiveError: one of the metrics is a score of another task.
    """
    asked = list(metrics)
    meant = task_of(asked)
    if meant is not None and task not in tasks_of(asked):
        wrong = next(name for name in asked if tasks_of([name]) and task not in tasks_of([name]))
        raise ObjectiveError(
            f"{wrong} is a score of {meant}, but the data are loaded for {task}: choose among "
            f"{', '.join(SCORES[task])}, or load the data with load_data(..., task='{meant}')"
        )
    always = _ALWAYS.get(task, 1)
    return tuple(name for i, name in enumerate(SCORES[task]) if i < always or name in asked)


def in_int8(name: str) -> bool:
    """Whether a metric is of the network in int8."""
    return name.endswith(f"{AT}{INT8}")


def in_float(name: str) -> str:
    """The name of a metric of the network in float32, of which "accuracy@int8" is that in int8; others stay."""
    return name.removesuffix(f"{AT}{INT8}")
