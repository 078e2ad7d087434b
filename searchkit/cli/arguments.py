"""The command line: searchkit run | compress | resume | show | export | list | repair."""

from __future__ import annotations

import argparse

from searchkit import plugins
from searchkit.costs.metrics import BUILT_IN
from searchkit.results.formats.table import FORMATS
from searchkit.surroundings import settled
from searchkit.version import __version__

_EPILOG = """\
exit codes: 0 done, 1 the search or an export failed, 2 bad input, 130 interrupted (what was found is kept)

examples:
  searchkit run                                      small networks for handwritten digits, in minutes
  searchkit run --space macro --data cifar-10 --constraint "params<=1e6" --objectives accuracy,latency_ms
  searchkit list                                     what was searched so far
  searchkit resume NAME --budget 100                 go on with one of them
  searchkit export NAME 0 model                      model.onnx, model.safetensors and model.json
  searchkit compress my_code:model --data data.npz --constraint "latency_ms<=50%" --export small
"""


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
    for name, text, add in (
        ("run", "search for networks; the same call again continues", _run_arguments),
        ("compress", "make a trained network of yours fit bounds on its cost", _compress_arguments),
        ("resume", "go on with a recorded search", _resume_arguments),
        ("score", "score candidates with proxies; nothing is trained", _score_arguments),
        ("show", "show the front of a recorded search", _show_arguments),
        ("export", "write a network of the front as ONNX or in another format, and as safetensors", _export_arguments),
        ("list", "list the recorded searches", _list_arguments),
        ("serve", "show every recorded search in the browser, as they run", _serve_arguments),
        ("repair", "save all undamaged lines of a journal file in a new file", _repair_arguments),
    ):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add(sub)
        if name != "score":
            sub.add_argument(
                "--storage",
                metavar="WHERE",
                help="folder, .journal file or database URL of the record (searchkit-runs/)",
            )
        sub.set_defaults(command=name)
    return made


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    strategies = ", ".join(plugins.names("strategy"))
    parser.add_argument("--strategy", default="auto", help=f"how to search: {strategies} (auto)")
    _space_arguments(parser)
    parser.add_argument(
        "--objectives", default=None, metavar="A,B",
        help=f"{', '.join(BUILT_IN)}, or proxies, separated by commas (accuracy,params)",
    )  # fmt: skip
    parser.add_argument(
        "--proxies",
        metavar="A,B",
        default="auto",
        help="judge candidates before they are trained: auto, where that pays; default, or names, see score; none",
    )
    parser.add_argument("--screen", type=int, metavar="N", help="candidates scored for each one trained (16)")
    parser.add_argument(
        "--earlier", action="append", default=[], metavar="NAME", help="a study to learn from; may be repeated"
    )
    parser.add_argument(
        "--evaluation", metavar="HOW", help="one-shot: judge networks by weights that all share, and train none"
    )
    parser.add_argument("--weights", metavar="FILE", help="what networks begin with: the state of a torch module")
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
        "--recipe", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the training, such as lr=0.05, or options of it, optimiser=sgd,adamw; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, help="candidates asked for at once and waited for (each as a worker frees)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (auto)")
    parser.add_argument(
        "--target", action="append", default=[], metavar="NAME=HOW",
        help='a device elsewhere, whose costs are latency_ms@NAME: a command such as "bench.sh {file}" that prints a '
        "number, ssh://user@host, or here; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--target-option", action="append", default=[], metavar="NAME.SETTING=VALUE",
        help="a setting of a target, such as phone.timeout=600 or phone.first=10; may be repeated",
    )  # fmt: skip
    parser.add_argument("--time-limit", type=float, metavar="S", help="seconds a candidate may take (no limit)")
    parser.add_argument("--dry-run", action="store_true", help="print how the time would be spent, and search nothing")
    _running_arguments(parser, budget=True)


