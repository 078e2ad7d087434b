"""Proxies that learn from what a search evaluates, and their leave-one-out scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from searchkit.scoring.protocols import Learner
from searchkit.space import keys
from searchkit.surrogates.refitting import FITTED, informative
from searchkit.types import Codes, Floats

ENOUGH = 20  # observations from which a learning proxy is fitted beside other signals, which know more before


class Taught:
    """The learning proxies of a search, fitted to its observations.

    Args:
        learners: column of the scores -> proxy.
        codes, values: ``(n, d)`` and ``(n,)`` the observed candidates and values, higher is better. Of many, the most
            informative are taken, so that a fit takes a fraction of a second.
        alone: whether there are no other signals, so that they are fitted to as few as they can.
    """

    def __init__(self, learners: Mapping[int, Learner], codes: Codes, values: Floats, alone: bool = True) -> None:
        rows = informative(-values, FITTED) if alone or len(values) >= ENOUGH else np.empty(0, dtype=np.int64)
        codes, values = codes[rows], values[rows]
        self._fitted = {column: proxy.fit(codes, values) for column, proxy in learners.items()}
        self._row = {key: i for i, key in enumerate(keys(codes))}

    def complete(self, codes: Codes, scores: Floats) -> Floats:
        """Scores ``(n, p)`` with the columns of the learning proxies filled in.

        A candidate that a proxy was fitted to gets its leave-one-out score: its fitted score would contain the observed
        value, and overstate how well the proxy predicts.
        """
        completed = scores.copy()
        for column, proxy in self._fitted.items():
            if proxy.fitted:
                completed[:, column] = proxy.score(codes)
                left_out = proxy.left_out
                if len(left_out):
                    seen = [(i, self._row[key]) for i, key in enumerate(keys(codes)) if key in self._row]
                    completed[[i for i, _ in seen], column] = left_out[[row for _, row in seen]]
        return completed
