"""What worker processes are sent to score networks, and how the scores come back: as a dictionary of numbers."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from searchkit.errors import CandidateError, OutOfMemoryError, SearchkitError
from searchkit.execution.outcome import Outcome
from searchkit.scoring.network import NetworkScores, asked, score_network
from searchkit.scoring.passes.inputs import Inputs
from searchkit.scoring.protocols import NetworkProxy
from searchkit.space import NetworkSpace
from searchkit.types import Codes


class Scoring:
    """What a worker evaluates: ``(candidate, the proxies asked) -> {signal: value}``.

    An outcome is a dictionary of numbers: the reason for a value that is none stands in its label, on lines of its own.
    """

    def __init__(self, sent: bytes) -> None:
        self._sent = sent  # opened by the first job, so that what cannot be opened is that job's error and said
        self._opened: tuple[NetworkSpace, tuple[NetworkProxy, ...], Inputs, int] | None = None

    def __call__(self, code: Codes, number: int) -> dict[str, float]:
        space, proxies, inputs, seed = self._open()
        if not number:
            return {}
        scores = score_network(space, asked(proxies, number), code, inputs, seed)
        if scores.out_of_memory:
            raise OutOfMemoryError("beside others")
        return {
            f"{name}\n{scores.reasons[name]}" if name in scores.reasons else name: value
            for name, value in scores.values.items()
        }

    def _open(self) -> tuple[NetworkSpace, tuple[NetworkProxy, ...], Inputs, int]:
        if self._opened is None:
            space, proxies, data, device, seed = pickle.loads(self._sent)
            self._opened = space, proxies, Inputs(data, space.input_shape, space.n_classes, device, seed), seed
            self._sent = b""
        return self._opened


def read(outcome: Outcome, proxies: Sequence[NetworkProxy]) -> NetworkScores:
    """What :class:`Scoring` brought of one candidate; no scores of these proxies where its process died."""
    scores = NetworkScores()
    if outcome.reason is not None:
        scores.refuse([name for proxy in proxies for name in proxy.names], CandidateError(outcome.reason))
    for label, value in outcome.values.items():
        name, refused, why = label.partition("\n")
        scores.values[name] = value
        scores.reasons |= {name: why} if refused else {}
    return scores


def can_be_sent(*things: Any) -> bool:
    """Whether other processes can have them."""
    try:
        packed(things, "")
    except SearchkitError:
        return False
    return True


def packed(what: Any, called: str) -> bytes:
    """As bytes that any process can open.

    Raises:
        SearchkitError: it cannot be, which is said of it as it is ``called``.
    """
    import cloudpickle

    try:
        sent: bytes = cloudpickle.dumps(what)
    except Exception as error:
        raise SearchkitError(
            f"{called} cannot be sent to worker processes ({type(error).__name__}: {error}): leave workers out, or "
            "open files, locks and connections where they are used"
        ) from error
    return sent
