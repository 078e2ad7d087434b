"""The weights of trained networks, in one safetensors file per candidate."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from searchkit.errors import CandidateError, WritingError, first_line_said, message_of
from searchkit.runtime.whole_files import whole_file
from searchkit.types import Codes


def weights_path(folder: Path, code: Codes) -> Path:
    """The file of a candidate's trained weights."""
    digest = hashlib.blake2b(np.ascontiguousarray(code, np.int64).tobytes(), digest_size=8).hexdigest()
    return folder / f"{digest}.safetensors"


def final_path(folder: Path, code: Codes) -> Path:
    """The file of the weights of a candidate's final training."""
    return weights_path(folder, code).with_suffix(".final.safetensors")


def delivered_path(folder: Path, code: Codes) -> Path:
    """The file of the weights that a candidate's network has: those of its final training where there was one."""
    final = final_path(folder, code)
    aside = aside_of(final)
    return aside if aside.exists() else final if final.exists() else weights_path(folder, code)


def aside_of(final: Path) -> Path:
    """Where the weights of an earlier final training are until a new one is on record."""
    return final.with_suffix(".earlier")


def keep_aside(final: Path) -> None:
    """Keep the weights of an earlier final training, if there are any, before a new one is made.

    Those that a killed process has kept are the ones on record, and stay.
    """
    aside = aside_of(final)
    if not aside.exists() and final.exists():
        with whole_file(aside) as partial:
            shutil.copyfile(final, partial)


State = tuple[dict[str, torch.Tensor], dict[str, str] | None]  # tensors, and the metadata of their file


def save_weights(state: State, path: Path) -> None:
    """Write a network's state, as :func:`own_state` gives it; the file appears only when it is complete.

    Raises:
        WritingError: it cannot be written.
    """
    tensors, described = state
    with writing(path) as partial:
        save_file(tensors, partial, described)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary file to write inside, which is renamed to ``path`` at the end; its folder is created.

    Raises:
        WritingError: the operating system or safetensors raised an error inside; the unfinished file is removed.
    """
    try:
        with whole_file(path) as partial:
            yield partial
    except (OSError, SafetensorError) as error:
        if isinstance(error, SafetensorError) and "os error" not in str(error):
            raise  # the format cannot hold this state, which is the network's fault
        raise not_written(path, error) from error


def not_written(path: Path, error: Exception) -> WritingError:
    """The error for a file of trained weights that cannot be written or removed."""
    return WritingError(
        f"the trained weights '{path}' cannot be written ({type(error).__name__}: {first_line_said(error)}): make "
        "room, or make the folder writable. What is recorded is intact, and the same call continues from there"
    )


EXTRA = "extra_state"  # key in a file's metadata: the entries of the network's state that are no tensors


def own_state(network: nn.Module) -> State:
    """A copy of a network's state in which tied weights have separate memory, and its file's metadata, or None.

    Entries that are no tensors, which a module's ``get_extra_state`` returned, are described in the metadata.

    Raises:
        CandidateError: such an entry has a value that JSON and tensors cannot represent.
    """
    tensors: dict[str, torch.Tensor] = {}
    others: dict[str, Any] = {}
    for name, value in network.state_dict().items():
        try:
            others[name] = _described(value, name, tensors)
        except TypeError as error:
            raise CandidateError(
                f"the state '{name}' of the network cannot be saved: {error}. get_extra_state has to return tensors, "
                "numbers, strings, or dictionaries and lists of these"
            ) from None
    others = {name: value for name, value in others.items() if value != {"tensor": name}}
    return tensors, {EXTRA: json.dumps(others)} if others else None


def load_weights(network: nn.Module, path: Path) -> None:
    """Load what :func:`save_weights` wrote.

    Raises:
        CandidateError: the network has parameters of other names or shapes.
    """
    with safe_open(path, framework="pt") as file:
        others = json.loads((file.metadata() or {}).get(EXTRA, "{}"))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not iterable
    found = {name: _read(value, tensors) for name, value in others.items()}
    inside = {name for value in others.values() for name in _tensors_in(value)}
    try:
        network.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in inside} | found)
    except RuntimeError as error:
        raise CandidateError(
            f"the trained weights '{path}' are not of the network that the space builds: "
            + " ".join(message_of(error).partition("\n")[2].split())
        ) from error


def check_names(built: Iterable[str], network: nn.Module) -> None:
    """Refuse a network that has other parameters and buffers than when it was built: its weights could not be loaded.

    Args:
        built: names in its state when it was built.

    Raises:
        CandidateError: the message names one.
    """
    before, after = dict.fromkeys(built), network.state_dict()
    changed = [f"'{name}' is new" for name in after if name not in before]
    changed += [f"'{name}' is missing" for name in before if name not in after]
    if changed:
        raise CandidateError(
            f"the network's state has other names after training than when it was built: {changed[0]}; register "
            "parameters and buffers in __init__, with persistent=False what need not be kept"
        )


def _described(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """The value as JSON: a tensor becomes its name and is added to ``tensors``; a container becomes ``{type: items}``.

    Raises:
        TypeError: a value of another kind.
    """
    if isinstance(value, torch.Tensor):
        tensors[name] = value.clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        return {type(value).__name__: [_described(part, f"{name}.{i}", tensors) for i, part in enumerate(value)]}
    if type(value) in (dict, OrderedDict):
        pairs = enumerate(value.items())
        return {
            "dict": [[_described(key, name, {}), _described(part, f"{name}.{i}", tensors)] for i, (key, part) in pairs]
        }
    raise TypeError(f"it holds a {type(value).__qualname__}")


def _read(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The value that :func:`_described` turned into JSON."""
    if not isinstance(value, dict):
        return value
    kind, held = next(iter(value.items()))
    if kind == "tensor":
        return tensors[held]
    if kind == "dict":
        return {_read(key, tensors): _read(part, tensors) for key, part in held}
    read = [_read(part, tensors) for part in held]
    return tuple(read) if kind == "tuple" else read


def _tensors_in(value: Any) -> Iterator[str]:
    """Names of the tensors in a value that :func:`_described` returned."""
    if isinstance(value, dict):
        kind, held = next(iter(value.items()))
        if kind == "tensor":
            yield held
        else:
            for part in held:
                yield from _tensors_in(part[1] if kind == "dict" else part)
