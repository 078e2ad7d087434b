"""What shared weights say of networks, how their paths are drawn, and architecture by gradient.

    python -m benchmarks.shared_weights --parts macro,search

Parts: policies (a minute), macro (12 minutes), search (20), digits (40, of which 30 are trainings for real, which are
kept), finals (10), gradient (15), signals (10), bounds (5).
"""

from __future__ import annotations

import argparse

from benchmarks.common.machine import describe
from benchmarks.shared_weights.digits import bounds_table, digits_table, finals_table, signals_table
from benchmarks.shared_weights.gradient import gradient
from benchmarks.shared_weights.policies import policies
from benchmarks.shared_weights.tables import macro_table, search

PARTS = ("policies", "macro", "search", "digits", "finals", "gradient", "signals", "bounds")


def main(parts: list[str], seeds: int, epochs: float, side: int, networks: int) -> None:
    """Print the tables of these parts."""
    print(describe(), "\n")
    if "policies" in parts:
        policies()
    if "macro" in parts:
        macro_table(seeds, epochs, side, networks)
    if "search" in parts:
        search(seeds, epochs, side, 2000, "evolution")
    if "digits" in parts:
        digits_table(seeds, 200, ("uniform",))
    if "finals" in parts:
        finals_table(seeds, 100)
    if "signals" in parts:
        signals_table(seeds)
    if "bounds" in parts:
        bounds_table(seeds, 100)
    if "gradient" in parts:
        gradient(seeds, 15)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shared_weights", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=20, help="of the shared weights on NAS-Bench-Macro")
    parser.add_argument("--side", type=int, default=16, help="pixels of the images there")
    parser.add_argument("--networks", type=int, default=400, help="of the table that are judged")
    given = parser.parse_args()
    unknown = set(given.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"--parts is of {','.join(PARTS)}; got {','.join(sorted(unknown))}")
    main(given.parts.split(","), given.seeds, given.epochs, given.side, given.networks)
