"""Which trained weights a search keeps: those of networks on its front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.search.target_columns import may_win
from searchkit.training.weights import not_written, weights_path


@dataclass
class KeepFront:
    """Deletes the weights of trials that are not on the front, and cannot be once predicted costs are measured."""

    goals: Goals
    folder: Path

    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        if trial.state is State.SCORED:
            self.clean(trials)

    def clean(self, trials: Sequence[Trial]) -> None:
        """Delete the weights of those that cannot win."""
        kept = {weights_path(self.folder, winner.code) for winner in may_win(trials, self.goals)}
        for path in self.folder.glob("*.safetensors"):
            if path not in kept and path in {weights_path(self.folder, t.code) for t in trials if t.finished}:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise not_written(path, error) from error
