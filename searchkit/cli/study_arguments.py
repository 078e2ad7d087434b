"""The arguments of the commands about recorded studies, and of those that are evaluated elsewhere."""

from __future__ import annotations

import argparse

from searchkit.cli.completion import SHELLS
from searchkit.results.formats.table import FORMATS
from searchkit.surroundings import settled


def show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("--history", action="store_true", help="every candidate, not only the front")
    parser.add_argument(
        "--watch", action="store_true", help="show the front as it changes, until no search writes the study any more"
    )
    parser.add_argument("--plot", type=settled, metavar="FILE", help="write a picture of the front, .png or .html")
    parser.add_argument("--report", type=settled, metavar="FILE", help="write a page that says what was found, .html")
    json_argument(parser)


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="names of two or more studies; see searchkit list")
    parser.add_argument("--report", type=settled, metavar="FILE", help="write a page that has them all, .html")
    json_argument(parser)


def export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument(
        "row",
        type=row_or_trial,
        help="row of the front, from 0, see searchkit show; or trial=N: candidate N, such as a verified one",
    )
    parser.add_argument("path", type=settled, help="where to: best makes best.onnx, best.safetensors and best.json")
    parser.add_argument(
        "--format",
        default="onnx",
        help=f"of the file beside best.safetensors and best.json: {', '.join(FORMATS)} (onnx); hub: best is a folder",
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
    json_argument(parser)


def row_or_trial(text: str) -> tuple[int, int | None]:
    """What ``row`` of an export says: a row of the front; or, after "trial=", the number of a candidate.

    Raises:
        argparse.ArgumentTypeError: it is no number.
    """
    try:
        return (0, int(text.removeprefix("trial="))) if text.startswith("trial=") else (int(text), None)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a row is a number, or the number of a candidate, such as trial=12, not {text!r}"
        ) from None


def list_arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=8080, metavar="N", help="of this machine; 0: any that is free (8080)"
    )
    parser.add_argument("--open", action="store_true", help="open the pages in a browser")


def rm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="names of studies; see searchkit list")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    json_argument(parser)


def suggest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study, which begins with its first call; later its name is enough")
    parser.add_argument(
        "--space", metavar="FILE",
        help='of a new study: a .json or .toml file of parameters, or an object such as {"lr": {"float": [1e-4, 0.1], '
        '"log": true}, "kind": ["a", "b"]}, or a registered space',
    )  # fmt: skip
    parser.add_argument(
        "--objectives", metavar="A:min,B:max", help="of a new study: names with their directions, such as loss:min"
    )
    parser.add_argument(
        "--constraint", action="append", default=[], metavar="BOUND",
        help='of a new study: a bound such as "seconds<=2"; may be repeated',
    )  # fmt: skip
    parser.add_argument("--strategy", help="of a new study: how to search (auto)")
    parser.add_argument("--budget", type=int, metavar="N", help="evaluations that the strategy reckons with (100)")
    parser.add_argument("--seed", type=int, help="of everything random (0)")
    parser.add_argument("--n", type=int, default=1, help="candidates (1)")
    parser.add_argument(
        "--pending", action="store_true", help="those that were suggested and not told yet, in place of new ones"
    )


def tell_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study")
    parser.add_argument(
        "candidate", help='its number; - reads objects such as {"candidate": 0, "values": {"loss": 0.3}} from input'
    )
    parser.add_argument("values", nargs="*", metavar="NAME=NUMBER", help="the value of each objective; or one object")
    parser.add_argument("--failed", metavar="REASON", help="its evaluation failed, in place of values")
    parser.add_argument("--seconds", type=float, metavar="S", help="that its evaluation took")


def completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help='bash: put eval "$(searchkit completion bash)" into ~/.bashrc')


def repair_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study")
    json_argument(parser)


def json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
