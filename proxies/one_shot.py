"""One-shot: every network of a space judged with its part of weights that all of them share.

Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling, ECCV 2020 (arXiv 1904.00420).
"""

from __future__ import annotations

from typing import Any

from searchkit.scoring.protocols import Setting
from searchkit.sharing.shared_weights import SharedWeights
from searchkit.space import Space


class OneShot(SharedWeights):
    """Minus the validation loss of each network with shared weights; a proxy, higher is better.

    The weights are trained before the first score, see :class:`searchkit.sharing.SharedWeights` for the arguments.
    The space may be narrower than the one that is searched, with the same choices:
    ``proxies=(OneShot(load_space("macro", width=8), data),)``.
    """

    needs_data = True

    def __init__(self, space: Space, data: object = None, **given: Any) -> None:
        if isinstance(data, Setting):
            folder = None if data.folder is None else data.folder / self.name
            given = {"device": data.device, "seed": data.seed, "folder": folder} | given
            data = data.data
        super().__init__(space, data, **given)
