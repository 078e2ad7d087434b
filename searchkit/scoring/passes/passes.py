"""Runs a network once for all the proxies that read it: the union of their passes, each from the initial weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.costs.counts import space_counts
from searchkit.errors import PASSED_ON
from searchkit.random_state import seeded
from searchkit.runtime.devices import device_errors, format_of
from searchkit.runtime.torch_compat import copy_all
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.protocols import Pass
from searchkit.space import NetworkSpace, network_seed
from searchkit.training.starts import Start, Trained, begin_with
from searchkit.types import Codes


@dataclass
class Built:
    """One candidate's network, on which passes are run.

    Attributes:
        network: on the device, channels last, in training mode.
        inputs: batches, the same for every candidate.
        seed: of everything that a pass draws; a function of the candidate and the scorer's seed.
        device: where network and inputs are.
        counts: its params and macs.
        input_shape: of the images that it was built for; those of ``inputs`` where not given.
        taken: parameters and buffers that have given values, and no random ones.
        before: parameter -> its value before it was trained; empty where that is not known.
    """

    network: nn.Module
    inputs: ProxyInputs
    seed: int
    device: torch.device
    counts: Callable[[], dict[str, float]]
    input_shape: tuple[int, ...] = ()
    taken: tuple[str, ...] = ()
    before: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    _initial: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _learned: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.input_shape = self.input_shape or self.inputs.input_shape
        self._initial = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self._learned = frozenset(name for name, p in self.network.named_parameters() if p.requires_grad)

    def reset(self) -> None:
        """The initial weights and buffers, training mode, no gradients."""
        with torch.no_grad():
            for group in _by_dtype(self.network.state_dict()):
                copy_all(list(group.values()), [self._initial[name] for name in group])
        self.network.train()
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in self._learned)
            parameter.grad = None

    def generator(self, stream: int = 0) -> torch.Generator:
        """Random numbers from the candidate's seed, on the CPU, so that they are the same for every device."""
        return torch.Generator().manual_seed(int(np.random.SeedSequence([self.seed, stream]).generate_state(1)[0]))


def build(space: NetworkSpace, code: Codes, inputs: ProxyInputs, seed: int, weights: Start | None = None) -> Built:
    """A candidate ``(d,)`` with weights that depend on the seed and its canonical code alone, or with given ones."""
    own = network_seed(code, seed)
    with seeded(own):
        network = space.build(code)
    taken = [] if weights is None else begin_with(network, weights.start(code))
    network.to(inputs.device, memory_format=format_of(network, inputs.device))  # type: ignore[call-overload]

    def counts() -> dict[str, float]:
        return {name: float(column[0]) for name, column in space_counts(space, code[None]).items()}

    before = weights.initial(code) if isinstance(weights, Trained) else {}
    return Built(network.train(), inputs, own, inputs.device, counts, space.input_shape, tuple(taken), before)


def _by_dtype(state: Mapping[str, Tensor]) -> Iterable[dict[str, Tensor]]:
    """Tensors grouped so that a GPU copies each group in one call."""
    groups: dict[torch.dtype, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        groups.setdefault(tensor.dtype, {})[name] = tensor
    return groups.values()


def run(built: Built, passes: Iterable[Pass]) -> dict[Hashable, Any]:
    """What each pass recorded, by its key; an exception, where the network cannot be run that way.

    Passes with equal keys are joined and run once. Each starts from the initial weights and from the candidate's own
    random state, so that what it records does not depend on which others are run.
    """
    joined: dict[Hashable, Pass] = {}
    for wanted in passes:
        joined[wanted.key] = joined[wanted.key].joined(wanted) if wanted.key in joined else wanted
    return {key: _run(built, one) for key, one in joined.items()}


def _run(built: Built, one: Pass) -> Any:
    with seeded(built.seed, built.device):
        try:
            with device_errors(built.device):
                built.reset()
                return one.run(built)
        except PASSED_ON:
            raise
        except BaseException as error:  # the network's fault: proxies that read this pass have no value for it
            return error.with_traceback(None)  # its frames would keep activations and their graph alive
