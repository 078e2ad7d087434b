"""One file about searchkit on this machine's GPU: environment, the outcome of the tests, and small tables.

    python -m benchmarks.gpu.report [--out gpu-report.md]

Takes ten minutes at most: each part has a limit of time, and what it printed until then is kept. The file holds no data
of yours, and no names but those of the machine's hardware and of software. Send it with an issue.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.setting import describe_device
from searchkit.errors import DeviceError
from searchkit.runtime.devices import resolve_device

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Part:
    """A command of Python's, and the seconds that it may take."""

    title: str
    arguments: tuple[str, ...]
    seconds: float


def _table(part: str, seconds: float, *options: str) -> Part:
    return Part(part, ("-W", "ignore", "-m", "benchmarks.gpu", "--part", part, *options), seconds)


PARTS = (
    _table("step", 50, "--networks", "3"),
    _table("training", 120, "--networks", "4", "--timed", "1", "--epochs", "2"),
    _table("signals", 40, "--networks", "5", "--workers", "1"),
    _table("eproxy", 60, "--networks", "3", "--workers", "1"),
    _table("latency", 60, "--pairs", "2"),
    _table("memory", 50, "--candidates", "40"),
    Part("tests", ("-m", "pytest", "-m", "gpu", "-v", "--tb=short", "-p", "no:cacheprovider"), 220),
)


def main(given: argparse.Namespace) -> int:
    """Write the report; 2 without a card."""
    try:
        device = resolve_device(given.device)
    except DeviceError as error:
        print(f"no report without a card: {error}", file=sys.stderr)
        return 2
    started = time.perf_counter()
    with given.out.open("w", encoding="utf-8") as file:
        print(f"# searchkit on a GPU\n\n{describe_device(device)}.\n", file=file, flush=True)
        for part in PARTS:
            print(f"{part.title}: {part.seconds:.0f} s at most", flush=True)
            print(f"## {part.title}\n\n```", file=file, flush=True)
            outcome = run(part, file.fileno())
            print(f"```\n\n{outcome}\n", file=file, flush=True)
    print(f"{given.out} is written, after {time.perf_counter() - started:.0f} s")
    return 0


def run(part: Part, out: int) -> str:
    """Run a part with its output going to the file descriptor ``out``; what became of it, in a sentence."""
    started = time.perf_counter()
    command = [sys.executable, "-u", *part.arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT) as process:
        late = threading.Timer(part.seconds, process.terminate)
        later = threading.Timer(part.seconds + 10, process.kill)  # pytest ends its tests' processes in the meantime
        late.start()
        later.start()
        try:
            code = process.wait()
        finally:
            late.cancel()
            later.cancel()
    taken = time.perf_counter() - started
    if taken >= part.seconds:
        return f"Stopped after {taken:.0f} s."
    return f"{'Done' if code == 0 else f'Ended with code {code}'} after {taken:.0f} s."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-report.md"), help="the file (gpu-report.md)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... (cuda)")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser().parse_args()))
