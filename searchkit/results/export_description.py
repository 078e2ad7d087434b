"""The .json file of an export: what the network is, what was measured, how to use the files beside it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from searchkit.costs.onnx_file import names_of
from searchkit.problem.trial import Trial
from searchkit.space import NetworkSpace
from searchkit.space.dictionaries import labelled
from searchkit.space.recipe_space import networks_of, settings_of

if TYPE_CHECKING:
    from searchkit.data.frames import FrameEncoder
    from searchkit.results.result import Result

SUMS = "sha256"


def described(result: Result, trial: Trial) -> dict[str, Any]:
    """Choices, measured values, and how to use the files; JSON values."""
    from searchkit.version import __version__

    space = result.network_space
    inputs, outputs = names_in(result)
    measured = result.as_delivered(trial)
    if trial.number in result.test_accuracy:
        measured[result.tested] = result.test_accuracy[trial.number]
    measured |= {name: x for name, x in result.verifications.get(trial.number, {}).items() if name != "reason"}
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
            **_scale(result, inputs),
        },
        "output": _output(result, outputs),
        "normalisation": {key: result.context["data"][key] for key in ("mean", "std")},
        "made_with": {"searchkit": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def _output(result: Result, name: str) -> dict[str, Any]:
    shape = result.network_space.output_shape
    if name == "logits":
        return {"name": name, "shape": ["n", *shape], "classes": result.classes}
    return {
        "name": name,
        "shape": ["n", *(() if shape == (1,) else shape)],
        "scale": "the unit of the targets in the data",
    }


def _scale(result: Result, inputs: str) -> dict[str, Any]:
    """What the values of an input mean; of sentences also the words by which they become tokens."""
    words = result.context["data"].get("words")
    if inputs == "tokens":
        vocabulary = result.network_space.describe()["vocabulary"]
        said = {"scale": f"int64 tokens from 0, the padding at the end, to {vocabulary - 1}"}
        if words is None:
            return said
        return said | {
            "words": words,
            "encoding": "lower-case words; 0 padding, 1 any other word, 2 the first of words",
        }
    return {"scale": f"raw {'pixels' if inputs == 'images' else 'numbers'}; normalisation is inside"}


def encoder_described(encoder: FrameEncoder, file: str) -> dict[str, object]:
    """What makes features of a data frame's rows, and how it is used; JSON values."""
    packages = {name: version(name) for name in ("scikit-learn", "joblib")}
    return {
        "file": file,
        "use": f"joblib.load('{file}').transform(frame) gives the input, float32 (n, features), of the rows of a data "
        "frame; searchkit and scikit-learn have to be installed. It is a pickle: load it where you trust the file",
        **encoder.described(),
        "made_with": packages,
    }


def names_in(result: Result) -> tuple[str, str]:
    """Names of input and output."""
    return names_of(result.network_space.input_shape, "target" in result.context["data"])


def _choices(space: NetworkSpace, trial: Trial) -> dict[str, Any]:
    """What the candidate took: ``choices`` are those of its network, ``recipe`` the settings of its training."""
    networks = networks_of(space)
    chosen = labelled(networks, trial.code[: networks.n_choices])
    recipe = settings_of(space, trial.code)
    return {"choices": chosen} | ({"recipe": recipe} if recipe else {})


def sums(files: Sequence[Path]) -> dict[str, str]:
    """The SHA-256 sums of files by their names."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def with_those_before(new: dict[str, Any], file: Path, weights: str) -> dict[str, Any]:
    """A description with what the one before it says of files in other formats that are of the same network.

    These are still there as they were written, and the weights of the two exports are equal.

    Args:
        new: what is to be written; not changed.
        file: the .json file that it is to replace.
        weights: name of the .safetensors file.
    """
    try:
        old = json.loads(file.read_text())
        written: dict[str, str] = dict(old[SUMS])
        kept = {name: digest for name, digest in written.items() if name not in new[SUMS] and _is(file, name, digest)}
        formats = {name: told for name, told in old.get("formats", {}).items() if set(told["files"]) <= set(kept)}
        int8 = {"int8": old["int8"]} if old.get("int8", {}).get("file") in kept else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or no description
        return new
    if written.get(weights) != new[SUMS][weights] or old.get("candidate") != new["candidate"]:
        return new
    both = {"formats": formats | new.get("formats", {})} if formats or "formats" in new else {}
    return int8 | new | both | {SUMS: kept | new[SUMS]}


def _is(file: Path, name: str, digest: str) -> bool:
    other = file.with_name(name)
    return other.is_file() and sums([other])[name] == digest
