"""Networks put together of trained blocks: statistics of their normalisations taken anew, and their scores."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from searchkit.data.data import Data
from searchkit.data.normalising import Normaliser
from searchkit.random_state import untouched
from searchkit.runtime.copies import copied
from searchkit.runtime.threads import one_thread
from searchkit.runtime.torch_compat import BatchNorm
from searchkit.training.scores import scores

EXAMPLES = 1024  # on which statistics are taken anew
BATCH = 64


def recalibrated(network: nn.Module, data: Data) -> nn.Module:
    """A copy whose batch normalisations have the statistics of the train part, as their inputs are now.

    Blocks that learned alone have seen the inputs of the original network; assembled, they see each other's.
    """
    other = copied(network)
    with fresh_statistics(other):
        for part in inputs_of(data, torch.device("cpu"), EXAMPLES, BATCH):
            other(part)
    return other.eval()


def inputs_of(data: Data, device: torch.device, n: int, batch: int) -> Iterator[torch.Tensor]:
    """Batches of n normalised examples of the train part, evenly spaced; two or more each, as statistics need."""
    normalise = Normaliser(data, device)
    for part in torch.split(spaced(len(data.train), n), batch):
        if len(part) > 1:
            yield normalise(data.train.x[part].to(device))


def spaced(n: int, most: int) -> torch.Tensor:
    """Row numbers of at most so many of n examples, evenly spaced, as classes may be in order."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


@contextlib.contextmanager
def fresh_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, batch normalisations average the statistics of all batches; all else is as in evaluation."""
    norms = [module for module in network.modules() if isinstance(module, BatchNorm) and module.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    try:
        with torch.no_grad():
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def best_of(
    network: nn.Module,
    found: Mapping[str, float],
    before: nn.Module,
    found_before: Mapping[str, float],
    data: Data,
    score: str,
) -> tuple[nn.Module, dict[str, float]]:
    """What a fine-tuning ended with, also with statistics taken anew, or the network before it, and its scores.

    The best on the validation part; few steps leave statistics behind that are averages over more, and a rate that is
    too high makes a good network worse.

    Args:
        network: as it was trained, on the CPU in eval mode; ``found`` are its scores.
        before: as it was; ``found_before`` are its scores.
        score: higher is better.
    """
    known = [(network, dict(found)), (before, dict(found_before))]
    with one_thread(), untouched():
        again = recalibrated(network, data)
        known.append((again, scores(again, data.val, data, torch.device("cpu"))))
    return max(known, key=lambda pair: pair[1][score] if math.isfinite(pair[1][score]) else -math.inf)


def as_it_is(network: nn.Module, data: Data, score: str) -> tuple[nn.Module, dict[str, float]]:
    """The assembled network, with statistics taken anew where that is better on the validation part, and its scores."""
    device = torch.device("cpu")
    with one_thread(), untouched():
        found = [(one, scores(one.eval(), data.val, data, device)) for one in (network, recalibrated(network, data))]
    return max(found, key=lambda pair: pair[1][score])