def _space_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--space", help=f"what to search: {', '.join(plugins.names('space'))} (residual; tabular for tables)"
    )
    parser.add_argument(
        "--space-option", action="append", default=[], metavar="NAME=VALUE",
        help="an argument of the space, such as width=16; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--data",
        help="digits, fashion-mnist, cifar-10, a folder with one folder of pictures for each class, an .npz file with "
        "arrays X and y, or a .csv file, with --data-option target=COLUMN (digits)",
    )
    parser.add_argument(
        "--data-option", action="append", default=[], metavar="NAME=VALUE",
        help="an argument of searchkit.load_data, such as size=96, limit=1000, broken=skip or target=price; may be "
        "repeated",
    )  # fmt: skip


def _compress_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="MODULE:FUNCTION, a function of yours without arguments that returns the network")
    parser.add_argument(
        "--data", required=True,
        help="digits, fashion-mnist, cifar-10, or an .npz file with arrays X, as the network takes them, and y",
    )  # fmt: skip
    parser.add_argument(
        "--constraint", action="append", default=[], required=True, metavar="BOUND",
        help='a bound on params, macs, file_bytes or latency_ms, such as "latency_ms<=50%%" of its own; repeatable',
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, help="of fine-tuning; 0 for none (2)")
    parser.add_argument("--seconds", type=float, metavar="S", help="about the time of fine-tuning, in place of epochs")
    parser.add_argument(
        "--networks", type=int, default=1, metavar="N", help="networks within the bounds to fine-tune (1)"
    )
    parser.add_argument(
        "--recipe", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the fine-tuning, such as lr=0.01; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--baselines", action="store_true", help="make other networks within the bounds, too (several times as long)"
    )
    parser.add_argument("--name", help="name of the study (made from the call)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument("--device", default="auto", help="of fine-tuning: auto, cpu, cuda, cuda:1 (auto)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one per core, at most 4)")
    parser.add_argument(
        "--export", type=settled, metavar="PATH", help="write the best network: PATH.onnx, .safetensors and .json"
    )
    _json_argument(parser)


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
    parser.add_argument(
        "--value", action="append", type=float, metavar="V",
        help="what a --candidate is worth, such as its accuracy, one for each in the same order: how well signals rank "
        "them",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument("--split-seed", type=int, default=0, metavar="N", help="of the split of the data (0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (auto)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that score at the same time; they begin where they pay (1)"
    )
    _json_argument(parser)


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("--data", metavar="PATH", help="its folder or file, where that has moved")
    _running_arguments(parser, budget=False)


def _running_arguments(parser: argparse.ArgumentParser, budget: bool) -> None:
    default = "a time by the size of the data" if budget else "as it was begun with"
    parser.add_argument(
        "--budget", default=None, metavar="N", help=f"candidates to evaluate in all, or +N more ({default})"
    )
    parser.add_argument("--seconds", metavar="S", help="seconds that the search takes in all, or +S more")
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
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="say what simple models reach on the same data; takes about 10 s (yes)",
    )
    parser.add_argument(
        "--plot", type=settled, metavar="FILE", help="picture of the front, .png or .html (beside the record)"
    )
    _json_argument(parser)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("--history", action="store_true", help="every candidate, not only the front")
    parser.add_argument("--plot", type=settled, metavar="FILE", help="write a picture of the front, .png or .html")
    parser.add_argument("--report", type=settled, metavar="FILE", help="write a page that says what was found, .html")
    _json_argument(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("row", type=int, help="row of the front, from 0; see searchkit show")
    parser.add_argument("path", type=settled, help="where to: best makes best.onnx, best.safetensors and best.json")
    parser.add_argument(
        "--format",
        default="onnx",
        help=f"of the file beside best.safetensors and best.json: {', '.join(FORMATS)} (onnx)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "int8"),
        default="float32",
        help="int8: best.int8.onnx as well, with its accuracy, size and latency beside those in float32",
    )
    parser.add_argument(
        "--data",
        help="for int8 and other formats, of a study with data of your own: those of the search, a folder or an .npz "
        "file",
    )
    _json_argument(parser)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    _json_argument(parser)


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=8080, metavar="N", help="of this machine; 0: any that is free (8080)"
    )
    parser.add_argument("--open", action="store_true", help="open the pages in a browser")


def _repair_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study")
    _json_argument(parser)


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
