"""Shared weights: one set of tensors from which every network of a space takes its own, trained path by path."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.sharing.shared_weights import SharedWeights

__all__ = ["SharedWeights"]

__getattr__, __dir__ = lazily(__name__, {"SharedWeights": "shared_weights"})
