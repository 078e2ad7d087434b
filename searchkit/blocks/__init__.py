"""Blocks: networks as sums of blocks, fitted, and solved exactly."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.blocks.additive import Additive, Blocks, blocks_of
    from searchkit.blocks.cost_tables import count_tables
    from searchkit.blocks.exact import front, k_best
    from searchkit.blocks.fit import BlockFit, fit_blocks
    from searchkit.blocks.solve import Limit

__all__ = ["Additive", "BlockFit", "Blocks", "Limit", "blocks_of", "count_tables", "fit_blocks", "front", "k_best"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Additive": "additive",
        "Blocks": "additive",
        "blocks_of": "additive",
        "count_tables": "cost_tables",
        "front": "exact",
        "k_best": "exact",
        "BlockFit": "fit",
        "fit_blocks": "fit",
        "Limit": "solve",
    },
)
