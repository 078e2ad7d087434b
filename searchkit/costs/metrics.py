"""Metrics of networks: their names, directions and units, and the stage of a search at which each becomes known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from searchkit import plugins
from searchkit.costs.scikit_scores import is_scorer
from searchkit.costs.task_scores import AT, INT8, OF_SKLEARN, SCORES, in_float, in_int8
from searchkit.errors import ObjectiveError, UnknownNameError, check_name, nearest
from searchkit.problem.calls import check_call, n_needed
from searchkit.problem.objectives import DIRECTIONS, Direction, check_once

if TYPE_CHECKING:
    pass

Stage = Literal["counted", "measured", "scored", "trained"]  # scored: by a proxy, without training
STAGES = get_args(Stage)


@dataclass(frozen=True)
class Metric:
    """A number that is computed for a network.

    Args:
        name: what objectives, constraints and tables call it.
        function: ``function(network) -> float``. It gets the trained network if ``trained`` is set. Otherwise it gets
            the untrained one in eval mode: the metric is then a cost, which is computed before training, and a
            candidate that breaks a bound on it is not trained. The network is as ``result.build`` returns it: it takes
            raw inputs ``(n, c, h, w)`` or ``(n, features)``, and returns logits ``(n, classes)``, or in regression
            values ``(n,)`` in the target's unit. ``network.network`` is the network that the space built.
            Or ``function(y_true, y_pred) -> float``, with two arguments that have to be given: of what the trained
            network predicts for the validation part, such as ``sklearn.metrics.cohen_kappa_score``. Both are arrays in
            the user's terms: labels, 0 and 1 of several labels at once, quantities, masks or maps; where pixels are
            left out, ``(m,)`` values of those that count.
        direction: "min" or "max".
        trained: the function needs the trained network.
        unit: for tables and plots.
        stage: when the value becomes known; None: "trained" or "measured", by ``trained``. Only metrics that searchkit
            computes itself have other stages.

    Raises:
        ObjectiveError: one of these is invalid, or they do not fit each other.
    """

    name: str
    function: Callable[..., float] | None = None
    direction: Direction = "min"
    trained: bool = False
    unit: str = ""
    stage: Stage | None = None

    def __post_init__(self) -> None:
        check_name("a metric", self.name, ObjectiveError)
        if self.direction not in DIRECTIONS:
            raise ObjectiveError(f"metric '{self.name}' has direction {self.direction!r}: choose 'min' or 'max'")
        if self.function is not None and not callable(self.function):
            raise ObjectiveError(f"metric '{self.name}' needs a function(network) -> float, not {self.function!r}")
        if self.function is not None:
            given = ("y_true", "y_pred") if self.of_predictions else ("network",)
            check_call(f"metric '{self.name}'", self.function, given, ObjectiveError)
        if self.function is None and self.stage is None:
            raise ObjectiveError(f"metric '{self.name}' needs a function(network) -> float")
        if self.stage is not None and self.stage not in STAGES:
            raise ObjectiveError(
                f"metric '{self.name}' has stage {self.stage!r}: choose from {', '.join(STAGES)}, or leave it out"
            )
        if self.of_predictions:
            object.__setattr__(self, "trained", True)
        known = "trained" if self.trained else "measured"
        if self.function is not None and self.stage not in (None, known):
            raise ObjectiveError(
                f"metric '{self.name}' cannot have stage '{self.stage}', since its function is called when the metric "
                f"is {known}, not {self.stage}: leave stage out; trained=True is for a function of the trained network"
            )
        if self.stage is None:
            object.__setattr__(self, "stage", known)

    @property
    def of_predictions(self) -> bool:
        """Whether the function is ``(y_true, y_pred) -> float``, and not one of a network."""
        return self.function is not None and n_needed(self.function) == 2


BUILT_IN = {
    metric.name: metric
    for metric in (
        Metric("accuracy", direction="max", stage="trained", unit="validation part"),
        Metric("balanced_accuracy", direction="max", stage="trained", unit="validation part"),
        Metric("log_loss", stage="trained", unit="validation part"),
        Metric("r2", direction="max", stage="trained", unit="validation part"),
        Metric("rmse", stage="trained", unit="validation part"),
        Metric("f1_macro", direction="max", stage="trained", unit="validation part"),
        Metric("subset_accuracy", direction="max", stage="trained", unit="validation part"),
        Metric("miou", direction="max", stage="trained", unit="validation part"),
        Metric("pixel_accuracy", direction="max", stage="trained", unit="validation part"),
        Metric("ssim", direction="max", stage="trained", unit="validation part"),
        Metric("params", stage="counted"),
        Metric("macs", stage="counted", unit="one image"),
        Metric("peak_memory", stage="counted", unit="bytes, one image"),
        Metric("file_bytes", stage="measured", unit="bytes of the ONNX file"),
        Metric("ram_int8", stage="measured", unit="bytes of activations, one image"),
        Metric("flash_int8", stage="measured", unit="bytes of weights"),
        Metric("latency_ms", stage="measured", unit="ms, one image"),
        Metric("energy_mj", stage="measured", unit="mJ, one image"),
        Metric("card_memory", stage="measured", unit="bytes, one image, on a GPU"),
    )
}
_COSTS_IN_INT8 = {"latency_ms": "ms, one image, in int8 on a CPU", "file_bytes": "bytes of the ONNX file in int8"}
UNITS = {"latency_ms": "ms, one image", "energy_mj": "mJ, one image"}  # of what targets measure
MARGINS = {"latency_ms": 0.015}  # of a bound, since two measurements differ by about so much


def sign_of(name: str) -> int:
    """1 for a built-in metric of which more is better, else -1."""
    return 1 if BUILT_IN[name].direction == "max" else -1


def read_metrics(
    objectives: Any, constraints: Any, targets: Iterable[str] = (), scores: Mapping[str, Metric] | None = None
) -> tuple[dict[str, Metric], dict[str, Direction]]:
    """The metrics that a network search needs, and its objectives with their directions; a proxy can be a metric too.

    Args:
        objectives: names of built-in metrics or of scikit-learn's scorers, or :class:`Metric` objects; or a mapping of
            name -> direction.
        constraints: a mapping whose keys are names of metrics, or None.
        targets: names of the targets, on which metrics such as ``"latency_ms@phone"`` are measured.
        scores: metrics by name that only a training function of the user's knows.

    Raises:
        UnknownNameError: a name that is neither that of a built-in metric or a proxy, nor that of a given Metric; or a
            target that was not given.
        ObjectiveError: an objective is named twice; a Metric without a function has another stage than the built-in
            metric of its name, or one with a function has the name of a metric that searchkit counts or scores.
    """
    given: Sequence[Any]
    directions: dict[str, Any] = {}
    if isinstance(objectives, dict):
        given = list(objectives)
        directions = {_name(key): value for key, value in objectives.items()}
    else:
        given = [objectives] if isinstance(objectives, str | Metric) else list(objectives)
    check_once([_name(entry) for entry in given])
    own = {entry.name: entry for entry in [*given, *(constraints or {})] if isinstance(entry, Metric)}
    names = [_name(entry) for entry in [*given, *(constraints or {})]]
    known = BUILT_IN | {name: _on_target(name, targets) for name in names if AT in name and name not in own} | own
    known |= scores or {}
    if any(_name(entry) not in known for entry in [*given, *(constraints or {})]):
        known = {name: Metric(name, direction="max", stage="scored") for name in plugins.signals()} | known
    of_sklearn = [name for name in names if name not in known and is_scorer(name)]
    known |= {name: Metric(name, direction="max", stage="trained", unit=OF_SKLEARN) for name in of_sklearn}
    for name, metric in own.items():
        _check_without_function(name, metric)
        _check_with_function(name, metric)
    needed: dict[str, Metric] = {}
    for entry in [*given, *(constraints or {})]:
        if _name(entry) not in known:
            raise UnknownNameError.of("objective" if entry in given else "constraint", _name(entry), known)
        needed[_name(entry)] = known[_name(entry)]
    for entry in given:
        directions.setdefault(_name(entry), known[_name(entry)].direction)
    return needed, directions


def elsewhere(metric: Metric) -> bool:
    """Whether a metric is measured on a target."""
    return AT in metric.name and not in_int8(metric.name)


def _of_int8(name: str) -> Metric:
    """The metric of a name such as "accuracy@int8"; its function is made when the data are known.

    Raises:
        ObjectiveError: searchkit does not know this metric in int8.
    """
    metric = in_float(name)
    scores = [score for of_task in SCORES.values() for score in of_task]
    if metric in scores:
        return Metric(name, direction=BUILT_IN[metric].direction, stage="trained", unit="validation part, in int8")
    if metric in _COSTS_IN_INT8:
        return Metric(name, stage="measured", unit=_COSTS_IN_INT8[metric])
    if metric in ("ram_int8", "flash_int8"):
        raise ObjectiveError(f"{metric} is of the network in int8 already: write '{metric}' in place of '{name}'")
    known = ", ".join(f"{one}{AT}{INT8}" for one in (*scores, *_COSTS_IN_INT8))
    near = nearest(metric, (*scores, *_COSTS_IN_INT8))
    hint = f" Did you mean '{near}{AT}{INT8}'?" if near else ""
    raise ObjectiveError(f"{name!r} is no metric: those of a network in int8 are {known}.{hint}")


def _on_target(name: str, targets: Iterable[str]) -> Metric:
    """The metric of a name such as "latency_ms@phone"."""
    if in_int8(name):
        return _of_int8(name)
    metric, _, target = name.rpartition(AT)
    if not list(targets):
        raise ObjectiveError(
            f"{name} is measured on the target '{target}', and none is given: write "
            f"targets={{'{target}': 'command {{file}}'}}, or 'ssh://user@host'"
        )
    if target not in targets:
        raise UnknownNameError.of("target", target, targets)
    if not metric.isidentifier():
        raise ObjectiveError(f"'{name}' lacks a metric in front of the target, such as latency_ms@{target}")
    known = BUILT_IN.get(metric)
    if known is not None and known.stage != "measured":
        raise ObjectiveError(f"{metric} is not measured on a target: write '{metric}' in place of '{name}'")
    return Metric(name, stage="measured", unit=f"{UNITS[metric]}, on {target}" if metric in UNITS else f"on {target}")


def _check_without_function(name: str, metric: Metric) -> None:
    """Refuse a metric that nothing computes: one without a function is a built-in one, or a proxy's."""
    if metric.function is not None:
        return
    known = dict.fromkeys(plugins.signals(), "scored") | {one.name: str(one.stage) for one in BUILT_IN.values()}
    if name not in known:
        raise UnknownNameError.of("metric without a function", name, known)
    if metric.stage != known[name]:
        raise ObjectiveError(f"metric '{name}' is {known[name]}, not {metric.stage}: write '{name}' in its place")


def _check_with_function(name: str, metric: Metric) -> None:
    """Refuse a function under the name of what searchkit counts or scores itself; measuring is for anyone to do."""
    known = BUILT_IN.get(name)
    if metric.function is not None and known is not None and known.stage != "measured":
        known_by = "counted" if known.stage == "counted" else "computed"
        raise ObjectiveError(
            f"metric '{name}' has a function, and '{name}' is {known_by} by searchkit: give it another name, or "
            f"write '{name}' in its place"
        )


def _name(entry: Any) -> str:
    return entry.name if isinstance(entry, Metric) else str(entry)
