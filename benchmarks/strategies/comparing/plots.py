"""One plot a problem: medians with quartile bands, searchkit's methods on the left and its peers on the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.results import Results

# Wong, Nature Methods 8 (2011): told apart with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MOST = 6  # lines in one panel
LEAST = 0.003  # regret below which the axis is linear


def plot(problem: Problem, found: Sequence[Results], budget: int, folder: Path) -> Path:
    """Write ``<problem>.png`` and return its path; of more than six methods in a panel, the best at the end."""
    several = len(problem.load().objectives) > 1
    figure, panels = plt.subplots(1, 2, figsize=(13, 5), sharey=True, layout="constrained")
    best = _sorted([results for results in found if results.method.ours], several)
    for panel, ours, title in zip(panels, (True, False), ("searchkit", "peers"), strict=True):
        group = _sorted([results for results in found if results.method.ours is ours], several)[:MOST]
        for results, colour in zip(group, COLOURS, strict=False):
            _draw(panel, results, colour)
        if not ours and best:
            _draw(panel, best[0], "#999999", f"searchkit {best[0].method.name}", band=False)
        panel.set_title(title, loc="left")
        panel.set_xlabel("evaluations")
        panel.set_xlim(1, budget)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", alpha=0.3)
        _label(panel)
    if several:
        finals = np.concatenate([results.curve[:, min(10, budget) - 1 :].ravel() for results in found])
        panels[0].set_ylim(max(0.0, float(np.nanpercentile(finals, 5)) - 0.05), float(np.nanmax(finals)) + 0.01)
        panels[0].set_ylabel("hypervolume")
    else:
        panels[0].set_yscale("symlog", linthresh=LEAST)
        lowest = float(np.nanmin([np.nanmin(results.curve) for results in found]))
        panels[0].set_ylim(bottom=0 if lowest < 10 * LEAST else lowest / 2)
        panels[0].set_ylabel("regret")
    figure.suptitle(f"{problem.title}: median and quartiles", x=0.01, ha="left")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{problem.name}.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _sorted(found: Sequence[Results], several: bool) -> list[Results]:
    """Best at the end first, by the median and then by the mean of the whole curve."""

    def worth(results: Results) -> tuple[float, float]:
        curve = np.nan_to_num(results.curve, nan=0.0 if several else np.inf, posinf=1e9)
        sign = -1 if several else 1
        return sign * float(np.median(curve[:, -1])), sign * float(np.mean(curve))

    return sorted(found, key=worth)


def _draw(panel: Any, results: Results, colour: str, name: str | None = None, band: bool = True) -> None:
    at = np.arange(1, results.curve.shape[1] + 1)
    known = np.isfinite(results.curve).all(axis=0)  # not before something has worked, nor beyond a time limit
    if not known.any():
        return
    curve = results.curve
    low, middle, high = np.percentile(curve[:, known], [25, 50, 75], axis=0)
    panel.plot(at[known], middle, color=colour, linewidth=1.8, label=name or results.method.name)
    if band:
        panel.fill_between(at[known], low, high, color=colour, alpha=0.12, linewidth=0)


def _label(panel: Any) -> None:
    """Names outside, on the right, in the order in which the lines end."""
    lines = [line for line in panel.get_lines() if len(line.get_ydata())]
    lines.sort(key=lambda line: -line.get_ydata()[-1])
    panel.legend(lines, [line.get_label() for line in lines], loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
