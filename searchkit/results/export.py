"""Export of a network of the front: it is rebuilt, written, loaded back, and compared with the measured network."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from searchkit.costs.int8_file import answers_of
from searchkit.costs.onnx_file import TOLERANCE, difference, names_of, why, write_onnx
from searchkit.errors import ExportError, SearchkitError, UnknownNameError
from searchkit.problem.trial import Trial
from searchkit.random_state import untouched
from searchkit.runtime.whole_files import written_whole
from searchkit.space import NetworkSpace
from searchkit.space.recipe_space import networks_of, settings_of
from searchkit.training.normalised import Normalised
from searchkit.training.weights import delivered_path, load_weights, own_state

if TYPE_CHECKING:
    from searchkit.results.result import Result

ENDINGS = (".onnx", ".safetensors", ".json")
INT8 = ".int8.onnx"
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


def export(result: Result, trial: Trial, path: Path, precision: str = "float32", data: object = None) -> list[Path]:
    """Write ``path.onnx``, ``path.safetensors`` and ``path.json``, and check both networks by loading them back.

    One of the three endings may be given with the path. With ``precision="int8"`` there is ``path.int8.onnx`` as well,
    made and judged on the study's data (:mod:`searchkit.results.int8`); what it is worth is in the .json file, and what
    speaks against it is logged.

    The ONNX network takes raw images ``images (n, c, h, w)`` float32, for any n, and returns ``logits (n, classes)``.
    For a table it takes ``features (n, f)``, and in regression it returns ``values (n,)``. The safetensors file has the
    state of :class:`Normalised`.

    The files appear when all of them are written and checked, the .json file last. After an error there are no new
    files, and files of an earlier export are unchanged.

    Raises:
        ExportError: the network cannot be exported in one of the formats, the outputs of an exported network differ
            from those of the measured one, a file cannot be written, or the rebuilt network has another number of
            parameters. The message names the network, the format and the cause. In int8: the network breaks a bound of
            the search on its score.
        UnknownNameError: there is no such precision.
        SearchkitError: the study has no networks, the weights of this one are missing, or int8 is asked for and the
            study's data are not known.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError.of("precision", precision, PRECISIONS)
    with untouched():
        return _exported(result, trial, path, precision == "int8", data)


def _exported(result: Result, trial: Trial, path: Path, int8: bool, given: object) -> list[Path]:
    stem = path.stem if path.suffix.lower() in ENDINGS else path.name
    targets = [path.with_name(stem + ending) for ending in (*[INT8] * int8, *ENDINGS)]
    with _named(result, trial, "rebuilt"):
        network = build_network(result, trial)
        assert isinstance(network, Normalised)
        n_params, measured = sum(parameter.numel() for parameter in network.parameters()), trial.values.get("params")
        if measured is not None and n_params != measured:
            raise ExportError(f"the rebuilt network has {n_params:,} parameters, the measured one {measured:,.0f}")
        images = _images(result, n=3)
        with torch.inference_mode():
            expected = network(images).numpy()
    data = None
    if int8:  # building a network, which is in this module too, needs none of what judging it loads
        from searchkit.results.int8 import write_and_judge
        from searchkit.results.recorded_data import data_of

        data = data_of(result, given)
    with _named(result, trial, f"written to {path.parent}"), written_whole(targets) as files:
        onnx, weights, described = files[-3:]
        least = float(network.target[1]) if network.regression else 1e-6
        with _named(result, trial, "exported as safetensors"):
            tensors, described_state = own_state(network)
            save_file(tensors, weights, described_state)
            _check("safetensors", expected, _from_safetensors(result, trial, weights, images), least)
        with _named(result, trial, "exported as ONNX"):
            write_onnx(network, images, onnx, *_names(result))
            got = answers_of(onnx, images.numpy())
            _check("onnx", expected, got, least)
            _check("onnx, given one example alone,", got[:1], answers_of(onnx, images[:1].numpy()), least)
        further: dict[str, Any] = {}
        if data is not None:
            with _named(result, trial, "exported in int8"):
                judged = write_and_judge(result, onnx, files[0], data)
            further["int8"] = {"file": files[0].name} | judged.described()
        further["sha256"] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files[:-1]}
        described.write_text(json.dumps(_description(result, trial, network) | further, indent=2) + "\n")
    if data is not None:
        log.info("%s", judged.line)
        for warning in judged.warnings:
            log.warning("%s", warning)
    return [*targets[-3:], *targets[:-3]]


@contextlib.contextmanager
def _named(result: Result, trial: Trial, done: str) -> Iterator[None]:
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


def _names(result: Result) -> tuple[str, str]:
    """Names of input and output."""
    return names_of(result.network_space.input_shape, "target" in result.context["data"])


def _images(result: Result, n: int) -> torch.Tensor:
    """Random inputs with the mean and deviation of the train part."""
    data, shape = result.context["data"], result.network_space.input_shape
    noise = torch.randn((n, *shape), generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(data[key]).reshape(1, -1, *[1] * (len(shape) - 1)) for key in ("mean", "std"))
    return noise * std + mean


def _from_safetensors(result: Result, trial: Trial, path: Path, images: torch.Tensor) -> np.ndarray[Any, Any]:
    fresh = build_network(result, trial, trained=False)
    load_weights(fresh, path)
    with torch.inference_mode():
        return np.asarray(fresh(images))


def _check(what: str, expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any], least: float = 1e-6) -> None:
    """Refuse outputs of another shape, or that differ by too much of their range, or of ``least`` if larger."""
    if got.shape != expected.shape:
        raise ExportError(f"the {what} export returns shape {got.shape}, the measured network {expected.shape}")
    differs = difference(expected, got, least)
    if not differs <= TOLERANCE:
        raise ExportError(f"the {what} export differs from the measured network by {differs:.2g} of its outputs' range")


def _description(result: Result, trial: Trial, network: nn.Module) -> dict[str, Any]:
    """The content of the .json file: choices, measured values, and how to use the files; JSON values."""
    from searchkit.version import __version__

    space = result.network_space
    inputs, outputs = _names(result)
    measured = dict(trial.values)
    if trial.number in result.test_accuracy:
        measured[result.tested] = result.test_accuracy[trial.number]
    return {
        "study": result.name,
        "candidate": trial.number,
        "space": {"name": space.name, "options": space.options},
        **_choices(space, trial),
        "measured": measured,
        "methods": trial.methods,
        "input": {
            "name": inputs,
            "shape": ["n", *space.input_shape],
            "scale": f"raw {'pixels' if inputs == 'images' else 'numbers'}; normalisation is inside",
        },
        "output": {"name": "logits", "shape": ["n", space.n_classes], "classes": result.classes}
        if outputs == "logits"
        else {"name": outputs, "shape": ["n"], "scale": "the unit of the targets in the data"},
        "normalisation": {key: result.context["data"][key] for key in ("mean", "std")},
        "made_with": {"searchkit": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def _choices(space: NetworkSpace, trial: Trial) -> dict[str, Any]:
    """What the candidate took: ``choices`` are those of its network, ``recipe`` the settings of its training."""
    networks = networks_of(space)
    chosen = [choice.labels[i] for choice, i in zip(networks.choices, trial.code, strict=False)]
    recipe = settings_of(space, trial.code)
    return {"choices": dict(zip(networks.names, chosen, strict=True))} | ({"recipe": recipe} if recipe else {})
