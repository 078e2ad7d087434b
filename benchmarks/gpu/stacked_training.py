"""Networks of equal topology trained as one: their weights stacked, their images beside each other (torch.func).

k networks are one network of k times the channels whose convolutions have k times the groups, so that a step launches
about as many kernels as of one of them. In a search this has next to no use: two candidates of equal topology are one
candidate, which is evaluated once (counted by ``python -m benchmarks.gpu.stacked``).
"""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from benchmarks.gpu.folded import Stacked, fold_channels, stack
from searchkit.data.data import Data
from searchkit.data.loader import in_order, train_batches
from searchkit.data.normalising import Normaliser
from searchkit.runtime.cuda_graphs import Capture
from searchkit.runtime.threads import one_thread
from searchkit.space import NetworkSpace
from searchkit.training.optimisation import loss_of
from searchkit.training.recipe import Recipe
from searchkit.training.scores import SCORE_BATCH
from searchkit.training.train import one_cycle
from searchkit.types import Bools, Codes, Floats


def stacked_training(
    networks: Sequence[nn.Module],
    data: Data,
    recipe: Recipe,
    device: torch.device,
    seeds: Sequence[int],
    capture: Capture | None = None,
) -> Floats:
    """Train k networks in place as one, by the recipe; they come back on the CPU, in eval mode.

    Each has its own order and augmentation, from its own seed, as :func:`searchkit.training.train.train` would give it
    alone. Dropout, where there is any, is drawn for all of them together from torch's own random state, and so is not.

    Args:
        networks: of equal :func:`topology`; the weights are as given.
        data: images.
        recipe: with SGD.
        seeds: one for each network.
        capture: records one step, which is then repeated, see :func:`searchkit.runtime.cuda_graphs.captured`; None:
            eager.

    Returns:
        accuracies ``(k,)`` on the validation part, 0 to 1; NaN where a network diverged.

    Raises:
        ValueError: networks that are not alike, other numbers of seeds, a recipe or data that this does not take.
    """
    _check(networks, data, recipe, seeds)
    with one_thread() if device.type == "cpu" else _on_own_stream(device):
        forward = copy.deepcopy(networks[0]).to(device).train()
        fold_channels(forward)
        learned, kept = stack(networks, device)
        diverged = _fit(forward, learned, kept, data, recipe, device, seeds, capture)
        accuracies = _accuracies(forward.eval(), learned | kept, data, device)
        for i, network in enumerate(networks):
            network.load_state_dict({name: values[i] for name, values in (learned | kept).items()}, strict=False)
            network.eval()
    return np.where(diverged, np.nan, accuracies)


def topology(network: nn.Module) -> str:
    """The same for two networks that differ in nothing but the values of their weights."""
    shapes = [f"{name} {tuple(tensor.shape)}" for name, tensor in network.state_dict().items()]
    return "\n".join([str(network), *shapes])


def topologies(space: NetworkSpace, codes: Codes) -> Counter[str]:
    """How many of the candidates ``(n, d)`` have each topology; networks are built without weights."""
    with torch.device("meta"):
        return Counter(topology(space.build(code)) for code in codes)


def _check(networks: Sequence[nn.Module], data: Data, recipe: Recipe, seeds: Sequence[int]) -> None:
    if len({topology(network) for network in networks}) != 1:
        raise ValueError("only networks of equal topology can be stacked")
    if len(seeds) != len(networks):
        raise ValueError(f"{len(networks)} networks take {len(networks)} seeds; got {len(seeds)}")
    if recipe.optimiser != "sgd" or data.kind != "images" or data.task != "classification":
        raise ValueError("stacked training is of image classes, with SGD")


def _fit(
    network: nn.Module,
    learned: Stacked,
    kept: Stacked,
    data: Data,
    recipe: Recipe,
    device: torch.device,
    seeds: Sequence[int],
    capture: Capture | None,
) -> Bools:
    """All epochs; which networks ``(k,)`` diverged. A step reads all that changes from tensors."""
    batches = [train_batches(data, recipe.batch_size, device, torch.Generator().manual_seed(seed)) for seed in seeds]
    loss_function = loss_of(data, recipe, device)
    n_batches, batch_size = batches[0].n_batches, batches[0].batch_size
    n_steps = recipe.epochs * n_batches
    rates = [recipe.lr * one_cycle(step / n_steps, recipe.warm_up) for step in range(n_steps)]
    schedule = torch.tensor(rates, dtype=torch.float32, device=device)
    lr = torch.zeros((), device=device)
    step = torch.zeros(1, dtype=torch.int64, device=device)
    positions = torch.arange(batch_size, device=device)
    total = torch.zeros(len(seeds), device=device)
    weights = [values for values in learned.values() if values.requires_grad]
    optimiser = _optimiser(weights, recipe, lr)

    def losses(learned: Stacked, kept: Stacked, x: Tensor, y: Tensor) -> Tensor:
        return loss_function(functional_call(network, (learned, kept), x), y)

    def work() -> None:
        lr.copy_(schedule.index_select(0, step)[0])
        x, y = _side_by_side([own.batch(step % n_batches * batch_size + positions) for own in batches])
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            each = vmap(losses, (0, 0, 1, 0), randomness="different")(learned, kept, x, y)
        optimiser.zero_grad(set_to_none=True)
        # The losses have no weight in common: the gradients of the sum are those of each. Accumulated and not asked
        # for, they lie in memory as the weights do, which fused SGD takes for granted.
        each.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total.add_(each.detach())
        step.add_(1)

    once: Callable[[], None] = work
    for i in range(n_steps):
        if i % n_batches == 0:
            for own in batches:
                own.shuffle()
        if i == 1 and capture is not None:  # the first step was eager, and made the momentum
            once = capture(work)
        once()
    diverged: Bools = ~np.isfinite(total.cpu().numpy())
    return diverged


def _side_by_side(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """``x (batch, k, c, h, w)``, which lies in memory as images of k c channels last, and ``y (k, batch)``."""
    x = torch.stack([x.permute(0, 2, 3, 1) for x, _ in pairs], dim=3)
    return x.permute(0, 3, 4, 1, 2), torch.stack([y for _, y in pairs])


def _optimiser(weights: Sequence[Tensor], recipe: Recipe, lr: Tensor) -> torch.optim.Optimizer:
    """As a network alone has it: weight decay on matrices and kernels, which have one dimension more here."""
    groups = [
        {"params": [values for values in weights if values.ndim > 2], "weight_decay": recipe.weight_decay},
        {"params": [values for values in weights if values.ndim <= 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)


@torch.inference_mode()
def _accuracies(network: nn.Module, state: Stacked, data: Data, device: torch.device) -> Floats:
    """``(k,)``, of the same images for all."""
    right = torch.zeros(len(next(iter(state.values()))), device=device)
    outputs = vmap(lambda state, x: functional_call(network, state, x), (0, None))
    for x, y in in_order(data.val, SCORE_BATCH, Normaliser(data, device), device):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            right += (outputs(state, x).argmax(2) == y).sum(1)
    accuracies: Floats = right.double().cpu().numpy() / len(data.val)
    return accuracies


@contextmanager
def _on_own_stream(device: torch.device) -> Iterator[None]:
    """Not the default one, on which nothing can be recorded."""
    stream = _own_stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.device(device), torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


@functools.cache  # libraries keep scratch memory for every stream that they were used on
def _own_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
