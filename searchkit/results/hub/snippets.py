"""The lines of a model card that load the network, which every export runs on the files that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from searchkit.costs.onnx_file import quiet
from searchkit.costs.task_scores import recorded_task
from searchkit.errors import ExportError
from searchkit.results.export_description import names_in
from searchkit.results.hub.loading import CONFIG, PROGRAM
from searchkit.space.inputs import kind_of

if TYPE_CHECKING:
    from torch import nn

    from searchkit.results.result import Result

HERE = 'folder = "."'


def with_searchkit(result: Result) -> str:
    """Lines that load the network by its space; inputs are zeros, in the shape of two examples."""
    name, answers = names_in(result)
    return f"""\
import searchkit
import torch

{HERE}  # of the files of this repository
network = searchkit.load_network(folder)  # a torch.nn.Module in evaluation mode
{name} = {_zeros(result)}
with torch.inference_mode():
    {answers} = network({name})
"""


def without_searchkit(result: Result) -> str:
    """Lines that load the program, with torch alone."""
    name, answers = names_in(result)
    labelled = recorded_task(result.context["data"]) == "classification"
    last = f'labels = [config["output"]["classes"][i] for i in {answers}.argmax(1)]\n' if labelled else ""
    return f"""\
import json
from pathlib import Path
import torch

{HERE}  # of the files of this repository
config = json.loads(Path(folder, "{CONFIG}").read_text())
network = torch.export.load(Path(folder, "{PROGRAM}")).module()
{name} = {_zeros(result)}
with torch.inference_mode():
    {answers} = network({name})
{last}"""


def network_of(lines: str, folder: Path) -> nn.Module:
    """The network that the lines of a card load from a folder.

    Raises:
        ExportError: they do not run.
    """
    names: dict[str, object] = {}
    try:
        with quiet():
            exec(compile(lines.replace(HERE, f"folder = {str(folder)!r}", 1), "<the model card>", "exec"), names)
    except Exception as error:
        raise ExportError(f"the lines of the model card do not run: {type(error).__name__}: {error}") from error
    network: nn.Module = names["network"]  # type: ignore[assignment]
    return network


def _zeros(result: Result) -> str:
    shape, (name, _) = result.network_space.input_shape, names_in(result)
    sizes = ", ".join(str(n) for n in (2, *shape))
    if kind_of(shape) == "tokens":
        return f"torch.zeros({sizes}, dtype=torch.long)  # yours: {name}, padded at the end with 0"
    scale = "raw pixels" if name == "images" else "as they are"
    return f"torch.zeros({sizes})  # yours: {scale}, float32; the normalisation is inside"
