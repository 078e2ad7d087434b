"""The command line: searchkit run | resume | show | export | list."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchkit import plugins
from searchkit.errors import ConstraintError, ExportError, SearchFailedError, SearchkitError, SpaceError
from searchkit.version import __version__

if TYPE_CHECKING:
    from searchkit.results.result import Result

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
exit codes: 0 done, 1 the search or an export failed, 2 bad input, 130 interrupted (what was found is kept)

examples:
  searchkit run                                      small networks for handwritten digits, in minutes
  searchkit run --space macro --data cifar-10 --constraint "params<=1e6" --objectives accuracy,latency_ms
  searchkit list                                     what was searched so far
  searchkit resume NAME --budget 100                 go on with one of them
  searchkit export NAME 0 model                      model.onnx, model.safetensors and model.json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("searchkit").setLevel(logging.INFO)
    try:
        _check_storage(getattr(given, "storage", None))
        code: int = given.command(given)
    except (SearchFailedError, ExportError) as error:
        print(f"searchkit: {error}", file=sys.stderr)
        return FAILED
    except SearchkitError as error:
        print(f"searchkit: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return _interrupted(given)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code


def _interrupted(given: argparse.Namespace) -> int:
    searching = given.command in (_run, _resume)
    print("searchkit: interrupted" + "; the same command continues" * searching, file=sys.stderr)
    return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="searchkit",
        description="Finds neural networks on a trade-off of accuracy and cost.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"searchkit {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, text, add, command in (
        ("run", "search for networks; the same call again continues", _run_arguments, _run),
        ("resume", "go on with a recorded search", _resume_arguments, _resume),
        ("score", "score candidates with proxies; nothing is trained", _score_arguments, _score),
        ("show", "show the front of a recorded search", _show_arguments, _show),
        ("export", "write a network of the front as ONNX and safetensors", _export_arguments, _export),
        ("list", "list the recorded searches", _list_arguments, _list),
    ):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add(sub)
        if command is not _score:
            sub.add_argument(
                "--storage",
                metavar="WHERE",
                help="folder, .journal file or database URL of the record (searchkit-runs/)",
            )
        sub.set_defaults(command=command)
    return parser


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    strategies = ", ".join(plugins.names("strategy"))
    parser.add_argument("--strategy", default="auto", help=f"how to search: {strategies} (auto)")
    _space_arguments(parser)
    parser.add_argument(
        "--objectives", default=None, metavar="A,B",
        help="accuracy, params, macs, peak_memory, latency_ms, or proxies, separated by commas (accuracy,params)",
    )  # fmt: skip
    parser.add_argument(
        "--proxies", metavar="A,B", help="judge candidates before they are trained: default, or names; see score"
    )
    parser.add_argument("--screen", type=int, metavar="N", help="candidates scored for each one trained (16)")
    parser.add_argument(
        "--earlier", action="append", default=[], metavar="NAME", help="a study to learn from; may be repeated"
    )
    parser.add_argument("--verify", type=int, metavar="N", help="of a search without training, train the N best")
    parser.add_argument(
        "--constraint", action="append", default=[], metavar="BOUND",
        help='a bound such as "params<=100000"; may be repeated',
    )  # fmt: skip
    parser.add_argument("--name", help="name of the study (made from the call)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument("--split-seed", type=int, default=0, metavar="N", help="of the split of the data (0)")
    parser.add_argument("--epochs", type=int, help="of each candidate's training (30)")
    parser.add_argument(
        "--batch", type=int, help="candidates asked for at once and waited for (each as a worker frees)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (auto)")
    parser.add_argument("--time-limit", type=float, metavar="S", help="seconds a candidate may take (no limit)")
    _running_arguments(parser, budget=40)


def _space_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--space", help=f"what to search: {', '.join(plugins.names('space'))} (a small nas-bench-201)")
    parser.add_argument(
        "--space-option", action="append", default=[], metavar="NAME=VALUE",
        help="an argument of the space, such as width=16; may be repeated",
    )  # fmt: skip
    parser.add_argument("--data", help="digits, fashion-mnist, cifar-10, or an .npz file with arrays X and y (digits)")


def _score_arguments(parser: argparse.ArgumentParser) -> None:
    _space_arguments(parser)
    parser.add_argument(
        "--proxies",
        metavar="A,B",
        default="default",
        help=f"default, or of: {', '.join(plugins.names('proxy'))} (default)",
    )
    parser.add_argument("--n", type=int, default=10, help="random candidates (10)")
    parser.add_argument(
        "--candidate", action="append", default=[], metavar="JSON",
        help="choices to score in place of random ones, a JSON object or the file of an export; may be repeated",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (auto)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that score at the same time; they begin where they pay (1)"
    )
    _json_argument(parser)


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("--data", metavar="FILE", help="its .npz file, where that has moved")
    _running_arguments(parser, budget=None)


def _running_arguments(parser: argparse.ArgumentParser, budget: int | None) -> None:
    text = (
        f"candidates to evaluate in all ({budget})"
        if budget
        else "candidates to evaluate in all (as it was begun with)"
    )
    parser.add_argument("--budget", type=int, default=None, metavar="N", help=text)
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so many seconds in all")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that train at the same time; 1 trains here (one per core, at most 4)",
    )
    parser.add_argument(
        "--executor",
        metavar="NAME",
        help="interleaved: several here at once, for a GPU; or elsewhere: ray, ray://head:10001",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="picture of the front, .png or .html (beside the record)"
    )
    _json_argument(parser)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("--history", action="store_true", help="every candidate, not only the front")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture of the front, .png or .html")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page that says what was found, .html")
    _json_argument(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("row", type=int, help="row of the front, from 0; see searchkit show")
    parser.add_argument("path", type=Path, help="where to: best makes best.onnx, best.safetensors and best.json")
    _json_argument(parser)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    _json_argument(parser)


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(given: argparse.Namespace) -> int:
    from searchkit.api import DEFAULT_BUDGET, run
    from searchkit.results.studies import load

    _check_plot(given)
    evaluations = given.budget if given.budget is not None or given.seconds is not None else DEFAULT_BUDGET
    result = run(
        given.strategy,
        space=_space(given),
        data=given.data,
        objectives=_names(given.objectives),
        proxies=_names(given.proxies),
        earlier=[load(name, given.storage) for name in given.earlier],
        screen=given.screen,
        verify=given.verify,
        constraints=_constraints(given.constraint),
        budget={"evaluations": evaluations, "seconds": given.seconds},
        batch=given.batch,
        device=given.device,
        **_executor(given),
        storage=given.storage,
        name=given.name,
        seed=given.seed,
        split_seed=given.split_seed,
        epochs=given.epochs,
        time_limit=given.time_limit,
    )
    return _report(result, given)


def _space(given: argparse.Namespace) -> Any:
    if not given.space_option:
        return given.space
    if given.space is None:
        raise SpaceError("--space-option needs --space")
    return plugins.load_space(given.space, **dict(_option(text) for text in given.space_option))


def _score(given: argparse.Namespace) -> int:
    from searchkit.proxy_layer.ranking import score

    candidates = [_candidate(text) for text in given.candidate] or given.n
    table = score(
        _space(given),
        candidates,
        proxies=_names(given.proxies),
        data=given.data,
        device=given.device,
        seed=given.seed,
        workers=given.workers,
    )
    if given.json:
        _print_json(table.to_dict("records"))
    else:
        print(table.to_string())
    return OK


def _candidate(text: str) -> dict[str, Any]:
    """Choices from JSON, or from the JSON file that an export wrote."""
    try:
        path = Path(text)
        found = json.loads(path.read_text() if text.endswith(".json") and path.exists() else text)
    except (OSError, json.JSONDecodeError) as error:
        raise SpaceError(f'--candidate is an object such as {{"width": 8}} or a file of it, not {text!r}') from error
    if not isinstance(found, dict):
        raise SpaceError(f'--candidate is an object such as {{"width": 8}}, not {text!r}')
    choices: dict[str, Any] = found.get("choices", found)
    return choices


def _resume(given: argparse.Namespace) -> int:
    from searchkit.api import run
    from searchkit.results.studies import load, read_study

    _check_plot(given)
    study = read_study(given.name, given.storage)
    context = study.header["context"]
    recorded = context.get("data", {})
    data = given.data or recorded.get("source") or recorded.get("name")
    call, learned_from, objects = _recorded_call(study.header)
    lacking = [
        what
        for what, there in (
            (f"its {'proxies' if len(objects) > 1 else 'proxy'} {' and '.join(objects)}", not objects),
            ("its evaluate function", context["kind"] == "networks"),
            ("its strategy", context["strategy"] is not None),
            ("its space", hasattr(study.space, "build")),
            ("its data", str(data).endswith(".npz") or data in ("digits", "fashion-mnist", "cifar-10")),
        )
        if not there
    ]
    if lacking:
        raise SearchkitError(
            f"study '{given.name}' was begun in Python with {' and '.join(lacking)} given as objects; "
            "call searchkit.run there again, as before, and it continues"
        )
    budget = dict(context["budget"])
    if given.budget is not None or given.seconds is not None:
        budget = {"evaluations": given.budget, "seconds": given.seconds}
    result = run(
        context["strategy"],
        space=study.space,
        data=data,
        objectives=dict(study.header["search"]["objectives"]),
        constraints={name: tuple(ends) for name, ends in context["bounds"].items()},
        budget=budget,
        **_executor(given),
        storage=given.storage,
        name=given.name,
        seed=study.header["search"]["seed"],
        earlier=[load(earlier, given.storage) for earlier in learned_from],
        **call,
    )
    return _report(result, given)


def _recorded_call(header: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """The recorded arguments of a call, the names of earlier studies, and of proxies that were given as objects.

    Before format 2 a record had proxies by name only, whatever they were.
    """
    context, call = header["context"], dict(header["context"]["call"])
    call.setdefault("split_seed", header["search"]["seed"])
    if "objects" in context:
        return call, list(context["earlier"]), list(context["objects"])
    names = call.get("proxies", [])
    learned_from = [name.removeprefix("earlier:") for name in names if name.startswith("earlier:")]
    known = plugins.names("proxy")
    call |= {"proxies": [name for name in names if name in known]} if names else {}
    return call, learned_from, [name for name in names if name not in known and not name.startswith("earlier:")]


def _show(given: argparse.Namespace) -> int:
    from searchkit.results.studies import load

    _check_plot(given)
    if given.report is not None:
        from searchkit.results.report.report import check_page

        check_page(given.report)
    result = load(given.name, given.storage)
    table = result.history if given.history else result.front
    if given.json:
        _print_json(table.to_dict("records"))
    else:
        print(repr(result))
        print(table.to_string() if len(table) else "nothing on the front yet")
        _print_signals(result)
    if given.plot:
        result.plot(given.plot)
    if given.report:
        result.report(given.report)
    return OK


def _export(given: argparse.Namespace) -> int:
    from searchkit.results.studies import load

    files = load(given.name, given.storage).export(given.row, given.path)
    if given.json:
        _print_json([str(file) for file in files])
    else:
        print("written and checked against the measured network:", *files, sep="\n  ")
    return OK


def _list(given: argparse.Namespace) -> int:
    from searchkit.results.studies import list_studies

    table = list_studies(given.storage)
    if given.json:
        _print_json(table.to_dict("records"))
    else:
        print(table.to_string(index=False) if len(table) else f"no studies in {given.storage or 'searchkit-runs/'} yet")
    return OK


def _report(result: Result, given: argparse.Namespace) -> int:
    """Print what was found, then draw it: a picture that fails costs nothing else."""
    from searchkit.results.diagnosis import why_nothing

    found = len(result.front) > 0
    if given.json:
        _print_json({"study": result.name, "stopped": result.stopped, "front": result.front.to_dict("records")})
    else:
        print(repr(result))
        if found:
            print(result.front.to_string(), end="\n\n")
        _print_signals(result)
    if not found:
        print(f"searchkit: {why_nothing(result)}", file=sys.stderr)
    plot = given.plot or (result.folder.with_suffix(".png") if found and result.folder else None)
    if plot is not None:
        result.plot(plot)
    if not given.json:
        if plot is not None:
            print(f"picture: {plot}")
        if found and result.folder:
            where = ["--storage", given.storage] if given.storage else []
            print("network:", shlex.join(["searchkit", "export", result.name, "0", "best", *where]))
    if result.stopped == "interrupted":
        return _interrupted(given)
    return OK if found else FAILED


def _check_storage(storage: str | None) -> None:
    if storage == "memory":
        raise SearchkitError(
            "a search in memory ends with the command, and nothing of it could be shown or exported; "
            "leave --storage out, or give a folder, a .journal file or a database URL"
        )


def _check_plot(given: argparse.Namespace) -> None:
    """Before the search: a picture that cannot be written is not found out after hours."""
    if given.plot is not None:
        from searchkit.results.plots import check_target

        check_target(given.plot)


def _print_signals(result: Result) -> None:
    """What the proxies were worth, and what the best they found came to."""
    if len(result.signals):
        print("what each proxy was worth (rank correlation with what was observed, its 95 % interval, its weight):")
        print(result.signals.to_string(index=False, float_format="{:.2f}".format, na_rep="-"), end="\n\n")
    if len(result.verified):
        print("verified by training:", result.verified.to_string(), sep="\n", end="\n\n")


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def _executor(given: argparse.Namespace) -> dict[str, Any]:
    """Where candidates are trained: in one process per core; 1 is here, without a pool."""
    if given.workers is not None and given.workers < 1:
        raise SearchkitError(f"--workers must be at least 1, not {given.workers}")
    if given.executor is not None:
        return {"executor": given.executor, "workers": given.workers}
    n = given.workers or min(4, _n_cores())
    return {"executor": None if n == 1 else n}


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _constraints(texts: Sequence[str]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for text in texts:
        found = re.fullmatch(r"\s*([\w-]+)\s*(<=|>=)\s*([-+.\w]+)\s*", text)
        try:
            if found is None:
                raise ValueError
            name, sign, value = found[1], found[2], float(found[3])
        except ValueError:
            raise ConstraintError(
                f'constraint {text!r} is not of the form "params<=100000" or "accuracy>=0.9"'
            ) from None
        low, high = bounds.get(name, (None, None))
        bounds[name] = (low, value) if sign == "<=" else (value, high)
    return bounds


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SpaceError(f"--space-option is NAME=VALUE, not {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _print_json(value: Any) -> None:
    """JSON on standard output; NaN, which JSON lacks, as null."""
    print(json.dumps(_plain(value), indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and value != value else value


if __name__ == "__main__":
    sys.exit(main())
