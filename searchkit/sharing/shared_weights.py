"""Weights that all networks of a space share: trained once, and every network judged with its own part of them."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path as File
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from searchkit.data.loading import load_data
from searchkit.errors import ProxyError, message_of
from searchkit.random_state import untouched
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.fingerprint import fingerprint
from searchkit.runtime.threads import one_thread
from searchkit.sharing.bank import Bank
from searchkit.sharing.bounds import counted_bounds, within
from searchkit.sharing.checks import check_networks
from searchkit.sharing.epoch import EpochDone
from searchkit.sharing.fitting import PROBED, Fitting
from searchkit.sharing.judging import Judge, Judged
from searchkit.sharing.keys import read_share
from searchkit.sharing.log import logged, said_longer, said_other, warn_guessing, warn_unsettled
from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.protocol import Policy
from searchkit.sharing.policies.table import made_policy
from searchkit.sharing.recipe import check_numbers, recipe_of, usual_epochs
from searchkit.sharing.timing import planned
from searchkit.space import NetworkSpace, Space, keys
from searchkit.space.parameters import check_listed
from searchkit.surroundings import settled
from searchkit.training.checkpoints import check_writable, write_checkpoint
from searchkit.types import Codes, Floats

FORMAT = 1
PROBES = 12  # paths that are judged after every epoch
OnEpoch = Callable[[EpochDone, int], None]


class SharedWeights:
    """One set of weights for all networks of a space, trained one path (that is, one network) a step.

    Two networks share a parameter where its name, its shape, and the options of the node that governs the name agree
    (:class:`~searchkit.sharing.keys.Key`), so that any space can be trained, also the user's own. It is a proxy, whose
    score is minus the loss of a network, and has the weights that networks can begin with (``weights=`` of
    :func:`searchkit.run`). Nothing is trained before :meth:`fit` or the first loss. With a folder, the weights are kept
    there after every epoch, and a training that was stopped continues: on a CPU to the same bit.

    Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling, ECCV 2020 (arXiv 1904.00420).

    Args:
        space: of networks.
        data: as for :func:`searchkit.run`.
        policy: how paths are drawn: "uniform", "fair", "tree", "shrinking" or "grouped"
            (:mod:`searchkit.sharing.policies`), or a function of :class:`~searchkit.sharing.paths.Paths`.
        epochs: passes over the train part; less than 1 is a part of one. None: as many as 3,000 steps take, from 20 to
            200. Weights of few epochs rank networks the wrong way round, since shallow ones learn faster: look at
            :attr:`curve`.
        seconds: that the training may take: as many of the epochs as fit into it, by its first steps. None: all.
        share: "exact": parameters of each shape are trained alone. "slice": networks of several widths, kernels and
            heads take parts of one tensor. None: "slice" where a choice is a scale of numbers.
        batch: examples a step.
        lr: peak learning rate; None: the space's own, else 0.05 of SGD.
        recipe: further settings of the training, as for :func:`searchkit.run`.
        judge: by what paths are judged: the "loss", or the "score" of classifiers, accuracy (in other tasks the loss).
        bounds: ``{"params": most, "macs": most}``; no path over them is drawn.
        device, seed: as for :func:`searchkit.run`.
        folder: for the weights; None: they are not kept.
        on_epoch: called after every epoch with an :class:`~searchkit.sharing.epoch.EpochDone` and the number of
            epochs in all; by default they are logged.

    Raises:
        ProxyError: networks that share nothing or are drawn at random, an unknown policy, or bounds that leave no path.
    """

    name = "one-shot"
    needs_networks = True
    _no_identity = ("_bank", "_judged", "_curve", "_values", "_reasons", "_fitted", "_answer", "_trained", "_until")

    def __init__(
        self,
        space: Space,
        data: object = None,
        *,
        policy: str | Callable[[Paths], Policy] = "uniform",
        epochs: float | None = None,
        seconds: float | None = None,
        share: str | None = None,
        batch: int = 64,
        lr: float | None = None,
        recipe: Mapping[str, object] | None = None,
        judge: Judge = "loss",
        bounds: Mapping[str, float] | None = None,
        device: str = "cpu",
        seed: int = 0,
        folder: str | File | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        if not isinstance(space, NetworkSpace):
            raise ProxyError(f"shared weights need networks, and space '{space.name}' builds none")
        check_listed(space.choices, "shared weights")
        check_numbers(epochs=epochs, seconds=seconds, batch=batch)
        if judge not in get_args(Judge):
            raise ProxyError(f"judge is one of {', '.join(get_args(Judge))}, not {judge!r}")
        self.data = load_data(data, seed=seed).without_test()
        self.space = space.for_data(self.data.input_shape, self.data.output_shape)
        self.share, self.judge, self.seed = read_share(share, self.space), judge, seed
        self.policy, self.bounds, self.on_epoch = policy, counted_bounds(bounds), on_epoch
        self.recipe = recipe_of(self.space, self.data, batch, lr, recipe)
        self.epochs = usual_epochs(len(self.data.train), batch) if epochs is None else epochs
        self.seconds, self._until = seconds, math.inf
        self.folder = None if folder is None else settled(folder)
        self._paths = Paths(self.space, *within(self.space, self.bounds))
        made_policy(policy, self._paths)  # refuses a name before any work
        self._bank = Bank(self.space, self.share, resolve_device(device), seed)
        self._judged: Judged | None = None
        self._curve: list[EpochDone] = []
        self._values: dict[bytes, float] = {}
        self._reasons: dict[bytes, str] = {}
        self._fitted, self._trained = False, float(self.epochs)
        self._answer: Codes | None = None

    @property
    def fitted(self) -> bool:
        """Whether the training has come to its end."""
        return self._fitted

    @property
    def curve(self) -> list[EpochDone]:
        """What was known after every epoch."""
        return list(self._curve)

    @property
    def answer(self) -> Codes | None:
        """The network ``(d,)`` that the policy is left with after the training; None where it leaves several."""
        self.fit()
        return self._answer

    @property
    def use(self) -> dict[str, float]:
        """Shared parameter -> the share of the training steps in which it was used."""
        steps = max(1, self._bank.steps)
        return {str(key): shared.steps / steps for key, shared in self._bank}

    def fit(self) -> Self:
        """Train, where that is not done; from a checkpoint where there is one.

        Raises:
            ProxyError: the networks can share nothing, or paths can no longer be trained.
        """
        if self._fitted:
            return self
        until = min(self._until, math.inf if self.seconds is None else time.perf_counter() + self.seconds)
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            check_writable(checkpoint)
        check_networks(self.space, self._bank.keys, self.seed)
        self._bank = Bank(self.space, self.share, self._bank.device, self.seed)  # an interrupted training left its own
        judged = Judged.of(self.data, self._bank.device, PROBED, PROBED // 2)
        fitting = Fitting(
            self._bank, self.data, made_policy(self.policy, self._paths), self.recipe, self.epochs, judged, self.seed,
            self._probes(), checkpoint, functools.partial(planned, until=until) if until < math.inf else None,
        )  # fmt: skip
        with self._alone():
            fitting.run(self.on_epoch or logged)
            self._answer = answer = getattr(fitting.policy, "answer", None)
            reached = fitting.last if answer is None else [judged.loss_if_trained(self._bank, answer)[0]]
        self._curve, self._fitted = fitting.curve, True
        epochs = self._trained = min(float(self.epochs), fitting.steps / fitting.per_epoch)
        warn_unsettled(fitting.settled, epochs)
        warn_guessing(reached, judged.guessing, epochs, self.recipe.lr, answer is not None)
        return self

    def train_until(self, until: float) -> None:
        """Train for as many epochs as end in time, which nothing but the curve says: of a search with a time.

        Args:
            until: by :func:`time.perf_counter`.
        """
        self._until = until

    def losses(self, codes: npt.ArrayLike) -> Floats:
        """``(n,)`` the mean validation loss of every network with its part of the weights; lower is better.

        The statistics of its batch normalisations are its own, of training examples. NaN where a network has a
        parameter that was in no training step; :meth:`why_none` says so. With ``judge="score"`` minus the accuracy,
        where there are classes.
        """
        self.fit()
        rows = self.space.check(codes)
        for key, row in zip(keys(rows), rows, strict=True):
            if key not in self._values:
                self._values[key], self._reasons[key] = self._judge(row)
        return np.array([self._values[key] for key in keys(rows)])

    def why_none(self, code: npt.ArrayLike) -> str | None:
        """Why a network ``(d,)`` that was judged has no loss; None where it has one, or was not judged."""
        return self._reasons.get(keys(self.space.check_one(code)[None])[0]) or None

    def start(self, code: npt.ArrayLike) -> dict[str, Tensor]:
        """Parameter -> a copy of what the network ``(d,)`` takes of the shared weights, on the CPU."""
        self.fit()
        path = self._bank.path(self.space.check_one(code))
        return {name: tensor.detach().cpu().clone() for name, tensor in self._bank.used(path).items()}

    def initial(self, code: npt.ArrayLike) -> dict[str, Tensor]:
        """Parameter -> what :meth:`start` gives as it was before the training, on the CPU."""
        self.fit()
        return self._bank.before(self._bank.path(self.space.check_one(code)))

    @property
    def identity(self) -> str:
        """Text that is equal for equal weights which are judged alike."""
        return fingerprint(self.described(), self.judge)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` minus the losses, so that higher is better: a proxy's scores."""
        return -self.losses(codes)

    def save(self, path: str | File) -> None:
        """Write the weights and their description into one file, which :meth:`load` reads."""
        self.fit()
        held = {
            "described": self.described(),
            "bank": self._bank.state(),
            "curve": [asdict(done) for done in self._curve],
            "answer": None if self._answer is None else self._answer.tolist(),
        }
        write_checkpoint(settled(path), held)

    def load(self, path: str | File) -> Self:
        """Take the weights that :meth:`save` wrote; nothing is trained.

        Raises:
            ProxyError: there are none, or they are of another space, other data or other settings.
        """
        try:
            with open(path := settled(path), "rb") as file:  # by a name, torch may take another format
                held = torch.load(file, map_location="cpu", weights_only=True)
            described = held["described"]
        except Exception as error:
            raise ProxyError(f"{path} holds no shared weights: {message_of(error)}") from error
        now = self.described()
        differs = [key for key in now if described.get(key) != now[key]]
        if differs:
            raise ProxyError(said_other(path, differs))
        self._bank.restore(held["bank"])
        self._curve, self._fitted = [EpochDone(**one) for one in held["curve"]], True
        self._values, self._reasons = {}, {}
        self._answer = None if held["answer"] is None else np.array(held["answer"], dtype=np.int64)
        return self

    def described(self) -> dict[str, Any]:
        """Everything that the weights depend on, as JSON values."""
        policy = self.policy if isinstance(self.policy, str) else fingerprint(self.policy)
        described = {
            "format": FORMAT, "space": self.space.describe(), "data": self.data.fingerprint, "policy": policy,
            "epochs": self.epochs, "share": self._bank.keys.described, "recipe": asdict(self.recipe),
            "bounds": self.bounds, "seed": self.seed, **({} if self.seconds is None else {"seconds": self.seconds}),
        }  # fmt: skip
        plain: dict[str, Any] = json.loads(json.dumps(described))
        return plain

    def _judge(self, code: Codes) -> tuple[float, str]:
        with self._alone():
            if self._judged is None:
                self._judged = Judged.of(self.data, self._bank.device)
            value, why = self._judged.loss_if_trained(self._bank, code, self.judge)
        return value, said_longer(why, self._trained, bool(self.bounds), self._trained < self.epochs)

    def _probes(self) -> Codes:
        rng = np.random.default_rng([self.seed, PROBES])
        return np.stack([self._paths.draw(rng) for _ in range(PROBES)])

    def _checkpoint(self) -> File | None:
        return None if self.folder is None else self.folder / f"shared-{fingerprint(self.described())}.pt"

    def __getstate__(self) -> dict[str, object]:
        """Trains before it is sent to another process, so that nothing is trained there again."""
        self.fit()
        return self.__dict__ | {"on_epoch": None, "_judged": None}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """On one thread of the CPU, whose results are the same each time; the caller's random states stay."""
        with ExitStack() as stack:
            stack.enter_context(untouched())
            if self._bank.device.type == "cpu":
                stack.enter_context(one_thread())
            yield
