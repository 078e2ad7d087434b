"""The tensors that all networks of a space share, and the networks that run with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from searchkit.random_state import seeded
from searchkit.sharing.keys import Key, Keys, Share, as_plain, read_key
from searchkit.sharing.slices import covers, grown, part_of
from searchkit.space import NetworkSpace, keys, network_seed
from searchkit.types import Codes

KEPT = 300  # networks without weights that are kept built
Slots = dict[str, Key]
State = dict[str, Any]


@dataclass
class Shared:
    """One shared tensor.

    Attributes:
        tensor: on the device.
        first: its value before it was trained, on the CPU.
        kernel: how many of its last axes are taps of a convolution.
        steps: training steps in which it was used.
        trained: shapes of the parts that were; one that no other is within.
        smaller: the tensor that it was when an optimiser last saw it, where it has grown since.
    """

    tensor: nn.Parameter
    first: Tensor
    kernel: int
    steps: int = 0
    trained: list[tuple[int, ...]] = field(default_factory=list)
    smaller: nn.Parameter | None = None

    def enlarge(self, other: Tensor) -> None:
        """Make it as large as a network's parameter as well, whose values it takes where it has none.

        It is a new tensor: to autograd, the shape of a leaf is for good.
        """
        made = nn.Parameter(
            grown(self.tensor.detach(), other.to(self.tensor.device), self.kernel),
            requires_grad=self.tensor.requires_grad,
        )
        if self.tensor.grad is not None:
            made.grad = grown(self.tensor.grad, torch.zeros_like(made), self.kernel)
        self.first = grown(self.first, other, self.kernel)
        self.smaller, self.tensor = self.tensor if self.smaller is None else self.smaller, made


@dataclass
class Path:
    """A network that runs with shared tensors.

    Attributes:
        network: its structure and its own buffers; its parameters are empty.
        slots: parameter -> key of the tensor that it takes.
        shapes: parameter -> its shape.
    """

    network: nn.Module
    slots: Slots
    shapes: dict[str, tuple[int, ...]]


class Bank:
    """All shared tensors of a space, made as networks are met that have them.

    Args:
        space: for the shape and the classes of the data.
        share: see :class:`~searchkit.sharing.keys.Keys`.
        device: of the tensors.
        seed: of their first values: those that the first network which has one is built with.
    """

    def __init__(self, space: NetworkSpace, share: Share, device: torch.device, seed: int) -> None:
        self.space, self.device, self.seed = space, device, seed
        self.keys = Keys(space, share)
        self.tensors: dict[Key, Shared] = {}
        self.steps = 0
        self._paths: OrderedDict[bytes, Path] = OrderedDict()

    def path(self, code: Codes) -> Path:
        """The network of a canonical candidate ``(d,)``; tensors that it is the first to have are made.

        Raises:
            CandidateError: the network cannot be built, or another error of the user's function.
        """
        (key,) = keys(code[None])
        if key not in self._paths:
            self._paths[key] = self._made(code)
            if len(self._paths) > KEPT:
                self._paths.popitem(last=False)
        self._paths.move_to_end(key)
        return self._paths[key]

    def used(self, path: Path) -> dict[str, Tensor]:
        """Parameter -> what a path takes of its shared tensor; gradients of it arrive there."""
        return self._parts(path, lambda shared: shared.tensor)

    def before(self, path: Path) -> dict[str, Tensor]:
        """Parameter -> what it was before training."""
        return self._parts(path, lambda shared: shared.first)

    def run(self, path: Path, x: Tensor) -> Tensor:
        """The outputs of a path for inputs ``(batch, ...)``."""
        outputs: Tensor = functional_call(path.network, self.used(path), (x,))
        return outputs

    def learning(self, path: Path) -> list[Shared]:
        """What a path shares and trains, each once."""
        found = {key: self.tensors[key] for key in path.slots.values()}
        return [shared for shared in found.values() if shared.tensor.requires_grad]

    def count(self, path: Path) -> None:
        """Note that a path was trained for a step."""
        self.steps += 1
        counted = set()
        for name, key in path.slots.items():
            shared = self.tensors[key]
            if not covers(shared.trained, path.shapes[name]):
                shared.trained = [shape for shape in shared.trained if not covers([path.shapes[name]], shape)]
                shared.trained.append(path.shapes[name])
            if key not in counted:
                counted.add(key)
                shared.steps += 1

    def untrained(self, path: Path) -> list[str]:
        """The parameters of a path whose tensor, or the part that the path takes of it, was in no training step."""
        return [
            name
            for name, key in path.slots.items()
            if self.tensors[key].tensor.requires_grad and not covers(self.tensors[key].trained, path.shapes[name])
        ]

    def state(self) -> State:
        """All tensors and what is known of them, on the CPU; :meth:`restore` takes it."""
        items = list(self.tensors.items())
        return {
            "keys": [as_plain(key) for key, _ in items],
            "tensors": [one.tensor.detach().cpu() for _, one in items],
            "first": [one.first for _, one in items],
            "learns": [one.tensor.requires_grad for _, one in items],
            "kernels": [one.kernel for _, one in items],
            "used": [one.steps for _, one in items],
            "trained": [[list(shape) for shape in one.trained] for _, one in items],
            "steps": self.steps,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the tensors of a state in place of those that there are."""
        self.tensors.clear()
        self._paths.clear()  # built with tensors that may not be among these
        columns = ("keys", "tensors", "first", "learns", "kernels", "used", "trained")
        for plain, tensor, first, learns, kernel, used, trained in zip(*(state[name] for name in columns), strict=True):
            made = nn.Parameter(tensor.detach().clone().to(self.device), requires_grad=bool(learns))
            shapes = [tuple(shape) for shape in trained]
            self.tensors[read_key(plain)] = Shared(made, first, int(kernel), int(used), shapes)
        self.steps = int(state["steps"])

    def __getstate__(self) -> dict[str, object]:
        """Networks are built anew in another process."""
        return self.__dict__ | {"_paths": OrderedDict()}

    def __iter__(self) -> Iterator[tuple[Key, Shared]]:
        return iter(self.tensors.items())

    def _parts(self, path: Path, of: Callable[[Shared], Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, key in path.slots.items():
            shared = self.tensors[key]
            found[name] = part_of(of(shared), path.shapes[name], shared.kernel)
        return found

    def _made(self, code: Codes) -> Path:
        """Build a path's network, and the shared tensors that there are not yet."""
        own = network_seed(code, self.seed)
        with seeded(own):
            network = self.space.build(code)
        slots: Slots = {}
        shapes, kernels = {}, _kernels(network)
        for name, parameter in network.named_parameters():
            shape = tuple(parameter.shape)
            slots[name], shapes[name] = self.keys.of(name, shape, code), shape
            self._take(slots[name], parameter, kernels[name])
        for parameter in network.parameters():
            parameter.data = torch.empty(0, dtype=parameter.dtype)  # it runs with the shared ones
        network.to(self.device)
        return Path(network, slots, shapes)

    def _take(self, key: Key, parameter: nn.Parameter, kernel: int) -> None:
        """Make the shared tensor of a key from a network's parameter, or make it larger where it is too small."""
        there = self.tensors.get(key)
        if there is None:
            made = nn.Parameter(parameter.detach().clone().to(self.device), requires_grad=parameter.requires_grad)
            self.tensors[key] = Shared(made, parameter.detach().clone(), kernel)
        elif any(n > m for n, m in zip(parameter.shape, there.tensor.shape, strict=True)):
            there.enlarge(parameter.detach())


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def _kernels(network: nn.Module) -> dict[str, int]:
    """Parameter -> how many of its last axes are taps of a convolution."""
    found = {}
    for name, parameter in network.named_parameters():
        owner = network.get_submodule(name.rpartition(".")[0])
        found[name] = max(0, parameter.ndim - 2) if isinstance(owner, _CONVOLUTIONS) else 0
    return found
