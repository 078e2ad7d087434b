"""What int8 costs and saves: the networks of a search's front, exported in float32 and int8, and both files judged.

    python -m benchmarks.costs.int8 [--data digits,fashion-5000,cifar-12000] [--seconds 60] [--seed 0]

Scores are on the test part, latencies of one image on one thread of the CPU, both files in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import searchkit
from benchmarks.common.machine import describe
from benchmarks.hour.__main__ import DATA


def main() -> None:
    """Print a row for every network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits,fashion-5000,cifar-12000")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(describe(), end="\n\n")
    print("| data | params | accuracy, float32 | int8 | points lost | kB, float32 | int8 | ms, float32 | int8 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in given.data.split(","):
        with tempfile.TemporaryDirectory() as folder:
            source, limit = DATA[name]
            data, budget = searchkit.load_data(source, limit=limit), {"seconds": given.seconds}
            result = searchkit.run(data=data, budget=budget, seed=given.seed, storage=folder, progress=False)
            for row in range(len(result.front)):
                path = Path(folder, f"row{row}")
                result.export(row, path, precision="int8")
                found = json.loads(path.with_suffix(".json").read_text())["int8"]
                print(
                    f"| {name} | {result.front.params[row]:,.0f} | {100 * found['float32']:.2f} % "
                    f"| {100 * found['int8']:.2f} % | {100 * (found['float32'] - found['int8']):.2f} "
                    f"| {found['bytes_float32'] / 1000:.1f} | {found['bytes_int8'] / 1000:.1f} "
                    f"| {found['ms_float32']:.3f} | {found['ms_int8']:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
