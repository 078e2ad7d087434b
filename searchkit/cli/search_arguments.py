"""The arguments of the commands that search: run, resume, score and compress."""

from __future__ import annotations

import argparse

from searchkit import plugins
from searchkit.cli.study_arguments import json_argument
from searchkit.costs.metrics import BUILT_IN
from searchkit.surroundings import settled


def run_arguments(parser: argparse.ArgumentParser) -> None:
    _config_argument(parser)
    parser.add_argument(
        "--save-config", metavar="FILE", help="write the options that are given here as a .toml file for --config"
    )
    strategies = ", ".join(plugins.names("strategy"))
    parser.add_argument("--strategy", default="auto", help=f"how to search: {strategies} (auto)")
    space_arguments(parser)
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
        "--start", action="append", default=[], metavar="WHAT",
        help="candidates to begin with: choices as a JSON object, the file of an export, or the name of a study, whose "
        "front is taken; may be repeated",
    )  # fmt: skip
    _weights_arguments(parser)
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
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be searched and how the time would be spent, and search nothing",
    )
    running_arguments(parser, budget=True)


def _weights_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--evaluation", metavar="HOW", help="one-shot: judge networks by weights that all share, and train none"
    )
    _shared_argument(parser, "--evaluation one-shot or --proxies one-shot")
    parser.add_argument("--weights", metavar="FILE", help="what networks begin with: the state of a torch module")
    parser.add_argument("--verify", type=int, metavar="N", help="of a search without training, train the N best")


def _shared_argument(parser: argparse.ArgumentParser, of: str) -> None:
    parser.add_argument(
        "--shared", action="append", default=[], metavar="NAME=VALUE",
        help=f"of {of}, a setting of the shared weights, such as policy=fair, epochs=50, share=slice, "
        "bounds.params=30000 or recipe.weight_decay=0; may be repeated",
    )  # fmt: skip


def _config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="read options from a .toml file; what is given here stands in their place"
    )


def space_arguments(parser: argparse.ArgumentParser) -> None:
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


def compress_arguments(parser: argparse.ArgumentParser) -> None:
    _config_argument(parser)
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
    json_argument(parser)


def score_arguments(parser: argparse.ArgumentParser) -> None:
    _config_argument(parser)
    space_arguments(parser)
    parser.add_argument(
        "--proxies",
        metavar="A,B",
        default="default",
        help=f"default, or of: {', '.join(plugins.names('proxy'))} (default)",
    )
    _shared_argument(parser, "--proxies one-shot")
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
    json_argument(parser)


def resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the study; see searchkit list")
    parser.add_argument("--data", metavar="PATH", help="its folder or file, where that has moved")
    running_arguments(parser, budget=False)


def running_arguments(parser: argparse.ArgumentParser, budget: bool) -> None:
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
    json_argument(parser)
