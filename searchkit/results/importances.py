"""How much each parameter matters: its share of what a model of the evaluated candidates varies by.

Total-effect indices of Sobol, by Jansen's estimator (Analysis of variance designs for model output. Computer Physics
Communications 117, 1999): half the mean squared change of the model's prediction when the parameter alone is drawn
anew, over random candidates of the space. So it makes no difference that a search evaluates good regions more often.
The model is a forest of extremely randomised trees, of losses whose bad tail is cut off, so that a few very bad
candidates do not decide alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import SearchkitError, plural
from searchkit.problem.trial import observe
from searchkit.space import Space
from searchkit.space.indicators import indicators
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.results.tables import Tables

FEWEST = 8  # scored candidates that importances need
DRAWN = 2000  # random candidates over which changes are taken
TREES = 100
TAIL = 5.0  # distances of the quartiles beyond the middle from which a loss counts as no worse


def importances(result: Tables) -> pd.DataFrame:
    """The frame of :meth:`searchkit.Result.importances`."""
    import pandas as pd

    told = observe(result.trials, result.goals)
    told = told[told.scored]
    if len(told) < FEWEST:
        raise SearchkitError(
            f"importances are learned from at least {FEWEST} scored candidates, and study '{result.name}' has "
            f"{plural(len(told), 'scored candidate')}"
        )
    columns = {
        name: shares(result.space, told.codes, losses)
        for name, losses in zip(result.goals.names, told.losses.T, strict=True)
    }
    frame = pd.DataFrame(columns, index=pd.Index(result.space.names, name="parameter"))
    return frame.sort_values(list(frame.columns[:1]), ascending=False, kind="stable")


def shares(space: Space, codes: Codes, losses: Floats) -> Floats:
    """``(d,)`` the share of each parameter, from 0 to 1; together 1, or all 0 where nothing differs.

    Args:
        codes, losses: ``(n, d)``, ``(n,)`` of candidates that were evaluated.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    values = _without_tail(losses)
    if np.ptp(values) == 0:
        return np.zeros(space.n_choices)
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0)
    forest.fit(_columns(space, codes), values)
    rng = np.random.default_rng(0)
    drawn, other = space.sample(DRAWN, rng), space.sample(DRAWN, rng)
    predicted = forest.predict(_columns(space, drawn))
    found = np.zeros(space.n_choices)
    for j in range(space.n_choices):
        changed = drawn.copy()
        changed[:, j] = other[:, j]
        changed = _kept(space, changed, drawn, other)
        found[j] = 0.5 * np.mean((forest.predict(_columns(space, changed)) - predicted) ** 2)  # Jansen's estimator
    total = found.sum()
    return found / total if total > 0 else found


def _without_tail(losses: Floats) -> Floats:
    """``(n,)`` losses, those far beyond the bad half's spread at its end."""
    low, middle, high = np.quantile(losses, [0.25, 0.5, 0.75])
    return np.asarray(np.minimum(losses, middle + TAIL * max(high - low, np.ptp(losses) / 10)))


def _kept(space: Space, changed: Codes, drawn: Codes, other: Codes) -> Codes:
    """Canonical candidates; parameters that did not exist before the change are random, and not the first value."""
    if space.conditions is None:
        return space.canonical(changed)
    new = space.active(changed) & ~space.active(drawn)
    return space.canonical(np.where(new, other, changed))


def _columns(space: Space, codes: Codes) -> Floats:
    """``(n, p)`` features: positions, one column for each option of unordered choices, -1 where one does not exist."""
    positions = np.nan_to_num(space.positions(codes), nan=-1.0)
    exists = space.active(codes)
    parts = []
    for j, choice in enumerate(space.choices):
        if choice.ordered:
            parts.append(positions[:, j : j + 1])
        else:
            parts.append(indicators(codes[:, j], len(choice.options)) * exists[:, j : j + 1])
    return np.concatenate(parts, axis=1)
