"""The commands, from parsed arguments to an exit code."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from searchkit.cli.arguments import parser
from searchkit.cli.printing import (
    BAD_INPUT,
    FAILED,
    OK,
    check_plot,
    interrupted,
    print_baselines,
    print_compressed,
    print_json,
    print_result,
    print_signals,
)
from searchkit.cli.serving import serve_studies
from searchkit.cli.streams import any_text, output_of_ours
from searchkit.cli.values import (
    budget_of,
    listed,
    read_budget,
    read_candidate,
    read_constraints,
    read_data,
    read_executor,
    read_model,
    read_proxies,
    read_recipe,
    read_shares,
    read_space,
    read_targets,
    recorded_call,
    recorded_recipe,
)
from searchkit.errors import ExportError, SearchFailedError, SearchkitError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    # that a front is empty, or no better than simple models, is said with the result
    levels = {"searchkit": logging.INFO, "searchkit.front": logging.ERROR, "searchkit.baselines": logging.ERROR}
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        with output_of_ours(), any_text():
            return _run_command(given)
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


AS_WRITTEN = (
    "strategy", "screen", "verify", "weights", "evaluation", "batch", "device", "storage", "name", "seed", "epochs",
    "time_limit", "baselines",
)  # fmt: skip


def _run_command(given: argparse.Namespace) -> int:
    """Run one command, with its errors as sentences; returns the exit code."""
    try:
        _check_storage(getattr(given, "storage", None))
        code = COMMANDS[given.command](given)
        sys.stdout.flush()
    except (SearchFailedError, ExportError) as error:
        print(f"searchkit: {error}", file=sys.stderr)
        return FAILED
    except SearchkitError as error:
        print(f"searchkit: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return interrupted(given)
    except BrokenPipeError:  # a reader such as `head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code


def _run(given: argparse.Namespace) -> int:
    from searchkit.api import plan, run
    from searchkit.results.studies import load

    check_plot(given)
    arguments = {name: getattr(given, name) for name in AS_WRITTEN} | dict(
        space=read_space(given),
        **read_data(given),
        objectives=listed(given.objectives),
        proxies=read_proxies(given.proxies),
        earlier=[load(name, given.storage) for name in given.earlier],
        constraints=read_constraints(given.constraint),
        budget=read_budget(given),
        targets=read_targets(given.target, given.target_option),
        **read_executor(given),
        recipe=read_recipe(given.recipe),
    )
    if given.dry_run:
        print(*plan(**arguments).lines, sep="\n")
        return OK
    result = run(**arguments)
    return print_result(result, given)


def _compress(given: argparse.Namespace) -> int:
    from searchkit.compressing import compress

    result = compress(
        read_model(given.model),
        given.data,
        constraints=read_shares(given.constraint),
        epochs=given.epochs,
        seconds=given.seconds,
        networks=given.networks,
        recipe=read_recipe(given.recipe),
        **read_executor(given),
        storage=given.storage,
        name=given.name,
        seed=given.seed,
        device=given.device,
    )
    files = result.export(0, given.export) if given.export is not None and len(result.delivered) else []
    if given.baselines:
        result.compare()
    return print_compressed(result, given, files)


def _score(given: argparse.Namespace) -> int:
    from searchkit.proxy_layer.ranking import score

    candidates = [read_candidate(text) for text in given.candidate] or given.n
    table = score(
        read_space(given),
        candidates,
        proxies=listed(given.proxies),
        **read_data(given),
        device=given.device,
        seed=given.seed,
        workers=given.workers,
        values=given.value,
    )
    trust = table.attrs.get("trust")
    if given.json:
        rows = table.to_dict("records")
        print_json(rows if trust is None else {"candidates": rows, "trust": trust.to_dict("records")})
    else:
        print(table.to_string())
        if trust is not None:
            print(f"\n{trust.to_string(index=False, float_format='{:.3f}'.format)}")
    return OK


def _resume(given: argparse.Namespace) -> int:
    from searchkit.api import run
    from searchkit.data.loading import load_data
    from searchkit.data.reading import is_found
    from searchkit.results.studies import load, read_study
    from searchkit.storage.header_check import TO_RESUME, check_header

    check_plot(given)
    study = read_study(given.name, given.storage)
    check_header(study.name, study.place, study.header, TO_RESUME)
    context = study.header["context"]
    recorded = context.get("data", {})
    data = given.data or recorded.get("source") or recorded.get("name")
    if loaded := recorded.get("object") and recorded.get("loaded"):
        moved = {"data": given.data, "name": recorded["name"]} if given.data else {}
        data = load_data(**loaded | moved)
    call, learned_from, objects = recorded_call(study.header)
    function = "training" if "trained_by" in context else "evaluate"
    lacking = [
        what
        for what, there in (
            (f"its {'proxies' if len(objects) > 1 else 'proxy'} {' and '.join(objects)}", not objects),
            (f"its {function} function", context["kind"] == "networks" and function != "training"),
            ("its strategy", context["strategy"] is not None),
            ("its targets", None not in (call.get("targets") or {}).values()),
            ("its space", hasattr(study.space, "build")),
            ("its data", loaded or (data is not None and is_found(data))),
        )
        if not there
    ]
    if lacking:
        raise SearchkitError(
            f"study '{given.name}' was begun in Python with {' and '.join(lacking)} given as objects; "
            "call searchkit.run there again, as before, and it continues"
        )
    space, recipe = recorded_recipe(study.space, call.pop("recipe", None))
    result = run(
        context["strategy"],
        space=space,
        recipe=recipe,
        data=data,
        objectives=dict(study.header["search"]["objectives"]),
        constraints={name: tuple(ends) for name, ends in context["bounds"].items()},
        budget=budget_of(context["budget"], read_budget(given)),
        **read_executor(given),
        storage=given.storage,
        name=given.name,
        seed=study.header["search"].get("seed"),
        earlier=[load(earlier, given.storage) for earlier in learned_from],
        baselines=given.baselines,
        **call,
    )
    return print_result(result, given)


def _show(given: argparse.Namespace) -> int:
    from searchkit.results.studies import load

    check_plot(given)
    if given.report is not None:
        from searchkit.results.report.report import check_page

        check_page(given.report)
    result = load(given.name, given.storage)
    table = result.history if given.history else result.front
    if given.json:
        print_json(table.to_dict("records"))
    else:
        print(repr(result))
        print(table.to_string() if len(table) else "nothing on the front yet")
        print_baselines(result)
        print_signals(result)
    if given.plot:
        result.plot(given.plot)
    if given.report:
        result.report(given.report)
    return OK


def _export(given: argparse.Namespace) -> int:
    from searchkit.results.studies import load

    files = load(given.name, given.storage).export(
        given.row, given.path, format=given.format, precision=given.precision, data=given.data
    )
    if given.json:
        print_json([str(file) for file in files])
    else:
        print("written and checked against the measured network:", *files, sep="\n  ")
    return OK


def _list(given: argparse.Namespace) -> int:
    from searchkit.results.studies import list_studies
    from searchkit.storage.urls import shown

    table = list_studies(given.storage)
    if given.json:
        print_json(table.to_dict("records"))
    else:
        nothing = f"no studies in {shown(given.storage or 'searchkit-runs/')} yet"
        print(table.to_string(index=False) if len(table) else nothing)
    return OK


def _repair(given: argparse.Namespace) -> int:
    from searchkit.storage.paths import journal_path
    from searchkit.storage.repair import repair

    file = repair(given.name, given.storage)
    if given.json:
        print_json(str(file))
    else:
        print(f"all undamaged lines are in {file}")
        print(f"to continue the study, move {journal_path(given.storage, given.name)} away, and give {file} its name")
    return OK


def _check_storage(storage: str | None) -> None:
    if storage == "memory":
        raise SearchkitError(
            "a search in memory ends with the command, and nothing of it could be shown or exported; "
            "leave --storage out, or give a folder, a .journal file or a database URL"
        )


COMMANDS = {
    "run": _run,
    "compress": _compress,
    "resume": _resume,
    "score": _score,
    "show": _show,
    "export": _export,
    "list": _list,
    "repair": _repair,
    "serve": serve_studies,
}
