"""What leaves is what was measured: the winning network rebuilt, exported, and checked against its file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from searchkit.errors import ExportError, SearchkitError
from searchkit.evaluation import load_weights, own_state, weights_path
from searchkit.trial import Trial

if TYPE_CHECKING:
    from searchkit.result import Result

ENDINGS = (".onnx", ".safetensors", ".json")
TOLERANCE = 1e-3  # largest difference of logits, relative to their spread, between the network and its export


class Normalised(nn.Module):
    """A network that takes raw images: it subtracts the mean and divides by the deviation of the training pixels."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``(n, classes)`` of raw images ``(n, c, h, w)``, bytes or floats."""
        logits: torch.Tensor = self.network((x.to(self.mean.dtype) - self.mean) / self.std)
        return logits


def build_network(result: Result, trial: Trial, trained: bool = True) -> Normalised:
    """The network of a trial, in eval mode; with its weights where ``trained``.

    Raises:
        SearchkitError: the weights are not where the search kept them.
    """
    network = result.network_space.build(trial.code)
    if trained:
        path = weights_path(result.folder or Path(), trial.code)
        if not path.exists():
            raise SearchkitError(
                f"the trained weights of candidate {trial.number} are not in {path.parent}; "
                "build(i, trained=False) gives the network without them"
            )
        load_weights(network, path)
    described = result.context["data"]
    return Normalised(network, described["mean"], described["std"]).eval()


def export(result: Result, trial: Trial, path: Path) -> list[Path]:
    """Write ``path.onnx``, ``path.safetensors`` and ``path.json``, and check both networks by loading them back.

    One of the three endings may be given with the path.

    The ONNX network takes raw images ``images (n, c, h, w)`` float32, any n, and returns ``logits (n, classes)``. The
    safetensors file holds the state of :class:`Normalised`.

    Raises:
        ExportError: a file does not give the measured network's outputs, or the network is no longer of its size.
    """
    network = build_network(result, trial)
    n_params = sum(parameter.numel() for parameter in network.parameters())
    if n_params != trial.values["params"]:
        raise ExportError(f"the network has {n_params:,} parameters, the measured one {trial.values['params']:,.0f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.stem if path.suffix.lower() in ENDINGS else path.name
    onnx, weights, described = (path.with_name(stem + ending) for ending in ENDINGS)
    images = _images(result, n=3)
    with torch.inference_mode():
        expected = network(images).numpy()
    save_file(own_state(network), weights)
    _check("safetensors", expected, _from_safetensors(result, trial, weights, images))
    _write_onnx(network, images, onnx)
    _check("onnx", expected, _from_onnx(onnx, images))
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (onnx, weights)}
    described.write_text(json.dumps(_description(result, trial, network) | {"sha256": files}, indent=2) + "\n")
    return [onnx, weights, described]


def _images(result: Result, n: int) -> torch.Tensor:
    """Random images with the training pixels' mean and deviation."""
    data = result.context["data"]
    noise = torch.randn((n, *result.network_space.input_shape), generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(data[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
    return noise * std + mean


def _from_safetensors(result: Result, trial: Trial, path: Path, images: torch.Tensor) -> np.ndarray[Any, Any]:
    fresh = build_network(result, trial, trained=False)
    fresh.load_state_dict(load_file(path))
    with torch.inference_mode():
        return np.asarray(fresh(images))


def _write_onnx(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    with _quiet():
        torch.onnx.export(
            network,
            (images,),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"x": {0: torch.export.Dim.DYNAMIC}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _from_onnx(path: Path, images: torch.Tensor) -> np.ndarray[Any, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    whole = session.run(None, {"images": images.numpy()})[0]
    single = session.run(None, {"images": images[:1].numpy()})[0]
    _check("onnx with one image", whole[:1], single)
    return np.asarray(whole)


def _check(what: str, expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> None:
    if got.shape != expected.shape:
        raise ExportError(f"the {what} export returns shape {got.shape}, the measured network {expected.shape}")
    difference = float(np.abs(got - expected).max() / max(float(np.ptp(expected)), 1e-6))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"the {what} export differs from the measured network by {difference:.2g} of its outputs' range"
        )


def _description(result: Result, trial: Trial, network: nn.Module) -> dict[str, Any]:
    """The choices, what was measured, and how to use the files; JSON values."""
    from searchkit import __version__

    space = result.network_space
    measured = dict(trial.values)
    if trial.number in result.test_accuracy:
        measured["test_accuracy"] = result.test_accuracy[trial.number]
    return {
        "study": result.name,
        "candidate": trial.number,
        "space": {"name": space.name, "options": space.options},
        "choices": dict(
            zip(space.names, (c.labels[i] for c, i in zip(space.choices, trial.code, strict=True)), strict=True)
        ),
        "measured": measured,
        "methods": trial.methods,
        "input": {"name": "images", "shape": ["n", *space.input_shape], "scale": "raw pixels; normalisation is inside"},
        "output": {"name": "logits", "shape": ["n", space.n_classes], "classes": result.classes},
        "normalisation": {key: result.context["data"][key] for key in ("mean", "std")},
        "made_with": {"searchkit": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own progress lines and deprecation notes are not the user's concern."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
