"""What a training function of the user's has to leave as it was given: the data, and the structure of the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from searchkit.data.data import Data
from searchkit.errors import CandidateError, DataChangedError
from searchkit.runtime.torch_compat import changes_in_place
from searchkit.training.normalised import Normalised

SAMPLED = 512  # values of each tensor of the data that are compared

_INSIDE = "network."  # begins the names of what the space built in the state of the network that takes raw inputs
_UNDO = (
    "undo that before it returns, such as by torch.nn.utils.parametrize.remove_parametrizations or prune.remove, or "
    "build such networks in the space"
)


class Structure:
    """Names and shapes in a network's state, the classes of its modules, and its normalisation.

    Trained weights are loaded into a network that is built anew, so that a change of these would be lost.

    Args:
        whole: as the training function gets it.
    """

    def __init__(self, whole: Normalised) -> None:
        self._shapes, self._classes = _shapes(whole), _classes(whole)
        self._buffers = {name: buffer.detach().cpu().clone() for name, buffer in whole.named_buffers(recurse=False)}

    def check(self, whole: Normalised) -> None:
        """Refuse another structure.

        Raises:
            CandidateError: the message names what is missing, new or different, in one sentence.
        """
        shapes, classes = _shapes(whole), _classes(whole)
        missing = [name for name in self._shapes if name not in shapes]
        new = [name for name in shapes if name not in self._shapes]
        known = {name: shape for name, shape in self._shapes.items() if shape is not None}
        other = [name for name in shapes if name in known and shapes[name] != known[name]]
        said = [f"{_named(names)} {_be(names)} {what}" for names, what in ((missing, "missing"), (new, "new")) if names]
        said += [f"{_named([name])} has shape {shapes[name]}, not {known[name]}" for name in other[:1]]
        if said:
            raise CandidateError(f"the training function changed the network's parameters: {', '.join(said)}; {_UNDO}")
        for name, kind in classes.items():
            before = self._classes.get(name)
            if kind is not before:
                was = "new" if before is None else f"a {kind.__name__}, not a {before.__name__}"
                raise CandidateError(f"the training function changed the network: {_named([name])} is {was}; {_UNDO}")
        gone = [name for name in self._classes if name not in classes]
        if gone:
            raise CandidateError(f"the training function changed the network: {_named(gone)} is missing; {_UNDO}")
        for name, buffer in self._buffers.items():
            if not torch.equal(buffer, whole.get_buffer(name).detach().cpu().to(buffer.dtype)):
                raise CandidateError(
                    f"the training function changed '{name}' of the normalisation around the network, which is that of "
                    "the data again when it is built: leave it as it is"
                )


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the data, with what tells that it was changed in place.

    Attributes:
        version: torch's counter of changes in place; None for tensors that have none.
        sample: some of its values, which tell of changes that torch does not count, as by numpy.
    """

    name: str
    tensor: torch.Tensor
    version: int | None
    shape: torch.Size
    sample: torch.Tensor

    @property
    def changed(self) -> bool:
        """Whether the tensor is not what it was."""
        if self.version != changes_in_place(self.tensor) or self.shape != self.tensor.shape:
            return True
        now = _sample(self.tensor) if len(self.sample) else self.sample
        return not bool(((now == self.sample) | (now.isnan() & self.sample.isnan())).all())


class Untouched:
    """The data before a call of a training function, which gets the tensors themselves, as all candidates do."""

    def __init__(self, data: Data) -> None:
        self._tensors = tuple(_tensors(data))

    def check(self) -> None:
        """Refuse data that were changed in place.

        Raises:
            DataChangedError: this candidate's scores and those of all later ones would be of other data.
        """
        changed = [one.name for one in self._tensors if one.changed]
        if changed:
            raise DataChangedError(
                f"the training function changed {' and '.join(changed)} in place, which all candidates share, so that "
                "the search ends here: change a copy, as by data.train.x.clone(), and load the data again before the "
                "next call, since the object that was given is changed as well"
            )


def _tensors(data: Data) -> Iterator[_Tensor]:
    for part in ("train", "val"):
        split = getattr(data, part)
        for name in ("x", "y", "weight"):
            tensor = getattr(split, name)
            if tensor is not None:
                sample = tensor.new_empty(0) if name == "x" and split.mapped is not None else _sample(tensor)
                yield _Tensor(f"data.{part}.{name}", tensor, changes_in_place(tensor), tensor.shape, sample)


def _sample(tensor: torch.Tensor) -> torch.Tensor:
    """Values ``(n,)`` at places spread evenly over a tensor; none of one whose values are not in order in memory."""
    tensor = tensor.detach()
    if not tensor.is_contiguous() or not tensor.numel():
        return tensor.new_empty(0)
    return tensor.view(-1)[:: -(-tensor.numel() // SAMPLED)].clone()


def _shapes(whole: nn.Module) -> dict[str, tuple[int, ...] | None]:
    """Names in a network's state with the shapes of tensors; None where a shape is not known yet, or for others."""
    return {
        name: tuple(value.shape) if isinstance(value, torch.Tensor) and not is_lazy(value) else None
        for name, value in whole.state_dict(keep_vars=True).items()
    }


def _classes(whole: nn.Module) -> dict[str, type[nn.Module]]:
    """The class of each module; of a lazy one, that which it becomes by its first input."""
    return {name: getattr(type(part), "cls_to_become", None) or type(part) for name, part in whole.named_modules()}


def _named(names: list[str]) -> str:
    """The first of some names as the user's own network has it, and how many there are."""
    first = names[0]
    said = f"'{first.removeprefix(_INSIDE)}'" if first.startswith(_INSIDE) else f"'{first}' around the network"
    more = len(names) - 1
    return said if not more else f"{said} and {more} other{'s' if more > 1 else ''}"


def _be(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
