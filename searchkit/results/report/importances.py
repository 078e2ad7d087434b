"""The section on parameters: how much each matters for each objective."""

from __future__ import annotations

from searchkit.problem.trial import State
from searchkit.results.importances import importances
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import Cell, note, number, share, table
from searchkit.results.safe_html import Html, fill, joined

_FEWEST = 20  # scored candidates from which the section is there
_MOST = 12  # parameters that are shown


def parameters(facts: Facts) -> Html:
    """The section; empty for a search of few candidates, or of one parameter."""
    result = facts.result
    scored = sum(trial.state is State.SCORED for trial in result.trials)
    if scored < _FEWEST or result.space.n_choices < 2:
        return joined([])
    frame = importances(result)
    if not frame.to_numpy().any():
        return joined([])
    rows = [[Cell(fill("<b>{}</b>", str(name))), *map(_bar, frame.loc[name])] for name in frame.index[:_MOST]]
    said = [
        "How much of what a model of the evaluated candidates predicts changes with each parameter alone, over random "
        "candidates of the space (total-effect indices of Sobol; the shares of all parameters add up to "
        f"100 %). Learned from {scored:,} scored candidates: of few, small shares are not certain."
    ]
    if len(frame) > _MOST:
        said.append(f"The first {_MOST} of {len(frame)} parameters; result.importances() has all.")
    return joined([table(["parameter", *map(facts.label, frame.columns)], rows, kind="proxies"), note(said)])


def _bar(value: float) -> Cell:
    return Cell(share(value, f"{number(round(100 * value))} %"), value)
