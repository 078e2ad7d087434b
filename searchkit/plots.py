"""The front over all candidates, as an image (matplotlib) or an interactive page (plotly)."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SearchkitError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.result import Result

_GREY, _BLUE, _ORANGE = "#9aa5b1", "#1f5fa8", "#d9730d"
_IMAGES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")


def draw(result: Result, path: str | Path | None, x: str | None, y: str | None) -> Any:
    """The figure of :meth:`searchkit.Result.plot`.

    Raises:
        UnknownNameError: a metric that the study has not measured.
        SearchkitError: nothing was scored, or a file ending that is no picture.
    """
    target = None if path is None else Path(path)
    if target is not None and target.suffix not in (".html", *_IMAGES):
        raise SearchkitError(
            f"a plot is written as .html or as {', '.join(_IMAGES)}; not '{target.suffix or target.name}'"
        )
    names = result.goals.names
    known = [str(c) for c in result.history.columns[: result.history.columns.get_loc("trial")]]
    y = y or names[0]
    x = x or (names[1] if len(names) > 1 else "trial")
    for name in (x, y):
        if name not in (*known, "trial"):
            raise UnknownNameError.of("metric to plot", name, [*known, "trial"])
    scored = result.history[result.history["state"] == "scored"]
    if scored.empty:
        raise SearchkitError(f"study '{result.name}' has no scored candidate to plot")
    figure = (
        _interactive(result, scored, x, y) if target and target.suffix == ".html" else _picture(result, scored, x, y)
    )
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".html":
            figure.write_html(target, include_plotlyjs=True)  # one file that needs no network
        else:
            figure.savefig(target, dpi=120)
    return figure


def _picture(result: Result, scored: pd.DataFrame, x: str, y: str) -> Any:
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that a notebook shows, without pyplot and its global state."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, dpi=100)
            return buffer.getvalue()

    figure = Picture(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    winners = result.front.sort_values(x)
    others = scored[~scored["trial"].isin(winners["trial"])]
    axes.scatter(
        others[x], others[y], s=22, color=_GREY, alpha=0.6, linewidths=0, label=f"{len(others)} other candidates"
    )
    if len(result.goals.names) == 2 and {x, y} == set(result.goals.names):
        axes.plot(*_staircase(result, winners, x, y), color=_BLUE, linewidth=1.2, alpha=0.8)
    axes.scatter(winners[x], winners[y], s=42, color=_BLUE, zorder=3, label=f"{len(winners)} on the front")
    if "test_accuracy" in winners and y == "accuracy":
        axes.scatter(
            winners[x], winners["test_accuracy"], s=42, marker="x", color=_ORANGE, zorder=3,
            label="the front on the test part",
        )  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.set_xlabel(_label(result, x))
    axes.set_ylabel(_label(result, y))
    axes.set_title(result.name, fontsize=10, loc="left")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _zoom(axes, scored[y], np.concatenate([winners[y], winners.get("test_accuracy", winners[y])]))
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _zoom(axes: Any, values: pd.Series[Any], winners: np.ndarray[Any, Any]) -> None:
    """Candidates that learned nothing would squeeze the front flat: the axis ends at the middle ones' spread."""
    low, high = np.quantile(values, [0.1, 0.9])
    low, high = min(low, np.nanmin(winners)), max(high, np.nanmax(winners))
    margin = 0.08 * (high - low) or 0.01
    hidden = int(((values < low - margin) | (values > high + margin)).sum())
    axes.set_ylim(low - margin, high + margin)
    if hidden:
        axes.annotate(f"{hidden} outside the picture", (0.01, 0.015), xycoords="axes fraction", fontsize=7, color=_GREY)


def _staircase(result: Result, winners: pd.DataFrame, x: str, y: str) -> tuple[list[float], list[float]]:
    """What is attainable at each x: the front as steps."""
    directions = {objective.name: objective.direction for objective in result.goals.objectives}
    rows = winners.sort_values(x, ascending=directions[x] == "min")
    xs, ys = rows[x].tolist(), rows[y].tolist()
    steps_x, steps_y = [], []
    for i, (a, b) in enumerate(zip(xs, ys, strict=True)):
        if i:
            steps_x.append(a)
            steps_y.append(ys[i - 1])
        steps_x.append(a)
        steps_y.append(b)
    return steps_x, steps_y


def _interactive(result: Result, scored: pd.DataFrame, x: str, y: str) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    on_front = scored["trial"].isin(result.front["trial"])
    for rows, name, colour, size in (
        (scored[~on_front], "other candidates", _GREY, 7),
        (scored[on_front].sort_values(x), "on the front", _BLUE, 10),
    ):
        figure.add_scatter(
            x=rows[x], y=rows[y], name=f"{len(rows)} {name}", mode="markers", marker={"color": colour, "size": size},
            text=[_card(result, row) for _, row in rows.iterrows()], hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    if len(result.goals.names) == 2 and {x, y} == set(result.goals.names):
        xs, ys = _staircase(result, result.front, x, y)
        figure.add_scatter(
            x=xs, y=ys, mode="lines", line={"color": _BLUE, "width": 1}, hoverinfo="skip", showlegend=False
        )
    figure.update_layout(
        template="plotly_white",
        title=html.escape(result.name),
        xaxis_title=_label(result, x),
        yaxis_title=_label(result, y),
    )
    return figure


def _card(result: Result, row: pd.Series[Any]) -> str:
    """What hovering shows: the metrics and the choices of a candidate."""
    metrics = [name for name in row.index[: row.index.get_loc("trial")] if row[name] == row[name]]
    lines = [f"<b>candidate {row['trial']}</b>", *(f"{name} {row[name]:,.6g}" for name in metrics)]
    lines += [f"{html.escape(name)}: {html.escape(str(row[name]))}" for name in result.space.names if name in row]
    return "<br>".join(lines)


def _label(result: Result, metric: str) -> str:
    unit = result.context.get("units", {}).get(metric)
    return f"{metric} ({unit})" if unit else metric
