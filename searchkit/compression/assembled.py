"""A space whose candidates are a trained network with some of its nodes replaced; candidate 0 is that network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from searchkit.compression.alternatives import ORIGINAL, Alternative, Library, Own, library_given
from searchkit.compression.cutting import Cut, cut_given
from searchkit.compression.fingerprints import digest_of, fingerprint_of
from searchkit.compression.given import Given, given, ran, shape_of
from searchkit.compression.sums import sums_of
from searchkit.errors import ModelError, SpaceError, nearest
from searchkit.runtime.copies import copied
from searchkit.runtime.submodules import put
from searchkit.space import Choice, NetworkSpace, Node
from searchkit.space.inputs import as_output_shape, as_shape
from searchkit.types import Codes

_BETWEEN = "::"  # node, label and tensor in the names of a library's weights

Options = Mapping[str, Mapping[str, Alternative]]


@dataclass(frozen=True)
class Assembler:
    """Makes networks: copies of a model with the modules of its nodes replaced.

    Attributes:
        model: the original, in evaluation mode on the CPU; never changed.
        options: node -> label -> alternative.
    """

    model: nn.Module
    options: Options

    def __call__(self, choices: Mapping[str, str], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network of one candidate, in evaluation mode."""
        others = {name: label for name, label in choices.items() if label != ORIGINAL}
        memo = {id(self.model.get_submodule(name)): nn.Identity() for name in others}  # what is replaced is not copied
        network = copied(self.model, memo)  # type: ignore[arg-type]
        for name, label in others.items():
            put(network, name, copied(self.options[name][label].module))
        return network


@dataclass(frozen=True)
class Nodes:
    """The nodes of a space, as a function of it."""

    found: tuple[Node, ...]

    def __call__(self, space: NetworkSpace) -> tuple[Node, ...]:
        return self.found


