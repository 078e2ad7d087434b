"""The table of how well each proxy predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.problem.ranks import TRUST
from searchkit.proxy_layer.aggregation import Reference, Trust, trusts
from searchkit.types import Floats

if TYPE_CHECKING:
    import pandas as pd


def trust_table(
    names: Sequence[str], trusted: Sequence[Trust], counts: Mapping[str, Floats], good: Floats
) -> pd.DataFrame:
    """One row per proxy, largest weight first; see :attr:`searchkit.proxy_layer.signals.Signals.trust`.

    Args:
        counts: name -> ``(n,)`` free counts of what was observed; those that are no proxies follow, without a weight.
        good: ``(n,)`` the observed values, higher is better.
    """
    import pandas as pd

    rows = [trust_row(name, t, t.weight) for name, t in zip(names, trusted, strict=True)]
    rows.sort(key=lambda row: -row["weight"])
    free = [name for name in counts if name not in names]
    if free:
        columns = Reference(np.column_stack([counts[name] for name in free]))
        worth = trusts(columns.quantiles(columns.scores), good, np.ones(len(free)))
        rows += [trust_row(name, t, np.nan) for name, t in zip(free, worth, strict=True)]
    return pd.DataFrame(rows, columns=list(TRUST))


def trust_row(name: str, trust: Trust, weight: float) -> dict[str, Any]:
    """How well one proxy predicted, as :attr:`~searchkit.proxy_layer.signals.Signals.trust` shows it."""
    return {
        "proxy": name,
        "rho": trust.rho,
        "low": trust.low,
        "high": trust.high,
        "top": trust.top,
        "ndcg": trust.ndcg,
        "belief": trust.belief,
        "weight": weight,
    }
