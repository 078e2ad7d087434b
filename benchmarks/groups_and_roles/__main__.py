"""Labels comparable within groups only, a ladder's second chance, and what options mean in every space.

    python -m benchmarks.groups_and_roles [--parts groups,hints,comparisons,ladder,roles,topology] [--seeds 20]

All from published tables; nothing is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks.common.machine import describe
from benchmarks.groups_and_roles.labels import comparisons, groups, hints
from benchmarks.groups_and_roles.roles import roles, topology
from benchmarks.groups_and_roles.second_chance import ladder

PARTS: dict[str, Callable[[int], None]] = {
    "groups": groups,
    "hints": hints,
    "comparisons": comparisons,
    "ladder": ladder,
    "roles": roles,
    "topology": topology,
}


def main() -> None:
    """Print the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}; separated by commas")
    parser.add_argument("--seeds", type=int, default=20, help="draws of what is labelled, or searches")
    given = parser.parse_args()
    print(f"{describe()}; {given.seeds} seeds, means with standard errors")
    for part in given.parts.split(","):
        PARTS[part](given.seeds)


if __name__ == "__main__":
    main()
