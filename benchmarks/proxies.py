"""Every table on proxies: each alone, what sharing passes saves, the layer, and searches with it.

    python benchmarks/proxies.py

Two hours on two cores, nearly all of it scoring networks; what was scored is kept in ``$SEARCHKIT_CACHE``. Smaller
numbers: see ``proxies_single.py`` and ``proxies_layer.py``, which this runs one after the other.
"""

from __future__ import annotations

import proxies_layer
import proxies_single

if __name__ == "__main__":
    proxies_single.main([1000, 600], [500, 200], 12)
    proxies_layer.main(1000, 600, 50)
