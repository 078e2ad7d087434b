"""What the commands take that search nothing, and a search of one network: processor seconds of whole processes.

    python -m benchmarks.overhead.commands [--repeats 5]

Each command is a new process, as a shell begins it, on a study of 30 candidates that were told. Seconds are user and
system time of the process, the median of the repeats; the order of the commands is drawn anew in each repeat.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common.machine import describe

SPACE = '{"lr": {"float": [0.0001, 0.1], "log": true}, "kind": ["a", "b"], "n": {"int": [1, 9]}}'
PYTHON = {"python, nothing": ["-c", "pass"], "python, import torch": ["-c", "import torch"]}
COMMANDS = {
    "--help": ["--help"],
    "list": ["list"],
    "show": ["show", "tpe"],
    "suggest, tpe": ["suggest", "tpe"],
    "suggest, bo": ["suggest", "bo"],
    "suggest --pending": ["suggest", "bo", "--pending"],
    "tell": ["tell", "bo"],
    "run, one network": [
        "run", "--space", "macro", "--space-option", "width=2", "--data-option", "limit=200", "--epochs", "1",
        "--budget", "1", "--workers", "1", "--no-baselines", "--name",
    ],
}  # fmt: skip


def main() -> None:
    """Print the table."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--repeats", type=int, default=5)
    repeats = reader.parse_args().repeats
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pending = {name: _begin(name, place, repeats) for name in ("tpe", "bo")}
        seconds: dict[str, list[float]] = {name: [] for name in (*PYTHON, *COMMANDS)}
        for i in range(repeats):
            for name in random.Random(i).sample(list(seconds), len(seconds)):
                given = PYTHON.get(name) or ["-m", "searchkit", *COMMANDS[name]]
                given = [*given, str(pending["bo"][i]), f"loss={i}"] if name == "tell" else given
                given = [*given, f"one-{i}"] if given[-1] == "--name" else given
                seconds[name].append(_seconds(given, place))
    torch = statistics.median(seconds["python, import torch"])
    print("\n| command | processor seconds | of `import torch` |\n|---|---|---|")
    for name, found in seconds.items():
        print(f"| {name} | {statistics.median(found):.2f} | {statistics.median(found) / torch:.2f} |")


def _begin(name: str, place: Path, more: int) -> list[int]:
    """A study with 30 candidates that were told; returns the numbers of others that wait."""
    given = [name, "--space", SPACE, "--objectives", "loss:min", "--strategy", name, "--n", str(30 + more)]
    asked = json.loads(_run(["-m", "searchkit", "suggest", *given], place))
    told = [{"candidate": one["candidate"], "values": {"loss": one["choices"]["lr"]}} for one in asked[:30]]
    _run(["-m", "searchkit", "tell", name, "-"], place, json.dumps(told))
    return [one["candidate"] for one in asked[30:]]


def _run(arguments: list[str], place: Path, said: str = "") -> str:
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=place, input=said, capture_output=True, text=True, check=True
    )
    return ended.stdout


def _seconds(arguments: list[str], place: Path) -> float:
    """User and system seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(arguments, place)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
