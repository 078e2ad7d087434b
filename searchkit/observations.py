"""What was asked and what it was worth: the value a strategy is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from searchkit.space import Bools, Codes, Floats


@dataclass(frozen=True)
class Observations:
    """n candidates and their outcomes; joined with ``+``, sliced with ``[]``.

    A row is one of three things. *Scored*: losses and violations are finite. *Infeasible*: violations are known
    and one is positive, and the losses are NaN, because nobody trained it. *Failed*: both rows are NaN. A row of
    losses is whole or wholly NaN, never half.

    Attributes:
        codes: ``(n, d)`` int64, canonical.
        losses: ``(n, k)`` float64, every objective to be minimised.
        violations: ``(n, c)`` float64, by how much each constraint is broken relative to its bound; 0 is kept.
    """

    codes: Codes
    losses: Floats
    violations: Floats

    def __post_init__(self) -> None:
        if not len(self.codes) == len(self.losses) == len(self.violations):
            raise ValueError(
                f"observations need one row each: {len(self.codes)} codes, {len(self.losses)} losses, "
                f"{len(self.violations)} violations"
            )
        half = np.isfinite(self.losses).any(axis=1) & ~np.isfinite(self.losses).all(axis=1)
        if half.any():
            raise ValueError(f"row {int(np.argmax(half))} has some finite losses and some not; a failed row is all NaN")

    @classmethod
    def empty(cls, n_choices: int, n_objectives: int, n_constraints: int = 0) -> Observations:
        """No observations, with the right numbers of columns."""
        return cls(np.empty((0, n_choices), dtype=np.int64), np.empty((0, n_objectives)), np.empty((0, n_constraints)))

    @classmethod
    def join(cls, parts: Sequence[Observations]) -> Observations:
        """Several observations in order, as one; at least one part."""
        return cls(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.losses for part in parts]),
            np.concatenate([part.violations for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.codes)

    def __add__(self, other: Observations) -> Observations:
        return Observations.join([self, other])

    def __getitem__(self, rows: slice | npt.NDArray[np.integer] | Bools) -> Observations:
        return Observations(self.codes[rows], self.losses[rows], self.violations[rows])

    @property
    def scored(self) -> Bools:
        """``(n,)`` bool: the losses are known."""
        known: Bools = np.asarray(np.isfinite(self.losses).all(axis=1))
        return known

    @property
    def failed(self) -> Bools:
        """``(n,)`` bool: nothing is known but that it failed."""
        if not self.violations.shape[1]:
            return ~self.scored
        unknown: Bools = np.asarray(~np.isfinite(self.violations).all(axis=1))
        return unknown

    @property
    def feasible(self) -> Bools:
        """``(n,)`` bool: scored, and every constraint kept."""
        kept: Bools = self.scored & np.asarray((np.nan_to_num(self.violations, nan=np.inf) <= 0).all(axis=1))
        return kept
