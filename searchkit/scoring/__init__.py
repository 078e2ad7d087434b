"""Scoring: proxies run on networks."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.scoring.protocols import Learner, NetworkProxy, Proxy
    from searchkit.scoring.scorer import Scorer

__all__ = ["Learner", "NetworkProxy", "Proxy", "Scorer"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Learner": "protocols",
        "NetworkProxy": "protocols",
        "Proxy": "protocols",
        "Scorer": "scorer",
    },
)
