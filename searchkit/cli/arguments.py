"""The command line: its commands, and the parser of their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from searchkit.cli import mcp, search_arguments, study_arguments
from searchkit.version import __version__

EXIT_CODES = (
    "exit codes: 0 done, 1 the search or an export failed, 2 bad input, 130 interrupted (what was found is kept)"
)
_EPILOG = f"""\
{EXIT_CODES}

examples:
  searchkit run                                      small networks for handwritten digits, in minutes
  searchkit run --space macro --data cifar-10 --constraint "params<=1e6" --objectives accuracy,latency_ms
  searchkit run --config study.toml --dry-run        what a search would do, and how long that takes
  searchkit list                                     what was searched so far
  searchkit resume NAME --budget 100                 go on with one of them
  searchkit show NAME --watch                        its front, while it is searched
  searchkit serve                                    all of them, in the browser
  searchkit export NAME 0 model                      model.onnx, model.safetensors and model.json
  searchkit compress my_code:model --data data.npz --constraint "latency_ms<=50%" --export small
  searchkit suggest NAME --space space.json --objectives loss:min, then: searchkit tell NAME 0 loss=0.3
  eval "$(searchkit completion bash)"                completion of options and names of studies
"""

Add = Callable[[argparse.ArgumentParser], None]
COMMANDS: tuple[tuple[str, str, Add], ...] = (
    ("run", "search for networks; the same call again continues", search_arguments.run_arguments),
    ("compress", "make a trained network of yours fit bounds on its cost", search_arguments.compress_arguments),
    ("resume", "go on with a recorded search", search_arguments.resume_arguments),
    ("score", "score candidates with proxies; nothing is trained", search_arguments.score_arguments),
    ("suggest", "ask for candidates that you evaluate elsewhere", study_arguments.suggest_arguments),
    ("tell", "tell what candidates that were suggested are worth", study_arguments.tell_arguments),
    ("show", "show the front of a recorded search", study_arguments.show_arguments),
    ("compare", "compare recorded searches with the same objectives", study_arguments.compare_arguments),
    (
        "export",
        "write a network of the front as ONNX or in another format, and as safetensors",
        study_arguments.export_arguments,
    ),
    ("list", "list the recorded searches", study_arguments.list_arguments),
    ("serve", "show every recorded search in the browser, as they run", study_arguments.serve_arguments),
    ("rm", "remove recorded searches with their networks", study_arguments.rm_arguments),
    ("repair", "save all undamaged lines of a journal file in a new file", study_arguments.repair_arguments),
    ("mcp", "serve these commands to an assistant as tools, on standard input and output", mcp.arguments),
    ("completion", "print what makes a shell complete commands", study_arguments.completion_arguments),
)
WITHOUT_RECORD = ("score", "completion")


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments; ``command`` of what it parses is the name of the command."""
    made = argparse.ArgumentParser(
        prog="searchkit",
        description="Finds neural networks on a trade-off of accuracy and cost.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"searchkit {__version__}")
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, text, add in COMMANDS:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EXIT_CODES)
        add(sub)
        if name not in WITHOUT_RECORD:
            sub.add_argument(
                "--storage",
                metavar="WHERE",
                help="folder, .journal file or database URL of the record (searchkit-runs/)",
            )
        sub.set_defaults(command=name)
    return made
