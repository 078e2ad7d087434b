"""Evaluated candidates with their outcomes, as a strategy is told them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from searchkit.types import Bools, Codes, Floats


@dataclass(frozen=True)
class Observations:
    """n candidates and their outcomes; joined with ``+``, sliced with ``[]``.

    A row has one of three kinds. *Scored*: losses and violations are finite. *Infeasible*: violations are known and one
    is positive; the losses are NaN, because the candidate was not trained. *Failed*: both rows are NaN. A row of losses
    is either finite or all NaN.

    Attributes:
        codes: ``(n, d)`` int64, canonical.
        losses: ``(n, k)`` float64, every objective to be minimised.
        violations: ``(n, c)`` float64, by how much each constraint is broken relative to its bound; 0 where it is kept.
        hints: ``(n, k)`` float64, predicted losses of candidates that were dropped from a fidelity ladder, from their
            last cheap training; NaN elsewhere. A strategy may learn from them, but they are not observed losses.
        rungs: ``(n, r, k)`` float64, losses as observed at each of r rungs of a ladder, of all that reached them; NaN
            elsewhere. Comparable within a rung only; None without a ladder.
    """

    codes: Codes
    losses: Floats
    violations: Floats
    hints: Floats | None = None
    rungs: Floats | None = None

    def __post_init__(self) -> None:
        if not len(self.codes) == len(self.losses) == len(self.violations):
            raise ValueError(
                f"observations need one row each: {len(self.codes)} codes, {len(self.losses)} losses, "
                f"{len(self.violations)} violations"
            )
        known = np.isfinite(self.losses)
        half = np.empty(0) if known.all() else known.any(axis=1) & ~known.all(axis=1)
        if half.any():
            raise ValueError(f"row {int(np.argmax(half))} has some finite losses and some not; a failed row is all NaN")

    @classmethod
    def empty(cls, n_choices: int, n_objectives: int, n_constraints: int = 0) -> Observations:
        """No observations, with these numbers of columns."""
        return cls(np.empty((0, n_choices), dtype=np.int64), np.empty((0, n_objectives)), np.empty((0, n_constraints)))

    @classmethod
    def join(cls, parts: Sequence[Observations]) -> Observations:
        """Observations concatenated in order; at least one part."""
        known = any(part.hints is not None for part in parts)
        hints = [np.full(part.losses.shape, np.nan) if part.hints is None else part.hints for part in parts]
        return cls(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.losses for part in parts]),
            np.concatenate([part.violations for part in parts]),
            np.concatenate(hints) if known else None,
            cls._joined_rungs(parts),
        )

    @staticmethod
    def _joined_rungs(parts: Sequence[Observations]) -> Floats | None:
        given = [part.rungs for part in parts if part.rungs is not None]
        if not given:
            return None
        one = given[0].shape[1:]
        rungs = [np.full((len(part), *one), np.nan) if part.rungs is None else part.rungs for part in parts]
        return np.concatenate(rungs)

    def __len__(self) -> int:
        return len(self.codes)

    def __add__(self, other: Observations) -> Observations:
        return Observations.join([self, other])

    def __getitem__(self, rows: slice | npt.NDArray[np.integer] | Bools) -> Observations:
        hints = None if self.hints is None else self.hints[rows]
        rungs = None if self.rungs is None else self.rungs[rows]
        return Observations(self.codes[rows], self.losses[rows], self.violations[rows], hints, rungs)

    @property
    def scored(self) -> Bools:
        """``(n,)`` bool: the losses are known."""
        known: Bools = np.asarray(np.isfinite(self.losses).all(axis=1))
        return known

    @property
    def hinted(self) -> Bools:
        """``(n,)`` bool: not scored, but with a hint of what the losses would be."""
        if self.hints is None:
            return np.zeros(len(self), dtype=bool)
        hinted: Bools = np.asarray(np.isfinite(self.hints).all(axis=1)) & ~self.scored
        return hinted

    def believed(self) -> Observations:
        """For fitting models: hints in place of missing losses, and those candidates counted as feasible."""
        if self.hints is None:
            return self
        rows = self.hinted[:, None]
        losses, violations = np.where(rows, self.hints, self.losses), np.where(rows, 0.0, self.violations)
        return Observations(self.codes, losses, violations, rungs=self.rungs)

    @property
    def failed(self) -> Bools:
        """``(n,)`` bool: failed, so that nothing else is known."""
        if not self.violations.shape[1]:
            return ~self.scored
        unknown: Bools = np.asarray(~np.isfinite(self.violations).all(axis=1))
        return unknown

    @property
    def feasible(self) -> Bools:
        """``(n,)`` bool: scored, and every constraint kept."""
        if not self.violations.shape[1]:
            return self.scored
        kept: Bools = self.scored & np.asarray((np.nan_to_num(self.violations, nan=np.inf) <= 0).all(axis=1))
        return kept
