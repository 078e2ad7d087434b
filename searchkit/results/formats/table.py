"""Names of the formats of an export: which files each has, and which packages it needs."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt

from searchkit.errors import SearchkitError, UnknownNameError

if TYPE_CHECKING:
    import torch
    from torch import nn

Examples = npt.NDArray[np.float32]  # int64 of tokens
Outputs = npt.NDArray[np.float32]
BESIDE = (".safetensors", ".json")  # the endings of the files that are written with every format


class Writer(Protocol):
    """What the module of a format has."""

    def write(self, network: nn.Module, example: torch.Tensor, files: Sequence[Path], names: tuple[str, str]) -> None:
        """Write a network.

        Args:
            network: in evaluation mode on the CPU; not changed.
            example: ``(n, ...)`` float32 inputs, or int64 tokens, two or more.
            files: where to, in the order of the format's endings; they have the same name but for these.
            names: of the input and the output, in a format that has names.
        """

    def opened(self, files: Sequence[Path]) -> Callable[[Examples], Outputs]:
        """A function from inputs ``(n, ...)`` to outputs ``(n, ...)``, by the format's own runtime on one thread."""


@dataclass(frozen=True)
class Format:
    """A format of an export.

    Attributes:
        title: what it is called in sentences.
        endings: of its files.
        module: of searchkit.results.formats.
        packages: what has to be there, by the names that are imported.
        extra: what installs them; empty where searchkit itself needs them.
        one_example: whether the file takes one example at a time: ``(1, ...)``, not ``(n, ...)``.
        folder: whether it is a folder of files with names of their own, which :mod:`searchkit.results.hub` writes; it
            has no endings and no module here.
    """

    title: str
    endings: tuple[str, ...]
    module: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    one_example: bool = False
    folder: bool = False

    @property
    def writer(self) -> Writer:
        """Its module, imported now, without the warnings of the packages that it imports."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cast(Writer, importlib.import_module(f"searchkit.results.formats.{self.module}"))


FORMATS = {
    "onnx": Format("ONNX", (".onnx",), "onnx_runtime"),
    "torch": Format("a torch.export program", (".pt2",), "torch_export"),
    "openvino": Format("OpenVINO", (".xml", ".bin"), "openvino_ir", ("openvino",), "openvino"),
    "executorch": Format("ExecuTorch", (".pte",), "executorch_xnnpack", ("executorch",), "executorch", True),
    "litert": Format("LiteRT", (".tflite",), "litert", ("litert_torch", "ai_edge_litert"), "litert", True),
    "hub": Format("a folder for the Hugging Face Hub", (), "", folder=True),
}


def format_of(name: object) -> Format:
    """The format of a name, whose packages are there; they are not imported.

    Raises:
        UnknownNameError: there is no such format; the message has the nearest name.
        SearchkitError: a package is missing; the message says how to install it.
    """
    found = FORMATS.get(name) if isinstance(name, str) else None
    if found is None:
        raise UnknownNameError.of("format", name, FORMATS)
    for package in found.packages:
        if find_spec(package) is None:
            raise SearchkitError(
                f"format '{name}' needs the package {package.replace('_', '-')}, which is not installed: "
                f'pip install "searchkit-nas[{found.extra}]"'
            )
    return found


def stem_of(path: Path, name: str) -> str:
    """The name of an export's files without their endings; one of these may be given with the path.

    Raises:
        SearchkitError: the path has the ending of another format.
    """
    ending = path.suffix.lower()
    if ending in (*FORMATS[name].endings, *BESIDE):
        return path.stem
    other = next((other for other, one in FORMATS.items() if ending in one.endings), None)
    if other is not None:
        raise SearchkitError(
            f"'{path.name}' ends as files of format '{other}' do, and format is '{name}': "
            f"give format='{other}', or a name without {path.suffix}"
        )
    return path.name
