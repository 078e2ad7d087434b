"""What a policy is: it says which path is trained next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np

from searchkit.types import Codes

Reward = Literal["none", "training", "validation"]


class Policy(Protocol):
    """Draws paths; a function of what it was told and of ``rng`` alone, so that a stopped training can be continued.

    Attributes:
        reward: what it is told of a path: nothing, the training loss of a step, or what the path comes to on the
            validation part after its last step; see :meth:`tell`.
        together: steps whose gradients are summed before the weights change.
    """

    reward: Reward
    together: int

    def begin(self, steps: int) -> None:
        """Before the first step: the number of steps that there will be."""
        ...

    def draw(self, rng: np.random.Generator) -> tuple[Codes, int]:
        """The canonical candidate ``(d,)`` of the next path, and for how many steps it is trained."""
        ...

    def tell(self, code: Codes, value: float) -> None:
        """What the path that was drawn last came to, higher is better: minus a loss, or a score."""
        ...

    @property
    def share(self) -> float:
        """The share of the training examples that steps are now drawn from."""
        ...

    def state(self) -> dict[str, Any]:
        """What it was told, as JSON values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        ...
