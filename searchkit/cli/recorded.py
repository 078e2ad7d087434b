"""The commands about recorded searches: show, compare, export, list, rm, repair, and completion of their names."""

from __future__ import annotations

import argparse
import sys

from searchkit.cli.completion import script
from searchkit.cli.printing import BAD_INPUT, OK, check_plot, print_baselines, print_json, print_signals
from searchkit.cli.tables import complain, print_table
from searchkit.errors import SearchkitError, plural
from searchkit.results.terminals import is_terminal


def show(given: argparse.Namespace) -> int:
    """Print the front of a study, once or as it changes."""
    from searchkit.results.studies import load

    check_plot(given)
    if given.report is not None:
        from searchkit.results.report.report import check_page

        check_page(given.report)
    if given.watch:
        from searchkit.cli.watching import watch

        return watch(given)
    result = load(given.name, given.storage)
    table = result.history if given.history else result.front
    if given.json:
        print_json(table.to_dict("records"))
    else:
        print(repr(result))
        print_table(table) if len(table) else print("nothing on the front yet")
        print_baselines(result)
        print_signals(result)
    if given.plot:
        result.plot(given.plot)
    if given.report:
        result.report(given.report)
    return OK


def compare(given: argparse.Namespace) -> int:
    """Print a table of studies beside each other; write a report that has them all."""
    from searchkit.results.comparing import compare as compared
    from searchkit.results.studies import load

    if given.report is not None:
        from searchkit.results.report.report import check_page

        check_page(given.report)
    if len(set(given.names)) < len(given.names):
        raise SearchkitError("a study is compared with others: give each name once")
    results = [load(name, given.storage) for name in given.names]
    table = compared(results)
    if given.json:
        print_json(table.to_dict("records"))
    else:
        print_table(table, numbered=False)
    if given.report is not None:
        results[0].report(given.report, beside=results[1:])
    return OK


def export(given: argparse.Namespace) -> int:
    """Write a network of the front, or that of another candidate."""
    from searchkit.results.studies import load

    row, trial = given.row
    files = load(given.name, given.storage).export(
        row, given.path, format=given.format, trial=trial, precision=given.precision, data=given.data
    )
    if given.json:
        print_json([str(file) for file in files])
    else:
        print("written and checked against the measured network:", *files, sep="\n  ")
    return OK


def list_all(given: argparse.Namespace) -> int:
    """Print the studies of a storage."""
    from searchkit.results.studies import list_studies
    from searchkit.storage.urls import shown

    table = list_studies(given.storage)
    if given.json:
        print_json(table.to_dict("records"))
    elif len(table):
        print_table(table, numbered=False)
    else:
        print(f"no studies in {shown(given.storage or 'searchkit-runs/')} yet")
    return OK


def rm(given: argparse.Namespace) -> int:
    """Remove studies, after a question on a terminal."""
    from searchkit.results.removal import belongings_of, remove
    from searchkit.storage.writers import Locks

    studies = [belongings_of(name, given.storage) for name in dict.fromkeys(given.names)]
    if not given.yes:
        for one in studies:
            there = f" and {one.size / 1e6:.1f} MB of networks and pictures" if one.files else ""
            print(f"{one.name}: {plural(one.candidates, 'candidate')} in {one.place}{there}", file=sys.stderr)
        if not is_terminal(sys.stdin):
            complain("nothing is removed without --yes where nobody can be asked")
            return BAD_INPUT
        print("remove for good? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was removed", file=sys.stderr)
            return OK
    for one in studies:  # none is removed where one cannot be
        if Locks.now().is_written(given.storage, one.name):
            raise SearchkitError(
                f"study '{one.name}' is being written by a search: wait for it, or stop it; nothing was removed"
            )
    removed: list[str] = []
    for one in studies:
        try:
            removed += map(str, remove(one.name, given.storage))
        except SearchkitError as error:
            raise SearchkitError(f"{error}; removed were: {', '.join(removed) or 'none'}") from error
    if given.json:
        print_json(removed)
    else:
        print("removed:", *(removed or [one.name for one in studies]), sep="\n  ")
    return OK


def repair(given: argparse.Namespace) -> int:
    """Write a new journal file with all undamaged lines."""
    from searchkit.storage.paths import journal_path
    from searchkit.storage.repair import repair as repaired

    file = repaired(given.name, given.storage)
    if given.json:
        print_json(str(file))
    else:
        print(f"all undamaged lines are in {file}")
        print(f"to continue the study, move {journal_path(given.storage, given.name)} away, and give {file} its name")
    return OK


def completion(given: argparse.Namespace) -> int:
    """Print what a shell has to run."""
    print(script(given.shell))
    return OK
