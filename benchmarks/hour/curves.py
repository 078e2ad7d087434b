"""Draw accuracy on the test part against seconds from tables that ``python -m benchmarks.hour`` printed.

    python -m benchmarks.hour.curves rows.md [more.md ...] docs/images/hour.svg

A panel for each data set, a line for each method: the mean over seeds at each time asked for, and all seeds as points.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.hour.__main__ import COLUMNS, DATA

COLOURS = {"searchkit": "#1b6ca8", "grid": "#c0392b", "tpe": "#8e44ad", "mlp": "#7f8c8d", "boosting": "#27ae60"}
OTHER = "#d68910"
Curves = dict[str, dict[str, dict[float, list[float]]]]  # data -> method -> seconds -> accuracies in per cent


def read(lines: Iterable[str]) -> Curves:
    """The accuracies of the rows of tables; other lines are passed over."""
    curves: Curves = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == len(COLUMNS) and cells[0] in DATA:
            row = dict(zip(COLUMNS, cells, strict=True))
            accuracy = float(row["test accuracy"].rstrip("%"))
            curves[row["data"]][row["method"]][float(row["budget"])].append(accuracy)
    return curves


def draw(curves: Curves, path: Path) -> None:
    """Write the picture."""
    names = [name for name in DATA if name in curves]
    figure, panels = plt.subplots(1, len(names), figsize=(3.4 * len(names), 3.2), squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        for method, points in curves[name].items():
            seconds = sorted(points)
            colour = COLOURS.get(method, OTHER)
            panel.plot(seconds, [np.mean(points[s]) for s in seconds], color=colour, label=method, marker="o", ms=3)
            for s in seconds:
                panel.plot([s] * len(points[s]), points[s], ".", color=colour, ms=3, alpha=0.5)
        panel.set_xscale("log")
        ticks = sorted({s for points in curves[name].values() for s in points})
        panel.set_xticks(ticks, [f"{s:g} s" if s < 60 else f"{s / 60:g} min" for s in ticks], fontsize=7)
        panel.minorticks_off()
        panel.set_title(name, fontsize=9)
        panel.tick_params(axis="y", labelsize=7)
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("test accuracy in per cent", fontsize=8)
    labelled = [panel.get_legend_handles_labels() for panel in panels[0]]
    lines = {label: line for found in labelled for line, label in zip(*found, strict=True)}
    figure.legend(lines.values(), lines, fontsize=7, loc="lower center", ncols=len(lines))
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path)


if __name__ == "__main__":
    *sources, target = map(Path, sys.argv[1:])
    draw(read(line for source in sources for line in source.read_text().splitlines()), target)
