"""Export of a network of the front: it is rebuilt, written, loaded back, and compared with the measured network."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from searchkit.costs.onnx_file import TOLERANCE, difference, why
from searchkit.data.frames import FILE, as_bytes
from searchkit.errors import ExportError, SearchkitError, UnknownNameError
from searchkit.problem.trial import Trial
from searchkit.random_state import untouched
from searchkit.results.export_description import SUMS, described, encoder_described, names_in, sums, with_those_before
from searchkit.results.formats.table import BESIDE, FORMATS, Examples, Outputs, format_of, stem_of
from searchkit.runtime.whole_files import written_whole
from searchkit.space.inputs import noise
from searchkit.training.normalised import Normalised
from searchkit.training.weights import delivered_path, load_weights, own_state

if TYPE_CHECKING:
    from searchkit.data.data import Data
    from searchkit.results.result import Result

INT8 = ".int8.onnx"
ENCODER = f".{FILE}"
PRECISIONS = ("float32", "int8")
log = logging.getLogger("searchkit")


def build_network(result: Result, trial: Trial, trained: bool = True) -> nn.Module:
    """The network of a trial, in eval mode; with its trained weights if ``trained``.

    It is a :class:`Normalised`. In a study of a function (``evaluate=``), whose data searchkit does not know, it is the
    network that the space builds.

    Raises:
        SearchkitError: the file of weights is missing, or the study is one of a function, whose weights searchkit does
            not have.
    """
    space, data = result.network_space, result.context.get("data")
    if trained and data is None:
        raise SearchkitError(
            f"study '{result.name}' evaluated its candidates by your own function, so searchkit has no trained "
            "weights; build(i, trained=False) returns the network without them"
        )
    network = space.build(trial.code)
    if trained:
        path = delivered_path(result.folder or Path(), trial.code)
        if not path.exists():
            raise SearchkitError(
                f"the trained weights of candidate {trial.number} are not in {path.parent}; "
                "build(i, trained=False) returns the network without them"
            )
        load_weights(network, path)
    if data is None:
        return network.eval()
    n_axes = 1 + len(space.input_shape)
    return Normalised(network, data["mean"], data["std"], data.get("target"), n_axes).eval()


def export(
    result: Result, trial: Trial, path: Path, precision: str = "float32", data: object = None, format: str = "onnx"
) -> list[Path]:
    """Write ``path.onnx``, ``path.safetensors`` and ``path.json``, and check both networks by loading them back.

    One of the three endings may be given with the path. With ``precision="int8"`` there is ``path.int8.onnx`` as well,
    made and judged on the study's data (:mod:`searchkit.results.int8`); what it is worth is in the .json file, and what
    speaks against it is logged.

    The ONNX network takes raw images ``images (n, c, h, w)`` float32, for any n, and returns ``logits (n, classes)``.
    For a table it takes ``features (n, f)``, for signals ``signals (n, c, length)`` and for tokens ``tokens (n,
    length)`` int64; in regression it returns ``values (n,)``. The safetensors file has the state of
    :class:`Normalised`.

    In another format there are its files in place of ``path.onnx``: ``path.pt2`` in "torch", ``path.xml`` and
    ``path.bin`` in "openvino", ``path.pte`` in "executorch", ``path.tflite`` in "litert". The last two take one
    example, ``(1, ...)``. Each is run in its own runtime; its score on the test part (validation where there is none)
    and the network's are in the .json file, in ``formats``. Files that an earlier export of the same network wrote in
    other formats stay in the .json file. With "hub" the path is a folder (:mod:`searchkit.results.hub.folder`).

    The files appear when all of them are written and checked, the .json file last. After an error there are no new
    files, and files of an earlier export are unchanged. In a search on a data frame that was encoded there is
    ``path.encoder.joblib`` as well, :attr:`searchkit.Result.encoder` as joblib writes it.

    Raises:
        ExportError: the network cannot be exported in one of the formats, the outputs of an exported network differ
            from those of the measured one, a file cannot be written, or the rebuilt network has another number of
            parameters. The message names the network, the format and the cause. In int8: the network breaks a bound of
            the search on its score.
        UnknownNameError: there is no such precision or format.
        SearchkitError: the study has no networks, the weights of this one are missing, int8 or a format other than ONNX
            is asked for and the study's data are not known, or both are; a package of the format is not installed; or
            the path has the ending of another format.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError.of("precision", precision, PRECISIONS)
    kind = format_of(format)
    if precision == "int8" and format != "onnx":
        raise SearchkitError(f"precision 'int8' is there in format 'onnx' only, not in '{format}'")
    if kind.folder:
        from searchkit.results.hub.folder import export_folder

        return export_folder(result, trial, path, data)
    stem, int8, encodes = stem_of(path, format), precision == "int8", result.encoder is not None
    endings = (*[INT8] * int8, *[ENCODER] * encodes, *kind.endings, *BESIDE)
    targets = [path.with_name(stem + ending) for ending in endings]
    with untouched():
        return _exported(result, trial, targets, format, int8, data)


