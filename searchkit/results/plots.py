"""Plots of the front and all other candidates: an image (matplotlib) or an interactive page (plotly)."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.problem.trial import State, Trial, observe, pareto_front
from searchkit.results.drawable import drawable
from searchkit.results.safe_html import fill, joined, text
from searchkit.runtime.whole_files import written_whole
from searchkit.storage.places import kind_of
from searchkit.surroundings import settled

if TYPE_CHECKING:
    from searchkit.results.result import Result

_GREY, _BLUE, _ORANGE, _RED = "#9aa5b1", "#1f5fa8", "#d9730d", "#b3403a"
_LONGEST = 60  # characters of a label in an image
_IMAGES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class _Points:
    """The candidates to draw, whose x and y are known: the front, other feasible ones, and infeasible ones."""

    x: str
    y: str
    winners: list[Trial]  # by x
    others: list[Trial]
    infeasible: list[Trial]
    n_far: int = 0  # number of candidates that are left out as extreme outliers

    def all(self) -> list[Trial]:
        return [*self.winners, *self.others, *self.infeasible]


def draw(result: Result, path: str | Path | None, x: str | None, y: str | None) -> Any:
    """The figure of :meth:`searchkit.Result.plot`.

    Raises:
        UnknownNameError: a metric that the study has not measured.
        SearchkitError: no candidate has both metrics, or the file cannot be written.
    """
    target = None if path is None else check_target(path)
    names = result.goals.names
    points = _points(result, x or (names[1] if len(names) > 1 else "trial"), y or names[0])
    figure = _interactive(result, points) if target and target.suffix.lower() == ".html" else _picture(result, points)
    if target is not None:
        try:
            with written_whole([target]) as (partial,):
                if target.suffix.lower() == ".html":
                    figure.write_html(partial, include_plotlyjs=True)  # one file that works offline
                else:
                    figure.savefig(partial, dpi=120)
        except OSError as error:
            raise SearchkitError(f"the plot '{target}' cannot be written: {error}") from error
    return figure


def check_target(path: str | Path) -> Path:
    """The file for a plot, checked; see :func:`check_file`."""
    return check_file("plot", path, (".html", *_IMAGES))


def check_file(kind: str, path: str | Path, endings: Sequence[str]) -> Path:
    """A file path with a check that it can be written; creates nothing.

    Raises:
        SearchkitError: another ending, or a folder that cannot be written or created.
    """
    target = settled(path)
    if target.suffix.lower() not in endings:
        allowed = f"{endings[0]} or as {', '.join(endings[1:])}"
        raise SearchkitError(f"a {kind} is written as {allowed}; not '{target.suffix or target.name}'")
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    there = kind_of(target)
    if there not in (None, "a folder"):
        raise SearchkitError(f"'{target}' is {there}, which the {kind} would replace: give another path")
    if target.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        why = "is a folder" if target.is_dir() else f"cannot be written in {folder}"
        raise SearchkitError(f"the {kind} '{target}' {why}")
    return target


def _points(result: Result, x: str, y: str) -> _Points:
    measured = dict.fromkeys([*result.goals.metrics, *(name for trial in result.trials for name in trial.values)])
    known = [*measured, *([result.tested] if result.test_accuracy else []), "trial"]
    for name in (x, y):
        if name not in known:
            raise UnknownNameError.of("metric to plot", name, known)
    best = pareto_front(result.trials, result.goals)
    shown = [t for t in result.trials if all(np.isfinite(_value(result, t, name)) for name in (x, y))]
    kept_x, kept_y = (drawable(np.array([_value(result, t, name) for t in shown])) for name in (x, y))
    near = [trial for trial, fine in zip(shown, kept_x & kept_y, strict=True) if fine]
    n_far, shown = len(shown) - len(near), near
    if not shown:
        raise SearchkitError(f"study '{result.name}' has no candidate with {x} and {y} to plot")
    kept = observe(shown, result.goals).feasible
    return _Points(
        x,
        y,
        sorted((trial for trial in best if trial in shown), key=lambda trial: _value(result, trial, x)),
        [trial for trial, fine in zip(shown, kept, strict=True) if fine and trial not in best],
        [t for t, fine in zip(shown, kept, strict=True) if not fine and t.state not in (State.FAILED, State.DROPPED)],
        n_far,
    )


def _value(result: Result, trial: Trial, name: str) -> float:
    if name in trial.values:
        return trial.values[name]
    if name == result.tested:
        return result.test_accuracy.get(trial.number, float("nan"))
    return float(trial.number) if name == "trial" else float("nan")


def _picture(result: Result, points: _Points) -> Any:
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that notebooks display, without pyplot's global state."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, dpi=100)
            return buffer.getvalue()

    def columns(trials: list[Trial], y: str = points.y) -> tuple[list[float], list[float]]:
        return [_value(result, t, points.x) for t in trials], [_value(result, t, y) for t in trials]

    figure = Picture(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    if points.infeasible:
        axes.scatter(
            *columns(points.infeasible), s=26, marker="x", color=_RED, alpha=0.6, linewidths=1,
            label=f"{len(points.infeasible)} infeasible",
        )  # fmt: skip
    if points.others:
        axes.scatter(
            *columns(points.others), s=22, color=_GREY, alpha=0.6, linewidths=0,
            label=f"{len(points.others)} other candidates",
        )  # fmt: skip
    if _is_trade_off(result, points):
        axes.plot(*_staircase(result, points), color=_BLUE, linewidth=1.2, alpha=0.8)
    if points.winners:
        axes.scatter(*columns(points.winners), s=42, color=_BLUE, zorder=3, label=f"{len(points.winners)} on the front")
    tested = points.winners if result.test_accuracy and f"test_{points.y}" == result.tested else []
    if tested:
        axes.scatter(
            *columns(tested, result.tested), s=42, marker="x", color=_ORANGE, zorder=3,
            label="the front on the test part",
        )  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.set_xlabel(_fitting(_label(result, points.x)), parse_math=False)
    axes.set_ylabel(_fitting(_label(result, points.y)), parse_math=False)
    axes.set_title(_fitting(result.name), fontsize=10, loc="left", parse_math=False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _zoom(
        axes, columns(points.all())[1], [*columns(points.winners)[1], *columns(tested, result.tested)[1]], points.n_far
    )
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _zoom(axes: Any, values: list[float], winners: list[float], n_far: int) -> None:
    """Set limits of the y axis that leave out outliers (candidates that learned nothing) and show the whole front."""
    ends = np.quantile(values, [0.1, 0.9])
    low, high = float(np.nanmin([*ends, *winners])), float(np.nanmax([*ends, *winners]))
    margin = 0.08 * (high - low) or 0.01
    hidden = n_far + sum(value < low - margin or value > high + margin for value in values)
    axes.set_ylim(low - margin, high + margin)
    if hidden:
        axes.annotate(f"{hidden} outside the plot", (0.01, 0.015), xycoords="axes fraction", fontsize=7, color=_GREY)


def _is_trade_off(result: Result, points: _Points) -> bool:
    return bool(points.winners) and len(result.goals.names) == 2 and {points.x, points.y} == set(result.goals.names)


def _staircase(result: Result, points: _Points) -> tuple[list[float], list[float]]:
    """The best y at each x: the front as steps."""
    directions = {objective.name: objective.direction for objective in result.goals.objectives}
    rows = points.winners if directions[points.x] == "min" else points.winners[::-1]
    steps_x: list[float] = []
    steps_y: list[float] = []
    for trial in rows:
        a, b = trial.values[points.x], trial.values[points.y]
        if steps_y:
            steps_x.append(a)
            steps_y.append(steps_y[-1])
        steps_x.append(a)
        steps_y.append(b)
    return steps_x, steps_y


def _interactive(result: Result, points: _Points) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for trials, name, marker in (
        (points.infeasible, "infeasible", {"color": _RED, "size": 7, "symbol": "x-thin-open"}),
        (points.others, "other candidates", {"color": _GREY, "size": 7}),
        (points.winners, "on the front", {"color": _BLUE, "size": 10}),
    ):
        if not trials:
            continue
        figure.add_scatter(
            x=[_value(result, t, points.x) for t in trials], y=[_value(result, t, points.y) for t in trials],
            name=f"{len(trials)} {name}", mode="markers", marker=marker, showlegend=True,
            text=[_card(result, trial) for trial in trials], hovertemplate=fill("%{{text}}<extra></extra>"),
        )  # fmt: skip
    if _is_trade_off(result, points):
        xs, ys = _staircase(result, points)
        figure.add_scatter(
            x=xs, y=ys, mode="lines", line={"color": _BLUE, "width": 1}, hoverinfo="skip", showlegend=False
        )
    figure.update_layout(
        template="plotly_white",
        title=text(result.name) + (f" ({points.n_far} outside the plot)" if points.n_far else ""),
        xaxis_title=text(_label(result, points.x)),
        yaxis_title=text(_label(result, points.y)),
    )
    return figure


def _card(result: Result, trial: Trial) -> str:
    """The hover text: metrics and choices of a candidate."""
    values = trial.values | (
        {result.tested: result.test_accuracy[trial.number]} if trial.number in result.test_accuracy else {}
    )
    lines: list[str] = [fill("<b>candidate {}</b>", trial.number)]
    lines += [f"{name} {value:,.6g}" for name, value in values.items()]
    lines += [f"{name}: {option}" for name, option in result.space.decode(trial.code)[0].items()]
    lines += [trial.reason] if trial.reason else []
    return joined(lines, fill("<br>"))


def _label(result: Result, metric: str) -> str:
    unit = result.context.get("units", {}).get(metric)
    return f"{metric} ({unit})" if unit else metric


def _fitting(label: str) -> str:
    """A label, shortened to fit into an image."""
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
