"""Training the supernet of one block, one path a step, with a checkpoint after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from searchkit.errors import ProxyError
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.supernet import Part
from searchkit.random_state import seeded
from searchkit.runtime.gpu_lock import give_way, key_of
from searchkit.runtime.pooling import right_pooling
from searchkit.training.checkpoints import read_checkpoint, write_checkpoint
from searchkit.types import Bools, Codes

Step = Callable[[torch.Tensor, Codes], torch.Tensor]
OnEpoch = Callable[[str, int, int, float], None]  # block, epochs done, epochs in all, mean loss


def train_block(
    module: nn.Module,
    loss: Step,
    n_images: int,
    part: Part,
    setting: DNASetting,
    seed: int,
    path: Path | None = None,
    after: Callable[[], None] | None = None,
    on_epoch: OnEpoch | None = None,
) -> None:
    """Train in place; the same result for the same seed, also if it was stopped and continued.

    Args:
        module: everything that is trained or has state.
        loss: ``(rows of a batch of images, on the module's device, path (q,)) -> loss`` of one step.
        part: whose paths are trained.
        path: of a checkpoint, written after every epoch; training continues from an existing one.
        after: called after every step.
        on_epoch: called with the block's name, the epochs done, those of all, and the mean loss.

    Raises:
        ProxyError: the loss is no longer finite.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    on_card = device.type == "cuda"
    optimiser = torch.optim.Adam(
        [p for p in module.parameters() if p.requires_grad], lr=setting.lr, fused=True if on_card else None
    )
    for epoch in range(_resume(module, optimiser, path), setting.epochs):
        for group in optimiser.param_groups:
            group["lr"] = setting.lr * setting.decay**epoch
        rng = np.random.default_rng([seed, epoch])
        # steps draw the same numbers when training is continued
        with seeded(int(rng.integers(2**31)), device), right_pooling(device):
            mean = _epoch(module, optimiser, loss, n_images, part, setting, rng, after)
        if not np.isfinite(mean):
            raise ProxyError(f"block '{part.name}' diverged at epoch {epoch + 1}: give a lower lr than {setting.lr:g}")
        _keep(module, optimiser, epoch + 1, path)
        if on_epoch is not None:
            on_epoch(part.name, epoch + 1, setting.epochs, mean)


def _epoch(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Step,
    n_images: int,
    part: Part,
    setting: DNASetting,
    rng: np.random.Generator,
    after: Callable[[], None] | None,
) -> float:
    """Train one pass over the images (several where they are few); returns the mean loss."""
    paths = _fair(part.absent, rng)
    batch = min(setting.batch, n_images)
    n_steps = max(n_images // batch, setting.steps)
    times = -(-n_steps * batch // (n_images // batch * batch))
    orders = [rng.permutation(n_images)[: n_images // batch * batch] for _ in range(times)]
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    order = torch.from_numpy(np.concatenate(orders)).to(device)
    card = key_of(device) if device.type == "cuda" else None
    module.train()
    losses = []
    for start in range(0, n_steps * batch, batch):
        if card is not None:
            give_way(card)  # to a process that measures there
        optimiser.zero_grad(set_to_none=True)
        value = loss(order[start : start + batch], part.taken[next(paths)])
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if after is not None:
            after()
        losses.append(value.detach())
    return float(torch.stack(losses).mean())


def _fair(absent: Bools, rng: np.random.Generator) -> Iterator[int]:
    """An endless sequence of paths, in turn from each group of paths that leave out the same nodes.

    Within a group, each path comes once before any comes again. Most paths are deep; drawn uniformly, shallow ones
    would hardly be trained.
    """
    _, pattern = np.unique(absent, axis=0, return_inverse=True)
    groups = [np.flatnonzero(pattern.ravel() == p) for p in range(pattern.max() + 1)]
    queues: list[list[int]] = [[] for _ in groups]
    while True:
        for g in rng.permutation(len(groups)):
            if not queues[g]:
                queues[g] = rng.permutation(groups[g]).tolist()
            yield queues[g].pop()


def _resume(module: nn.Module, optimiser: torch.optim.Optimizer, path: Path | None) -> int:
    """Load a checkpoint and return its number of epochs; 0 without one."""
    held = read_checkpoint(path)
    if held is None:
        return 0
    module.load_state_dict(held["module"])
    optimiser.load_state_dict(held["optimiser"])
    return int(held["epochs"])


def _keep(module: nn.Module, optimiser: torch.optim.Optimizer, epochs: int, path: Path | None) -> None:
    """Write a checkpoint atomically, so that a killed process leaves the previous one."""
    if path is None:
        return
    state = {"module": module.state_dict(), "optimiser": optimiser.state_dict(), "epochs": epochs}
    write_checkpoint(path, state)
