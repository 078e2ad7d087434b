"""MathNAS, the exact front, DNA and the searches over them, against published tables.

    python -m benchmarks.blocks [--parts formula,mathnas,ordered,latency,front,dna,search] [--draws 20] [--seeds 50]

"dna" trains supernets, and what it trained is kept under the cache folder of the other benchmarks.
"""

from __future__ import annotations

import argparse

from benchmarks.blocks.dna import dna, prefixes
from benchmarks.blocks.exact import fronts, searches
from benchmarks.blocks.latency import measured_latency, published_latency
from benchmarks.blocks.mathnas import formula, mathnas
from benchmarks.blocks.once_for_all import once_for_all
from benchmarks.blocks.ordered import ordered
from benchmarks.blocks.solve import programmes
from benchmarks.common.machine import describe

PARTS = ("formula", "mathnas", "ordered", "latency", "front", "dna", "search")


def run(part: str, draws: int, seeds: int) -> None:
    """Print the tables of one part."""
    if part == "formula":
        formula()
    elif part == "mathnas":
        mathnas(draws)
    elif part == "ordered":
        ordered(draws)
    elif part == "latency":
        published_latency(draws)
        measured_latency()
    elif part == "front":
        print("## Exact fronts\n")
        fronts()
        once_for_all()
        programmes(8)
    elif part == "dna":
        dna()
        prefixes()
    else:
        searches(seeds)
    print()


def _parts(given: str) -> list[str]:
    names = given.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"no part {name!r}; there are {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.blocks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help="names with commas between them (all)")
    parser.add_argument("--draws", type=int, default=20, help="of the labels (20)")
    parser.add_argument("--seeds", type=int, default=50, help="of the searches (50)")
    given = parser.parse_args()
    print(f"# Blocks\n\n{describe()}, one thread.\n")
    for name in given.parts:
        run(name, given.draws, given.seeds)