class ModelSpace(NetworkSpace):
    """A trained network and what can stand in the place of its blocks; made by :func:`model_space`.

    There is one choice for each node, named as its module is, whose options are the labels of its alternatives; option
    0 is "original". Networks are built in evaluation mode, on the CPU, with the weights of the library.

    Attributes:
        cut: the network's nodes, also those without alternatives.
        library: their alternatives, with what was left out and why.
    """

    def __init__(self, model: nn.Module, cut: Cut, library: Library, example_shape: Sequence[int], n_classes: int):
        self.cut, self.library = cut, library
        options = {name: found for name, found in library.alternatives.items() if len(found) > 1}
        self.assembler = Assembler(model, options)
        where = {node.name: node for node in cut.nodes}
        nodes = tuple(
            Node(name, (name,), where[name].input_shape, where[name].output_shape, module=name) for name in options
        )
        super().__init__(
            [Choice(name, list(found)) for name, found in options.items()],
            self.assembler,
            name=type(model).__name__,
            input_shape=as_shape(example_shape),
            n_classes=n_classes,
            options={"model": fingerprint_of(model)},
            count=sums_of(cut, options),
            nodes=Nodes(nodes),
        )
        self._teacher_ms: float | None = None

    @property
    def original(self) -> nn.Module:
        """A copy of the network as it was given, in evaluation mode on the CPU."""
        return copied(self.assembler.model)

    @property
    def teacher(self) -> nn.Module:
        """The network as it was given; not to be changed."""
        return self.assembler.model

    def fine_tuned(self, code: Codes) -> bool:
        """Whether a candidate is trained: not the network as it was given, and nothing where that was said."""
        return bool(np.asarray(code).any()) and bool(self.options.get("fine_tuned", True))

    @property
    def teacher_ms(self) -> float | None:
        """Milliseconds of a forward pass of the network as it was given, where they were measured."""
        return self._teacher_ms

    def modules(self) -> dict[tuple[str, str], nn.Module]:
        """(node, label) -> module of all alternatives but the originals."""
        return {
            (name, label): one.module
            for name, found in self.assembler.options.items()
            for label, one in found.items()
            if label != ORIGINAL
        }

    def with_modules(
        self,
        modules: Mapping[tuple[str, str], nn.Module],
        *,
        fine_tuned: bool = True,
        teacher_ms: float | None = None,
    ) -> ModelSpace:
        """The space of these alternatives alone, which may have other weights.

        Args:
            modules: (node, label) -> module, of the labels that there are.
            fine_tuned: False: the networks of the space are scored as they are.
            teacher_ms: latency of the network as it was given; then those of others are measured beside it.

        Raises:
            ModelError: none is left.
        """
        alternatives: dict[str, dict[str, Alternative]] = {}
        for name, found in self.library.alternatives.items():
            alternatives[name] = {ORIGINAL: found[ORIGINAL]} | {
                label: replace(one, module=modules[name, label])
                for label, one in found.items()
                if (name, label) in modules
            }
        if not modules:
            raise ModelError(f"no alternative is left for any block of {self.name}")
        other = ModelSpace(
            self.assembler.model,
            self.cut,
            Library(alternatives, self.library.left_out),
            self.input_shape,
            self.n_classes,
        )
        other.options |= {"weights": digest_of(other.weights()), "fine_tuned": fine_tuned}
        other._teacher_ms = teacher_ms
        return other

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> NetworkSpace:
        """The space itself, where the data are those that the network is for.

        Raises:
            SpaceError: pictures of another shape, or another number of classes.
        """
        outputs = as_output_shape(n_classes)
        if tuple(input_shape) != self.input_shape or outputs != self.output_shape:
            raise SpaceError(
                f"{self.name} was cut for inputs of shape {self.input_shape} and gives {self.n_classes} classes, and "
                f"the data have {tuple(input_shape)} and {outputs[0] if len(outputs) == 1 else outputs}"
            )
        return copy.copy(self)

    def weights(self) -> dict[str, Tensor]:
        """The tensors of all alternatives but the originals, by names ``node::label::tensor``, as safetensors takes."""
        return {
            _BETWEEN.join((name, label, key)): tensor.detach().contiguous().clone()
            for name, found in self.assembler.options.items()
            for label, one in found.items()
            if label != ORIGINAL
            for key, tensor in one.module.state_dict().items()
        }

    def with_weights(self, weights: Mapping[str, Tensor] | str | Path) -> ModelSpace:
        """The same space with other weights for some alternatives, such as learned ones.

        Args:
            weights: tensors named as by :meth:`weights`, all of an alternative or none; or a safetensors file of them.

        Raises:
            SpaceError: a name that is not there, with the nearest; a tensor of another shape; or a part of an
                alternative's tensors.
        """
        if isinstance(weights, str | Path):
            from safetensors.torch import load_file

            tensors: Mapping[str, Tensor] = load_file(weights)
        else:
            tensors = weights
        known = self.weights()
        states: dict[tuple[str, str], dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name not in known:
                near = nearest(name, known)
                raise SpaceError(
                    f"the space has no tensor {name!r}; tensors are named node::label::tensor."
                    + (f" Did you mean {near!r}?" if near else "")
                )
            if tensor.shape != known[name].shape:
                raise SpaceError(f"{name!r} has shape {tuple(tensor.shape)}, and not {tuple(known[name].shape)}")
            node, label, key = name.split(_BETWEEN)
            states.setdefault((node, label), {})[key] = tensor
        alternatives = {name: dict(found) for name, found in self.library.alternatives.items()}
        for (node, label), state in states.items():
            missing = {*alternatives[node][label].module.state_dict()} - {*state}
            if missing:
                raise SpaceError(f"of '{label}' of node '{node}' the weights lack {sorted(missing)}")
            one = alternatives[node][label]
            module = copied(one.module)
            module.load_state_dict(state)
            alternatives[node][label] = replace(one, module=module)
        other = ModelSpace(
            self.assembler.model,
            self.cut,
            Library(alternatives, self.library.left_out),
            self.input_shape,
            self.n_classes,
        )
        if states:
            other.options["weights"] = digest_of(other.weights())
        return other

    def report(self) -> str:
        """The nodes, what is kept, and every alternative with its share of the original's costs."""
        return f"{self.cut.report()}\n{self.library.report()}"


def model_space(
    model: nn.Module,
    example: npt.ArrayLike | Tensor,
    *,
    nodes: Sequence[str] | None = None,
    alternatives: Own | None = None,
) -> ModelSpace:
    """A space of networks made of a trained one: its blocks as they are, or replaced by cheaper ones.

    Candidate 0 is the network as it is. The alternatives are made from its weights (:mod:`searchkit.compression
    .alternatives`), so that a candidate computes something like the original before anything is trained.

    Args:
        model: with one tensor in and one out, in float32; in any mode and on any device. It is not changed.
        example: ``(n, c, h, w)`` pictures that it is used on, two or more; up to 32 tell which channels matter. The
            networks of the space take inputs of this shape.
        nodes: dotted names of the modules that may be replaced; found by :func:`searchkit.compression.cutting.cut`
            where not given.
        alternatives: ``(name, module, input_shape, output_shape) -> {label: module}``, the user's own alternatives
            of a node; shapes are without the batch, and the module is a copy.

    Raises:
        ModelError: the model or the example is none that can be taken, no block can be cut, or none has an alternative.
    """
    checked = given(model, example)
    found = cut_given(checked, nodes)
    library = library_given(checked, found, alternatives)
    _leave_out_what_breaks(checked, library)
    if not any(len(options) > 1 for options in library.alternatives.values()):
        raise ModelError(
            f"no node of {type(model).__name__} has an alternative that costs less than the original; give some by "
            "alternatives="
        )
    return ModelSpace(checked.model, found, library, shape_of(checked.example), checked.output.shape[1])


def _leave_out_what_breaks(checked: Given, library: Library) -> None:
    """Leave out alternatives with which the whole network does not run, though they run alone.

    All last ones are tried together, and each by itself only if that fails.
    """
    assemble = Assembler(checked.model, library.alternatives)

    def why_not(choices: Mapping[str, str]) -> str:
        try:
            out = ran(assemble(choices, (), 0), checked.example[:2])
        except ModelError as error:
            return str(error)
        return "" if out.shape[1:] == checked.output.shape[1:] else f"the network gives shape {tuple(out.shape)}"

    for rank in range(max(map(len, library.alternatives.values()))):
        together = {name: list(found)[min(rank, len(found) - 1)] for name, found in library.alternatives.items()}
        if why_not(together):
            for name, label in together.items():
                why = why_not({name: label})
                if why:
                    del library.alternatives[name][label]
                    library.left_out.setdefault(name, {})[label] = why
