"""Ratings of a space's blocks, saved and loaded, and their sums as a proxy for all its networks."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from searchkit.blocks.additive import Additive, blocks_of
from searchkit.data.loading import load_data
from searchkit.errors import CandidateError, ProxyError
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.dna_training import OnEpoch
from searchkit.proxies.supernet import parts_of
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.protocols import Setting
from searchkit.space import NetworkSpace, Space
from searchkit.space.inputs import CALLED
from searchkit.surroundings import settled
from searchkit.types import Codes, Floats

FORMAT = 1
Rated = tuple[Floats, float]  # (a,) ratings of a block's paths, lower is better, and the block's weight


class BlockRatings(ABC):
    """Base class of DNA and DNA++.

    Nothing is trained before the first score or :meth:`fit`. With a folder, trained ratings and checkpoints are kept
    there, and a training that was stopped continues.

    Args:
        space: of networks; it names its nodes and the module of each (``searchkit.Node``).
        data: as for :func:`searchkit.run`, or what the search gives to proxies
            (:class:`searchkit.scoring.protocols.Setting`).
        setting: of the training.
        device, seed, executor: as for :func:`searchkit.run`.
        folder: for trained ratings and checkpoints; None: they are not kept.
        on_epoch: called after every epoch of a block with the block's name, its epochs so far, their number in all,
            and the mean loss; by default a progress bar, in a terminal.

    Raises:
        ProxyError: the space has no nodes, or none that are modules.
    """

    name: ClassVar[str]
    needs_networks = True
    needs_data = True
    cached = False  # adding up ratings is faster than reading scores from a study's record

    def __init__(
        self,
        space: Space,
        data: object = None,
        *,
        setting: DNASetting | None = None,
        device: str = "cpu",
        seed: int = 0,
        executor: object = None,
        folder: str | Path | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        if not isinstance(space, NetworkSpace):
            raise ProxyError(f"proxy '{self.name}' needs networks and space '{space.name}' has none")
        if isinstance(data, Setting):
            device, seed, executor, folder, data = data.device, data.seed, data.executor, data.folder, data.data
        self.data = load_data(data, seed=seed).without_test()
        self.space = space.for_data(self.data.input_shape, self.data.output_shape)
        self.blocks = blocks_of(self.space)
        self.parts = parts_of(self.space, self.blocks)
        self.setting = setting or DNASetting()
        self.device, self.seed, self.executor, self.on_epoch = device, seed, executor, on_epoch
        self.folder = None if folder is None else settled(folder) / self.name
        self._ratings: list[Floats] | None = None
        self._weights: list[float] = []

    def fit(self) -> Self:
        """Train and rate all blocks that are not rated yet.

        Raises:
            ProxyError: a block could not be trained; the others are kept.
            CandidateError: the networks take tokens or signals.
        """
        if self.space.kind in ("tokens", "signals"):
            what = CALLED[self.space.kind]
            raise CandidateError(f"it teaches blocks by feature maps of images, and networks for {what} have none")
        if self._ratings is None and not self._read():
            with _progress(self):
                rated = self._rated()
            self._ratings = [ratings for ratings, _ in rated]
            self._weights = [weight for _, weight in rated]
            if self.folder is not None:
                self.save(self.folder / "ratings")
        return self

    @property
    def ratings(self) -> dict[str, Floats]:
        """Block name -> ``(a,)`` ratings of its paths, in the order of its alternatives; lower is better."""
        self.fit()
        assert self._ratings is not None
        return {part.name: ratings for part, ratings in zip(self.parts, self._ratings, strict=True)}

    @property
    def weights(self) -> dict[str, float]:
        """Block name -> its weight in the sum."""
        self.fit()
        return {part.name: weight for part, weight in zip(self.parts, self._weights, strict=True)}

    @property
    def losses(self) -> Additive:
        """The ratings as an additive model over all blocks, to be minimised; :mod:`searchkit.blocks.exact` takes it.

        Choices that are no modules (a width of the whole network) have the value 0.
        """
        ratings, weights = self.ratings, self.weights
        tables = [np.zeros(n) for n in self.blocks.sizes]
        for part in self.parts:
            tables[part.index] = weights[part.name] * ratings[part.name]
        return Additive(0.0, tuple(tables))

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` minus the weighted sum of the ratings."""
        return -self.losses(self.blocks.choose(self.space.check(codes)))

    def save(self, path: str | Path) -> None:
        """Write the ratings as ``path.safetensors`` and their description as ``path.json``."""
        path = settled(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        described = self._described() | {"weights": self.weights}
        unfinished = [path.with_name(path.name + ending + ".unfinished") for ending in (".json", ".safetensors")]
        unfinished[0].write_text(json.dumps(described, indent=2) + "\n")
        save_file({name: np.ascontiguousarray(ratings) for name, ratings in self.ratings.items()}, unfinished[1])
        for file in unfinished:
            file.replace(file.with_suffix(""))

    def load(self, path: str | Path) -> Self:
        """Take the ratings that :meth:`save` wrote; nothing is trained.

        Raises:
            ProxyError: there are none, or they are for another space or other settings.
        """
        path = settled(path)
        try:
            held = json.loads(path.with_name(path.name + ".json").read_text())
            with safe_open(path.with_name(path.name + ".safetensors"), "numpy") as file:
                names = list(file.keys())
                ratings = {name: np.asarray(file.get_tensor(name), dtype=np.float64) for name in names}
        except (OSError, ValueError) as error:
            raise ProxyError(f"{path} holds no ratings: {error}") from error
        now = self._described()
        differs = [key for key in now if held.get(key) != now[key]]
        if differs:
            raise ProxyError(f"{path} holds ratings with another {' and another '.join(differs)}")
        for part in self.parts:
            if part.name not in ratings or ratings[part.name].shape != (len(part.taken),):
                shape = ratings[part.name].shape if part.name in ratings else "none"
                raise ProxyError(
                    f"{path} has ratings of shape {shape} for block '{part.name}', not ({len(part.taken)},)"
                )
            if not np.isfinite(ratings[part.name]).all():
                raise ProxyError(f"{path} has ratings of block '{part.name}' that are NaN or infinite")
        self._ratings = [ratings[part.name] for part in self.parts]
        self._weights = [float(held["weights"][part.name]) for part in self.parts]
        return self

    def __getstate__(self) -> dict[str, object]:
        """Trains and rates before it is sent to another process, so that nothing is trained there again."""
        self.fit()
        return self.__dict__ | {"executor": None, "on_epoch": None}

    def _described(self) -> dict[str, Any]:
        """Everything that the ratings depend on, as JSON values."""
        described = {
            "format": FORMAT,
            "method": self.name,
            "space": self.space.describe(),
            "data": self.data.fingerprint,
            "setting": asdict(self.setting),
            "seed": self.seed,
        } | self._taught_by()
        plain: dict[str, Any] = json.loads(json.dumps(described))
        return plain

    def _read(self) -> bool:
        """Load these ratings from the folder; whether it has them."""
        if self.folder is None or not (self.folder / "ratings.safetensors").exists():
            return False
        try:
            self.load(self.folder / "ratings")
        except ProxyError:
            return False
        return True

    def _own_folder(self) -> Path | None:
        """The folder of these ratings, inside the given one; other settings have others."""
        return None if self.folder is None else self.folder / fingerprint(self._described())

    def _taught_by(self) -> dict[str, Any]:
        """Further things that the ratings depend on, as JSON values."""
        return {}

    @abstractmethod
    def _rated(self) -> list[Rated]:
        """Train and rate every block."""


@contextmanager
def _progress(rated: BlockRatings) -> Iterator[None]:
    """A progress bar over all blocks' epochs, in a terminal without an ``on_epoch``."""
    if rated.on_epoch is not None or not sys.stderr.isatty():
        yield
        return
    from tqdm import tqdm

    done: dict[str, int] = {}

    def show(block: str, epochs: int, total: int, loss: float) -> None:
        bar.update(epochs - done.get(block, 0))
        done[block] = epochs
        bar.set_postfix_str(f"{block}, loss {loss:.3g}")

    n_epochs = len(rated.parts) * rated.setting.epochs
    with tqdm(total=n_epochs, desc=rated.name, unit="epoch", dynamic_ncols=True, leave=False) as bar:
        rated.on_epoch = show
        try:
            yield
        finally:
            rated.on_epoch = None
