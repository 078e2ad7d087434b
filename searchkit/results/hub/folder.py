"""The export of a network as a folder for the Hub: written, loaded by the lines of its card, compared and scored."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from searchkit.costs.task_scores import recorded_task
from searchkit.data.frames import as_bytes
from searchkit.errors import SearchkitError
from searchkit.problem.trial import Trial
from searchkit.random_state import untouched
from searchkit.results.export import check, least_range, named, rebuilt, write_weights
from searchkit.results.export_description import SUMS, described, encoder_described, names_in, sums
from searchkit.results.file_scores import BATCH, judged
from searchkit.results.formats.table import FORMATS, Examples, Outputs
from searchkit.results.hub.card import card
from searchkit.results.hub.figures import Figures
from searchkit.results.hub.loading import CARD, CONFIG, PROGRAM, WEIGHTS, load_network
from searchkit.results.hub.snippets import network_of, with_searchkit, without_searchkit
from searchkit.results.recorded_data import data_of
from searchkit.results.studies import registered_space
from searchkit.runtime.whole_files import written_whole
from searchkit.storage.header import plain
from searchkit.training.normalised import Normalised

if TYPE_CHECKING:
    from searchkit.results.result import Result

ENCODER = "encoder.joblib"
log = logging.getLogger("searchkit")


def export_folder(result: Result, trial: Trial, folder: Path, given: object = None) -> list[Path]:
    """Write a network as a folder in the form of a repository of the Hub; see :mod:`searchkit.results.hub`.

    Both networks of the folder are loaded by the lines of its card and compared with the measured one, on random
    examples; the program also on the test part, or the validation part where there is none. The files appear when all
    of them are written and checked, the card last; after an error there is none.

    Args:
        folder: new, or empty but for names that begin with a dot, as a clone of an empty repository is.
        given: the data of the search, where they are not known.

    Returns:
        the files, the card first.

    Raises:
        SearchkitError: the folder holds something, or the data are not known.
        ExportError: a network of the folder answers otherwise, or cannot be written.
    """
    check_empty(folder)
    with untouched():
        return _exported(result, trial, folder, given)


def check_empty(folder: Path) -> None:
    """Refuse a path that is no folder, or a folder that holds something.

    Raises:
        SearchkitError: the message names what is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SearchkitError(f"format 'hub' writes a folder, and '{folder}' is a file: give another path")
    held = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if held:
        raise SearchkitError(f"'{folder}' is not empty, it holds '{held[0]}': give a new or an empty folder")


def _exported(result: Result, trial: Trial, folder: Path, given: object) -> list[Path]:
    network, images, expected = rebuilt(result, trial)
    data, space = data_of(result, given), plain(result.network_space.describe())
    by_name, encoder = registered_space(space) is not None, result.encoder
    names = [WEIGHTS, PROGRAM, *([ENCODER] if encoder is not None else []), CONFIG, CARD]
    targets = [folder / name for name in names]
    with named(result, trial, f"written to {folder}"), written_whole(targets) as files:
        staged = dict(zip(names, files, strict=True))
        with named(result, trial, "exported as safetensors"):
            write_weights(network, staged[WEIGHTS])
        with named(result, trial, f"exported as {FORMATS['torch'].title}"):
            FORMATS["torch"].writer.write(network, images, [staged[PROGRAM]], names_in(result))
        config = described(result, trial) | {
            "task": recorded_task(result.context["data"]),
            "searchkit": {"space": space, "code": trial.code.tolist()},
        }
        config["normalisation"]["target"] = result.context["data"].get("target")
        if encoder is not None:
            staged[ENCODER].write_bytes(as_bytes(encoder))
            config["encoder"] = encoder_described(encoder, ENCODER)
        _write_config(staged[CONFIG], config)  # which the lines of the card read
        with named(result, trial, "loaded by the lines of its model card"):
            alone = answering(network_of(without_searchkit(result), staged[CONFIG].parent))
            _check(network, images, expected, by_name, alone, staged, result)
            worth, right, got = judged(network, alone, [staged[PROGRAM]], data)
            check(f"hub, on the {worth.part} part,", right, got, least_range(network))
        config |= {"score": asdict(worth), SUMS: sums(files[:-2])}
        _write_config(staged[CONFIG], config)
        staged[CARD].write_text(card(Figures(result, trial, data, worth), config, by_name), encoding="utf-8")
    log.info("%s", worth.line("hub"))
    return targets[::-1]


def _check(
    network: Normalised,
    images: torch.Tensor,
    expected: Outputs,
    by_name: bool,
    alone: Callable[[Examples], Outputs],
    staged: Mapping[str, Path],
    result: Result,
) -> None:
    """Compare what both ways of loading answer with the measured network, on several examples and on one."""
    folder = staged[CONFIG].parent
    built = network_of(with_searchkit(result), folder) if by_name else load_network(folder, space=result.network_space)
    x, least = images.numpy(), least_range(network)
    for what, answers in (("safetensors", answering(built)), ("torch", alone)):
        check(what, expected, answers(x), least)
        check(f"{what}, given one example alone,", expected[:1], answers(x[:1]), least)


def answering(network: nn.Module) -> Callable[[Examples], Outputs]:
    """A function from inputs ``(n, ...)`` to the outputs of a network, in batches."""

    def run(x: Examples) -> Outputs:
        with torch.inference_mode():
            found = [network(torch.from_numpy(x[i : i + BATCH])).numpy() for i in range(0, len(x), BATCH)]
        return np.concatenate(found)

    return run


def _write_config(file: Path, config: Mapping[str, object]) -> None:
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
