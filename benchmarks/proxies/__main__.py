"""Every table on proxies: each alone, what sharing passes saves, the layer, and searches with it.

    python -m benchmarks.proxies

Two hours on two cores, nearly all of it scoring networks; what was scored is kept in ``$SEARCHKIT_CACHE``. It runs
``benchmarks.proxies.single`` and ``benchmarks.proxies.layer`` one after the other; alone they take smaller numbers.
"""

from __future__ import annotations

import argparse

from benchmarks.proxies import layer, single

if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m benchmarks.proxies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    single.main([1000, 600], [500, 200], 12)
    layer.main(1000, 600, 50)
