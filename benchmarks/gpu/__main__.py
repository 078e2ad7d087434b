"""searchkit on a GPU beside a plain loop (DataLoader, one network at a time, fp32 eager), on the same card in one run.

    python -m benchmarks.gpu [--part step training ways eproxy signals latency memory] [--networks 20] [--device cuda]

Parts and what is aimed at: training, at least 5 times the networks an hour at equal accuracy (means apart by less than
0.3 points), with the share of the card's bf16 ceiling; ways, the ways to train several networks on one card, of which
the quickest should be what executor="interleaved" does; eproxy and signals (jacov, naswot and AZ-NAS together), at
least 5 times the networks a second; latency, a network measured twice apart by under 2 % (median of 20 pairs); memory,
none more allocated after 500 candidates than after the first ones. NAS-Bench-201 cells at full width; images are
CIFAR-10 where its files are there, else as many drawn ones of the same size that can be learned.

The plain loop takes most of the time, some minutes a network at 10 epochs: for a first look one part a call, with
``--networks 8 --epochs 3 --candidates 200 --pairs 10``; first of all ``pytest -m gpu``.

Without a card it ends with code 2. ``--device cpu --tiny`` runs the code of every part on a CPU in a minute, with
numbers that mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks.gpu.costs import latency_part, memory_part
from benchmarks.gpu.setting import Setting, describe_device, setting
from benchmarks.gpu.signals import eproxy_part, signals_part
from benchmarks.gpu.step import step_part
from benchmarks.gpu.training import training_part
from benchmarks.gpu.ways import ways_part
from searchkit.errors import DeviceError
from searchkit.execution.interleaved import AT_ONCE
from searchkit.runtime.devices import resolve_device

PARTS: dict[str, Callable[[Setting], None]] = {
    "step": step_part,
    "training": training_part,
    "ways": ways_part,
    "eproxy": eproxy_part,
    "signals": signals_part,
    "latency": latency_part,
    "memory": memory_part,
}


def main(given: argparse.Namespace) -> int:
    """Print a table a part; the exit code."""
    try:
        device = resolve_device(given.device)
    except DeviceError as error:
        print(f"no benchmark without a card: {error}; or --device cpu --tiny to run the code only", file=sys.stderr)
        return 2
    if device.type == "cpu":
        torch.set_num_threads(1)
        if not given.tiny:
            print("on a CPU this takes days: add --tiny to run the code only", file=sys.stderr)
            return 2
    workers = given.workers or (8 if device.type == "cuda" else 2)
    chosen = replace(setting(given, device), workers=workers, timed=given.timed)
    for name, part in PARTS.items():
        if name in given.part or "all" in given.part:
            print(f"\n# {name}\n\n{describe_device(device)}.\n", flush=True)
            part(chosen)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", nargs="+", choices=[*PARTS, "all"], default=["all"], metavar="PART")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... (cuda)")
    parser.add_argument("--networks", type=int, default=20, help="of training, eproxy and signals (20)")
    parser.add_argument("--epochs", type=int, default=10, help="of training (10)")
    parser.add_argument(
        "--executor",
        type=lambda given: given if given == "interleaved" else int(given),
        default="interleaved",
        help="of searchkit's training: interleaved, or a number of worker processes on the same card (interleaved)",
    )
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"networks that are interleaved ({AT_ONCE})")
    parser.add_argument(
        "--workers",
        type=int,
        help="processes that score networks in eproxy and signals, on the same card (8; a CPU: 2)",
    )
    parser.add_argument("--loaders", type=int, default=8, help="worker processes of the plain loop's DataLoader (8)")
    parser.add_argument("--pairs", type=int, default=20, help="of latency measurements (20)")
    parser.add_argument("--candidates", type=int, default=500, help="of memory (500)")
    parser.add_argument("--drawn", action="store_true", help="drawn images even where CIFAR-10 is there")
    parser.add_argument("--cifar", action="store_true", help="CIFAR-10 or the part of it that is there")
    parser.add_argument(
        "--timed", type=int, default=0, help="networks of the plain loop trained alone, the others side by side (all)"
    )
    parser.add_argument("--tiny", action="store_true", help="the least of everything, to run the code")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser().parse_args()))
