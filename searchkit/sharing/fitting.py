"""Trains a bank of shared weights, one path a step, with a checkpoint after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path as File
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.data.data import Data
from searchkit.errors import PASSED_ON, CandidateError, ProxyError, message_of
from searchkit.problem.ranks import rank_correlation
from searchkit.random_state import seeded
from searchkit.runtime.gpu_lock import give_way, key_of
from searchkit.runtime.pooling import right_pooling
from searchkit.runtime.torch_compat import make_step
from searchkit.sharing.bank import Bank, Path, Shared
from searchkit.sharing.batches import Batches
from searchkit.sharing.epoch import EpochDone
from searchkit.sharing.judging import Judged
from searchkit.sharing.pace import Pace
from searchkit.sharing.policies.protocol import Policy
from searchkit.sharing.slices import grown
from searchkit.training.checkpoints import read_checkpoint, write_checkpoint
from searchkit.training.optimisation import groups_of, half_precision, loss_of, one_cycle, optimiser_of
from searchkit.training.recipe import Recipe
from searchkit.types import Codes, Floats

CLIPPED = 5.0  # norm of the gradients of a step, as DARTS, GeNAS and others clip it
PROBED = 256  # validation examples on which the probes are judged after an epoch
SETTLING = 0.6  # share of the epochs after which the order of paths should hardly change
HOPELESS = 100  # paths in a row that cannot be trained
WORTH = 0.2  # of the work of an epoch that probes may be; with few examples they are judged after some epochs only


@dataclass
class Fitting:
    """One training of a bank.

    Attributes:
        epochs: passes over the train part; a fraction is a part of one.
        seed: of the paths, the order of examples and all that networks draw.
        probes: ``(p, d)`` canonical candidates.
        path: of the checkpoint; None: none is written.
        plan: how many steps a training that begins now makes, where a time decides (:mod:`searchkit.sharing.timing`).
        curve: of the epochs that are done.
    """

    bank: Bank
    data: Data
    policy: Policy
    recipe: Recipe
    epochs: float
    judged: Judged
    seed: int
    probes: Codes
    path: File | None = None
    plan: Callable[[Fitting], Pace] | None = None
    curve: list[EpochDone] = field(default_factory=list)
    _step: int = 0
    _code: Codes | None = None
    _left: int = 0
    _refusals: int = 0
    _orders: list[tuple[int, list[float]]] = field(default_factory=list)  # epochs done, and the losses of the probes
    _optimiser: torch.optim.Optimizer | None = None
    _pace: Pace | None = None

    def __post_init__(self) -> None:
        n, together = len(self.data.train), self.policy.together
        self.batch = min(self.recipe.batch_size, n)
        self.per_epoch = max(1, n // self.batch // together) * together
        self.steps = max(1, round(self.epochs * self.per_epoch / together)) * together
        self.policy.begin(self.steps)

    def run(self, on_epoch: Callable[[EpochDone, int], None] | None = None) -> None:
        """Train to the end, from the checkpoint where there is one.

        Args:
            on_epoch: called after every epoch, with what is known and the number of epochs in all.

        Raises:
            ProxyError: paths can no longer be trained.
        """
        self._resume()
        if self.plan is not None and not self._step:
            self._pace = self.plan(self)
            self.steps = self._pace.steps
            self.policy.begin(self.steps)
        while self._step < self.steps:
            epoch = self._step // self.per_epoch
            rng = np.random.default_rng([self.seed, epoch])
            with seeded(int(rng.integers(2**31)), self.bank.device), right_pooling(self.bank.device):
                loss = self._epoch(rng)
            probed = (epoch + 1) % self._probed_every(self.steps) == 0 or self._step == self.steps
            self.curve.append(self._probed(epoch + 1, loss) if probed else EpochDone(epoch + 1, loss))
            self._keep()
            if on_epoch is not None:
                on_epoch(self.curve[-1], -(-self.steps // self.per_epoch))

    def advance(self, n: int, rng: np.random.Generator) -> int:
        """Make some steps, or those to the end of an epoch, and nothing of what follows one; returns their number."""
        before, self.steps = self._step, self._step + n
        self._epoch(rng)
        return self._step - before

    def rounds(self, steps: int) -> int:
        """How many times the probes are judged in a training of so many steps."""
        return -(-steps // self.per_epoch // self._probed_every(steps))

    def _probed_every(self, steps: int) -> int:
        """Epochs between two times at which the probes are judged, in a training of so many steps."""
        work = len(self.probes) * self.judged.n_examples / (3 * len(self.data.train))  # a step is three passes forward
        quarter = steps // self.per_epoch // 4  # whatever they cost, they are judged four times
        return max(1, min(round(work / WORTH), quarter))

    def _epoch(self, rng: np.random.Generator) -> float:
        """Make the steps of an epoch; returns their mean loss."""
        loss_fn = loss_of(self.data, self.recipe, self.bank.device)
        half = half_precision(self.recipe, self.data, self.bank.device)
        card = key_of(self.bank.device) if self.bank.device.type == "cuda" else None
        batches = Batches(self.data, self.recipe, self.bank.device, self.seed, rng)
        losses: list[float] = []
        used: dict[int, Shared] = {}
        last = (self._step // self.per_epoch + 1) * self.per_epoch
        while self._step < min(self.steps, last):
            if card is not None:
                give_way(card)  # to a process that measures there
            code = self._next(rng)
            try:
                path = self.bank.path(code)
                x, y, weights = batches.next(self.policy.share)
                path.network.train()
                with torch.autocast(self.bank.device.type, torch.bfloat16, enabled=half):
                    loss = loss_fn(self.bank.run(path, x), y, weights)
                if not torch.isfinite(loss):
                    raise CandidateError(f"its loss is {loss.item()}")
                loss.backward()  # type: ignore[no-untyped-call]
            except PASSED_ON:
                raise
            except Exception as error:
                self._refused(code, error)
                continue
            self._refusals = 0
            losses.append(loss.item())
            used |= {id(shared): shared for shared in self.bank.learning(path)}
            self.bank.count(path)
            self._step += 1
            if self._step % self.policy.together == 0:
                self._change(list(used.values()))
                used = {}
            self._tell(code, path, losses[-1])
            self.steps = self.steps if self._pace is None else self._pace.kept(self._step, self.policy.together)
        return float(np.mean(losses))

    def _refused(self, code: Codes, error: Exception) -> None:
        """A path that cannot be trained is left out, and another one drawn.

        Raises:
            ProxyError: a hundred in a row.
        """
        self._refusals, self._left = self._refusals + 1, 0
        if self.policy.reward != "none":
            self.policy.tell(code, float("-inf"))
        if self._refusals >= HOPELESS:
            raise ProxyError(
                f"{HOPELESS} paths in a row could not be trained with the shared weights, the last one for this: "
                f"{message_of(error)}; where losses are not finite, give a lower lr than {self.recipe.lr:g}"
            ) from error

    def _next(self, rng: np.random.Generator) -> Codes:
        """The path of the next step: the one of the last step, or a new one."""
        if self._code is None or not self._left:
            self._code, self._left = self.policy.draw(rng)
        self._left -= 1
        return self._code

    def _tell(self, code: Codes, path: Path, loss: float) -> None:
        if self.policy.reward == "training":
            self.policy.tell(code, -loss)
        elif self.policy.reward == "validation" and not self._left:
            self.policy.tell(code, self.judged.reward(self.bank, path))

    def _change(self, used: Sequence[Shared]) -> None:
        """Change the tensors that were used by their gradients; the others, and what is kept of them, stay."""
        used = [shared for shared in used if shared.tensor.grad is not None]
        learned = [shared.tensor for shared in used]
        if self._optimiser is None:
            self._optimiser = optimiser_of(learned, self.recipe, self.recipe.lr)
        optimiser = self._optimiser
        nn.utils.clip_grad_norm_(learned, CLIPPED)
        lr = self.recipe.lr * one_cycle((self._step - 1) / self.steps, self.recipe.warm_up)
        for group, members in zip(optimiser.param_groups, groups_of(learned), strict=True):
            group |= {"params": members, "lr": lr}
        for shared in used:
            if shared.smaller is not None:
                optimiser.state[shared.tensor] = optimiser.state.pop(shared.smaller, {})
                shared.smaller = None
            kept = optimiser.state[shared.tensor]
            if self.recipe.optimiser == "sgd" and self.recipe.momentum and not kept:
                kept["momentum_buffer"] = torch.zeros_like(shared.tensor)  # fused steps want all or none to have one
            _as_large(kept, shared)
        make_step(optimiser)
        for tensor in learned:
            tensor.grad = None

    def _probed(self, epoch: int, loss: float) -> EpochDone:
        """What is known after an epoch."""
        losses = [self.judged.loss_if_trained(self.bank, code)[0] for code in self.probes]
        now = np.array([loss for loss in losses if np.isfinite(loss)])
        agreement = self._agreement(losses, self._orders[-1][1]) if self._orders else None
        self._orders.append((epoch, losses))
        return EpochDone(epoch, loss, float(now.mean()) if len(now) else None, agreement)

    @property
    def last(self) -> list[float]:
        """The losses of the probes when they were judged last, as far as there are any."""
        losses = self._orders[-1][1] if self._orders else []
        return [loss for loss in losses if np.isfinite(loss)]

    @property
    def settled(self) -> float | None:
        """Spearman's rho of the last order of the probes with that after 60 % of the epochs; None: not known."""
        late = [losses for epoch, losses in self._orders[:-1] if epoch * self.per_epoch >= SETTLING * self.steps]
        return self._agreement(self._orders[-1][1], late[0]) if late else None

    @staticmethod
    def _agreement(losses: list[float], before: list[float]) -> float | None:
        pairs = np.array([losses, before])
        known: Floats = pairs[:, np.isfinite(pairs).all(axis=0)]
        if known.shape[1] < 3 or not np.ptp(known, axis=1).all():  # networks that are all alike have no order
            return None
        return rank_correlation(known[0], known[1])

    def _state(self) -> dict[str, Any]:
        """Everything that a continued training needs, on the CPU."""
        kept = {} if self._optimiser is None else self._optimiser.state
        return {
            "bank": self.bank.state(),
            "optimiser": [
                {name: _on_cpu(value) for name, value in kept.get(_seen(one), {}).items()} for _, one in self.bank
            ],
            "policy": self.policy.state(),
            "curve": [asdict(one) for one in self.curve],
            "step": self._step,
            "steps": self.steps,
            "code": None if self._code is None else self._code.tolist(),
            "left": self._left,
            "orders": self._orders,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.bank.restore(state["bank"])
        self.steps = int(state.get("steps", self.steps))
        self.policy.begin(self.steps)
        self.policy.restore(state["policy"])
        self.curve = [EpochDone(**one) for one in state["curve"]]
        self._step, self._left = int(state["step"]), int(state["left"])
        self._code = None if state["code"] is None else np.array(state["code"], dtype=np.int64)
        self._orders = [(int(epoch), list(losses)) for epoch, losses in state["orders"]]
        self.probes = self.probes[: len(self._orders[-1][1])] if self._orders else self.probes
        tensors = [one.tensor for _, one in self.bank]
        if not tensors:
            return
        self._optimiser = optimiser_of(tensors, self.recipe, self.recipe.lr)
        for tensor, kept in zip(tensors, state["optimiser"], strict=True):
            if kept:
                self._optimiser.state[tensor] = {
                    name: value.to(self.bank.device) if isinstance(value, Tensor) and value.ndim else value
                    for name, value in kept.items()
                }

    def _keep(self) -> None:
        """Write a checkpoint whole, so that a killed process leaves the previous one."""
        if self.path is not None:
            write_checkpoint(self.path, self._state())

    def _resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if (held := read_checkpoint(self.path)) is not None:
            self._restore(held)


def _as_large(kept: dict[str, Any], shared: Shared) -> None:
    """Give what an optimiser keeps of a tensor that has grown its size; it is 0 where the tensor is new."""
    for name, value in kept.items():
        if isinstance(value, Tensor) and value.ndim and value.shape != shared.tensor.shape:
            kept[name] = grown(value, torch.zeros_like(shared.tensor), shared.kernel)


def _seen(shared: Shared) -> nn.Parameter:
    """The tensor that an optimiser knows: a smaller one where it has grown since the last step."""
    return shared.tensor if shared.smaller is None else shared.smaller


def _on_cpu(value: object) -> object:
    return value.detach().cpu() if isinstance(value, Tensor) else value