def _exported(result: Result, trial: Trial, targets: list[Path], format: str, int8: bool, given: object) -> list[Path]:
    network, images, expected = rebuilt(result, trial)
    data = None
    if int8 or format != "onnx":  # building a network, which is in this module too, needs none of what judging it loads
        from searchkit.results.recorded_data import data_of

        data = data_of(result, given)
    said, warnings = "", list[str]()
    with named(result, trial, f"written to {targets[0].parent}"), written_whole(targets) as files:
        further: dict[str, Any] = {}
        first = int8 + (result.encoder is not None)
        *written, weights, told = files[first:]
        if result.encoder is not None:
            files[int8].write_bytes(as_bytes(result.encoder))
            further["encoder"] = encoder_described(result.encoder, files[int8].name)
        least = least_range(network)
        with named(result, trial, "exported as safetensors"):
            write_weights(network, weights)
            check("safetensors", expected, _from_safetensors(result, trial, weights, images), least)
        with named(result, trial, f"exported as {FORMATS[format].title}"):
            writer = FORMATS[format].writer
            writer.write(network, images, written, names_in(result))
            outputs = writer.opened(written)
            got = outputs(images.numpy())
            check(format, expected, got, least)
            check(f"{format}, given one example alone,", got[:1], outputs(images[:1].numpy()), least)
            if data is not None and format != "onnx":
                said, entry = _judged(network, outputs, written, format, data, least)
                further["formats"] = {format: entry}
        if data is not None and int8:
            from searchkit.results.int8 import write_and_judge

            with named(result, trial, "exported in int8"):
                worth = write_and_judge(result, network, written[0], files[0], data)
            further["int8"] = {"file": files[0].name} | worth.described()
            said, warnings = worth.line, worth.warnings
        description = described(result, trial) | further | {SUMS: sums(files[:-1])}
        description = with_those_before(description, targets[-1], weights.name)
        told.write_text(json.dumps(description, indent=2) + "\n")
    if said:
        log.info("%s", said)
    for warning in warnings:
        log.warning("%s", warning)
    return [*targets[first:], *targets[:first]]


def rebuilt(result: Result, trial: Trial) -> tuple[Normalised, torch.Tensor, Outputs]:
    """The network of a trial with its trained weights, three examples for it, and its answers to them.

    Raises:
        ExportError: it cannot be built, or has another number of parameters than the one that was measured.
    """
    with named(result, trial, "rebuilt"):
        network = build_network(result, trial)
        assert isinstance(network, Normalised)
        n_params, measured = sum(parameter.numel() for parameter in network.parameters()), trial.values.get("params")
        if measured is not None and n_params != measured:
            raise ExportError(f"the rebuilt network has {n_params:,} parameters, the measured one {measured:,.0f}")
        images = _images(result, n=3)
        with torch.inference_mode():
            expected: Outputs = network(images).numpy()
        return network, images, expected


def write_weights(network: Normalised, file: Path) -> None:
    """Write the state of a network as safetensors."""
    tensors, described_state = own_state(network)
    save_file(tensors, file, described_state)


def least_range(network: Normalised) -> float:
    """The least range of outputs by which differences are judged: in regression, the deviation of the targets."""
    return float(network.target[1].min()) if network.regression else 1e-6


def _judged(
    network: Normalised,
    outputs: Callable[[Examples], Outputs],
    files: Sequence[Path],
    format: str,
    data: Data,
    least: float,
) -> tuple[str, dict[str, Any]]:
    """What a file in a format is worth: a sentence, and what the .json file says; its answers are compared, too."""
    from searchkit.results.file_scores import judged

    kind = FORMATS[format]
    worth, expected, got = judged(network, outputs, files, data)
    check(f"{format}, on the {worth.part} part,", expected, got, least)
    told = {"files": [file.name for file in files]} | asdict(worth)
    told["examples"] = "one at a time" if kind.one_example else "any number"
    names = [package.replace("_", "-") for package in kind.packages]
    return worth.line(format), told | {"made_with": {name: version(name) for name in names}}


@contextlib.contextmanager
def named(result: Result, trial: Trial, done: str) -> Iterator[None]:
    """Turn an exception raised inside into an ExportError that names the network, the step and the cause."""
    who = f"candidate {trial.number} of study '{result.name}'"
    try:
        yield
    except ExportError as error:
        if who in str(error):
            raise
        raise ExportError(f"{who}: {error}") from error
    except SearchkitError:
        raise
    except Exception as error:
        raise ExportError(f"{who} cannot be {done}: {why(error)}") from error


def _images(result: Result, n: int) -> torch.Tensor:
    """Random inputs with the mean and deviation of the train part; random tokens."""
    data, shape = result.context["data"], result.network_space.input_shape
    drawn = noise(n, shape, torch.Generator().manual_seed(0))
    if not drawn.is_floating_point():
        return drawn
    mean, std = (torch.tensor(data[key]).reshape(1, -1, *[1] * (len(shape) - 1)) for key in ("mean", "std"))
    return drawn * std + mean


def _from_safetensors(result: Result, trial: Trial, path: Path, images: torch.Tensor) -> np.ndarray[Any, Any]:
    fresh = build_network(result, trial, trained=False)
    load_weights(fresh, path)
    with torch.inference_mode():
        return np.asarray(fresh(images))


def check(what: str, expected: Outputs, got: Outputs, least: float = 1e-6) -> None:
    """Refuse outputs of another shape, or that differ by too much of their range, or of ``least`` if larger."""
    if got.shape != expected.shape:
        raise ExportError(f"the {what} export returns shape {got.shape}, the measured network {expected.shape}")
    differs = difference(expected, got, least)
    if not differs <= TOLERANCE:
        raise ExportError(f"the {what} export differs from the measured network by {differs:.2g} of its outputs' range")
