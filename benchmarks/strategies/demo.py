"""`searchkit run` as it stands, over several seeds: wall-clock seconds, and the test accuracy of the winner.

    python -m benchmarks.strategies.demo [--seeds 5]

Each seed is a new process in an empty folder, imports included; the seed also draws the split of the data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.common.machine import describe

SEARCHKIT = "import sys; from searchkit.cli import main; sys.exit(main())"  # what the command `searchkit` does


def run(seed: int) -> tuple[float, list[dict[str, float]]]:
    """Seconds, and the front of one search."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-c", SEARCHKIT, "run", "--seed", str(seed), "--json"]
        printed = subprocess.check_output(command, cwd=folder, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start, json.loads(printed)["front"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    n_seeds = parser.parse_args().seeds
    print(f"# searchkit run\n\n{describe()}. Digits, {n_seeds} seeds, one run each.\n")
    print("| seed | seconds | on the front | most accurate: validation | test | params | smallest: test | params |")
    print("|---|---|---|---|---|---|---|---|")
    times, scores = [], []
    for seed in range(n_seeds):
        seconds, front = run(seed)
        best, smallest = front[0], front[-1]
        times.append(seconds)
        scores.append(best["test_accuracy"])
        print(
            f"| {seed} | {seconds:.0f} | {len(front)} | {best['accuracy']:.1%} | {best['test_accuracy']:.1%} | "
            f"{best['params']:,.0f} | {smallest['test_accuracy']:.1%} | {smallest['params']:,.0f} |",
            flush=True,
        )
    print(
        f"\nMedian {statistics.median(times):.0f} s, longest {max(times):.0f} s; test accuracy of the most accurate: "
        f"median {statistics.median(scores):.1%}, lowest {min(scores):.1%}."
    )
