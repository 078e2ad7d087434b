"""MathNAS: the value of a network as the sum of the values of its blocks.

Wang et al., MathNAS: If Blocks Have a Role in Mathematical Architecture Design, NeurIPS 2023 (arXiv 2311.04943). Block
values come from a given table, from switching blocks in a few context networks (the paper's sections 3 and 4), or from
any evaluated networks (:mod:`searchkit.blocks.fit`). In a search they are fitted to the results so far and cost no
training of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from searchkit.blocks.additive import Additive, Blocks, blocks_of, read_additive
from searchkit.blocks.conformal import LeftOut, leave_out
from searchkit.blocks.fit import BlockFit, fit_blocks
from searchkit.blocks.switching import switched, switched_codes
from searchkit.costs.counts import space_counts
from searchkit.errors import ProxyError, plural
from searchkit.problem.ranks import values_of
from searchkit.space import NetworkSpace, Space
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 5  # evaluated networks that a fit needs


class MathNAS:
    """Block values of a space as a proxy and a predictor; higher is better.

    It works on any space: where a space names no nodes, each choice is a block.

    Args:
        space: of the candidates.
        table: prior block values, higher is better: a list of values for each block of
            :func:`searchkit.blocks.additive.blocks_of`, or an :class:`Additive`. Evaluations correct them.

    Raises:
        SpaceError: a table of another shape than the space's blocks, or with NaN.
    """

    name = "mathnas"
    learns = True
    cached = False  # adding up block values is faster than reading scores from a study's record

    def __init__(self, space: Space, *, table: Additive | Sequence[Sequence[float]] | None = None) -> None:
        self.space = space
        self.blocks: Blocks = blocks_of(space)
        given = table.tables if isinstance(table, Additive) else table
        base = table.base if isinstance(table, Additive) else 0.0
        self.table = None if given is None else read_additive(given, base, blocks=self.blocks)
        self._fit: BlockFit | None = None
        self._observed = np.empty(0)
        self._codes: Codes = np.empty((0, space.n_choices), dtype=np.int64)
        self._without: LeftOut | None = None

    @classmethod
    def switching(cls, space: Space, evaluate: Callable[[Codes], Floats], *, contexts: int = 3, seed: int = 0) -> Self:
        """Measure block values by switching one block at a time in a few context networks.

        Args:
            evaluate: ``(n, d) -> (n,)``, higher is better.
            contexts: number of networks in which blocks are switched: of random ones, those whose MACs are nearest to
                the average; 1 is the paper's single sampling. It takes about ``contexts * sum(alternatives - 1)``
                evaluations.
        """
        blocks = blocks_of(space)
        macs = None
        if isinstance(space, NetworkSpace):

            def macs(codes: Codes) -> Floats:
                return space_counts(space, codes)["macs"]

        codes = switched_codes(space, blocks, contexts, seed, macs)
        values = np.asarray(evaluate(codes), dtype=np.float64)
        return cls(space, table=switched(blocks, codes, values))

    def fit(self, codes: Codes, values: Floats) -> Self:
        """A proxy that has learned from evaluated networks ``(n, d)`` with values ``(n,)``, higher is better.

        With fewer than five networks it equals this one.

        Raises:
            ProxyError: values that are not finite or do not fit the networks.
        """
        codes, values = self.space.check(codes), np.asarray(values, dtype=np.float64)
        if values.shape != (len(codes),) or not np.isfinite(values).all():
            raise ProxyError(
                f"{plural(len(codes), 'network')} and values of shape {values.shape}: give one finite value each"
            )
        fitted = copy.copy(self)
        if len(codes) >= FEWEST:
            fitted._fit = fit_blocks(self.blocks, codes, values, macs=self._macs(codes), trend=self.table)
            fitted._observed, fitted._codes, fitted._without = values, codes, None
        return fitted

    @property
    def fitted(self) -> bool:
        """Whether there are block values."""
        return self._fit is not None or self.table is not None

    @property
    def left_out(self) -> Floats:
        """``(n,)`` leave-one-out predictions of the networks it was fitted to, in units of :meth:`score`."""
        return np.empty(0) if self._fit is None else self._fit.apart

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` higher is better, in units of the values or of their ranks; 0 for all without block values."""
        if self._fit is None:
            return np.zeros(len(codes)) if self.table is None else self.table(self.blocks.choose(codes))
        return self._fit.predict(self.blocks.choose(codes), self._macs(codes))[0]

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(n,)`` in units of the values.

        Raises:
            ProxyError: nothing was fitted.
        """
        low, centre, high = self._at(codes, 1.0)
        return centre, (high - low) / 2

    def interval(self, codes: Codes, level: float = 0.9) -> tuple[Floats, Floats]:
        """Ends ``(n,)`` of an interval that holds a new evaluation with about that probability.

        The deviation is that of the process with noise, times what left-out networks were off by
        (:mod:`searchkit.blocks.conformal`): the first call after a fit fits again 10 to 60 times. With fewer than ten
        networks, 90 % are out of reach, and it holds fewer.

        Raises:
            ProxyError: nothing was fitted, or a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise ProxyError(f"a level is between 0 and 1, such as 0.9, not {level!r}")
        on_ranks = self._needed().on_ranks
        codes = self.space.check(codes)
        if self._without is None:
            told, macs = self._codes, self._macs(self._codes)
            self._without = leave_out(self.blocks, told, self._observed, macs=macs, trend=self.table, on_ranks=on_ranks)
        low, high = self._without.interval(self.blocks.choose(codes), self._macs(codes), level)
        centre = self.predict(codes)[0]
        return np.minimum(low, centre), np.maximum(high, centre)

    @property
    def losses(self) -> Additive:
        """The block values as an additive model to be minimised, which :mod:`searchkit.blocks.exact` and ``solve``
        take.

        Raises:
            ProxyError: there are none.
        """
        model = self._fit.model if self._fit is not None else self.table
        if model is None:
            raise ProxyError("no block values yet: fit() evaluated networks, or give a table")
        return model.mixed((), np.array([-1.0]))

    @property
    def block_values(self) -> pd.DataFrame:
        """Every block alternative with its value: columns block, alternative, value; the best of a block has 0.

        In units of what was evaluated, or of its normal scores where ranks were fitted (``model.on_ranks``).
        """
        import pandas as pd

        rows = []
        for i, losses in enumerate(self.losses.tables):
            labels = self.blocks.labels[i]
            for taken, value in zip(self.blocks.taken[i], losses.min() - losses, strict=True):
                alternative = ", ".join(called[a] for called, a in zip(labels, taken, strict=True))
                rows.append((self.blocks.names[i], alternative, float(value)))
        return pd.DataFrame(rows, columns=["block", "alternative", "value"])

    @property
    def model(self) -> BlockFit:
        """What was fitted: its exponent, its pairwise weight, its error.

        Raises:
            ProxyError: nothing was fitted.
        """
        return self._needed()

    def _at(self, codes: Codes, times: float) -> tuple[Floats, Floats, Floats]:
        """Mean, and so many deviations to either side, in units of the values."""
        fit = self._needed()
        mean, std = fit.predict(self.blocks.choose(self.space.check(codes)), self._macs(codes))
        three = (mean - times * std, mean, mean + times * std)
        if not fit.on_ranks:
            return three
        low, centre, high = (values_of(scores, self._observed) for scores in three)
        return low, centre, high

    def _needed(self) -> BlockFit:
        if self._fit is None:
            raise ProxyError(f"nothing was fitted: fit() takes {FEWEST} evaluated networks or more")
        return self._fit

    def _macs(self, codes: Codes) -> Floats | None:
        """MACs, where the space has a formula for them; building every network to count them would cost too much."""
        if isinstance(self.space, NetworkSpace) and self.space.count is not None:
            return space_counts(self.space, codes)["macs"]
        return None
