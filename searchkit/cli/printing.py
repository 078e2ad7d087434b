"""What the commands print, and their exit codes."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from searchkit.cli.tables import complain, print_table
from searchkit.results.baselines import FRONT, best_network, score_of, shortfall
from searchkit.results.json_values import json_value

if TYPE_CHECKING:
    from searchkit.compressing import Compressed
    from searchkit.results.result import Result

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def interrupted(given: argparse.Namespace) -> int:
    """Say that a command was interrupted; returns the exit code."""
    more = {
        "run": "; the same command continues",
        "resume": "; the same command continues",
        "suggest": "; searchkit suggest NAME --pending prints what was suggested by then",
    }
    complain("interrupted" + more.get(given.command, ""))
    return INTERRUPTED


def print_result(result: Result, given: argparse.Namespace) -> int:
    """Print the result, then draw it: if the picture fails, the rest is already printed."""
    found = len(result.front) > 0
    if given.json:
        told = {"study": result.name, "stopped": result.stopped, "front": result.front.to_dict("records")}
        print_json(told | {"baselines": result.simple})
    else:
        print(repr(result))
        if found:
            print_table(result.front)
            print()
        print_baselines(result)
        print_signals(result)
    if given.json and (said := shortfall(result)):
        complain(said)
    if not found:
        complain(result.nothing)
    plot = given.plot or (result.folder.with_suffix(".png") if found and result.folder else None)
    if plot is not None:
        result.plot(plot)
    if not given.json:
        if plot is not None:
            print(f"picture: {plot}")
        if found and (row := _exported(result)):
            from searchkit.storage.urls import shown

            where = ["--storage", shown(given.storage)] if given.storage else []  # a password is the user's to fill in
            print("network:", shlex.join([*_program(), "export", result.name, row, "best", *where]))
    if result.stopped == "interrupted":
        return interrupted(given)
    return OK if found else FAILED


def _exported(result: Result) -> str:
    """What ``searchkit export`` writes of a search: row 0, or the best that ``--verify`` has trained; else nothing."""
    from searchkit.training.weights import delivered_path

    if result.folder is None:
        return ""
    for table, row in ((result.verified, "trial={}"), (result.front, "0")):
        number = "trial (record)" if "trial (record)" in table else "trial"
        for trial in table[number][:1] if len(table) else ():
            if delivered_path(result.folder, result.trials[int(trial)].code).exists():
                return row.format(trial)
    return ""


def print_compressed(result: Compressed, given: argparse.Namespace, files: Sequence[Path]) -> int:
    """Print the network that was given, those within the bounds, and the files that were written."""
    n = len(result.delivered)
    if given.json:
        told = {"study": result.name, "original": dict(result.original), "bounds": dict(result.bounds)}
        print_json(
            told
            | {
                "networks": result.delivered.to_dict("records"),
                "files": [str(file) for file in files],
                "comparisons": result.comparisons.to_dict("records"),
            }
        )
    else:
        print("the network that was given:", ", ".join(f"{name} {x:,.4g}" for name, x in result.original.items()))
        print("bounds:", ", ".join(f"{name} of at most {bound:,.4g}" for name, bound in result.bounds.items()))
        print_table(result.delivered) if n else print("no network within the bounds")
        if result.compared:
            print_table(result.comparisons, "others within the bounds:", numbered=False)
            print(f"rank correlation of the sums with random assemblies' accuracies: {result.rank_correlation:.2f}")
        if files:
            print("written and checked against the measured network:", *files, sep="\n  ")
    return OK if n else FAILED


def check_plot(given: argparse.Namespace) -> None:
    """Check before the search that the picture can be written, not after hours."""
    if given.plot is not None:
        from searchkit.results.plots import check_target

        check_target(given.plot)


def print_baselines(result: Result) -> None:
    """Print the best of the front beside the simple models on record, and whether it is worth more than they are."""
    if not result.simple:
        return
    score, tested, missing = score_of(result), result.tested, float("nan")
    of_test = tested.removeprefix("test_")
    network = best_network(result)
    columns = {} if network is None else {FRONT: [network.validation, network.test]}
    for row in result.simple:
        columns[row["model"]] = [row["validation"].get(score, missing), row["test"].get(of_test, missing)]
    lines = {name: ["-" if x is None or x != x else f"{x:.4g}" for x in pair] for name, pair in columns.items()}
    widths = [max(len(score), len(tested)), *(max(len(name), 8) for name in lines)]
    for cells in (["", *lines], [score, *(a for a, _ in lines.values())], [tested, *(b for _, b in lines.values())]):
        print("  ".join(text.rjust(width) for text, width in zip(cells, widths, strict=True)))
    for row in result.simple:
        if not row["validation"] and row["reason"]:
            print(f"{row['model']}: {row['reason']}")
    if said := shortfall(result):
        print(f"{said[0].upper()}{said[1:]}.")
    print()


def print_signals(result: Result) -> None:
    """Print how well the proxies predicted, and the candidates verified by training."""
    if len(result.signals):
        said = "what each proxy was worth (rank correlation with what was observed, its 95 % interval, its weight):"
        print_table(result.signals, said, numbered=False, digits=2)
        print()
    if len(result.verified):
        print_table(result.verified, "verified by training:")
        print()


def print_json(value: object, indent: int | None = 2) -> None:
    """JSON on standard output; NaN and infinite numbers become null. Without an indent: one line, written at once."""
    print(json.dumps(json_value(value), indent=indent), flush=indent is None)


def _program() -> list[str]:
    """How the program can be called: by its name where the shell finds it, else by its path."""
    if shutil.which("searchkit") is not None:
        return ["searchkit"]
    called = Path(sys.argv[0])
    return [str(called)] if called.name == "searchkit" else [sys.executable, "-m", "searchkit"]
