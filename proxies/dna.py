"""DNA: a trained teacher's feature maps rate every path of every block, and so every network of the space.

Li et al., Blockwisely Supervised Neural Architecture Search with Knowledge Distillation, CVPR 2020 (arXiv 1911.13053);
Wang et al., DNA Family, 2024 (arXiv 2403.01326). The rating of a path is the relative L1 distance of its output from
the teacher's map, and the rating of a network the weighted sum of its blocks' (the loss weights of the first paper's
equation 6). DNA++ does without a teacher and without labels: :mod:`searchkit.proxies.dna_self`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from searchkit.errors import ProxyError
from searchkit.execution.executors import as_they_finish, open_executor
from searchkit.execution.outcome import Job
from searchkit.proxies.block_ratings import BlockRatings, Rated
from searchkit.proxies.dna_block import BlockTask
from searchkit.proxies.dna_teacher import TeacherMaps, plain_teacher, trained_teacher
from searchkit.random_state import seeded
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.fingerprint import fingerprint
from searchkit.space import Space


class DNA(BlockRatings):
    """Rates all networks of a space from blocks trained one by one; a proxy, higher is better.

    The space may be narrower than the one that is searched, with the same choices: NAS-Bench-Macro is rated well by
    blocks of a quarter of its width, at a fraction of the cost. ``proxies=(DNA(load_space("macro", width=8), data),)``.

    Args:
        teacher: any trained network with one feature map per block, of the block's height and width; where not given, a
            plain convolutional one is trained.
        space, data, given: see :class:`~searchkit.proxies.block_ratings.BlockRatings`; blocks are trained in
            parallel if the executor has several workers (with device "auto" or "cuda", on all visible GPUs), and
            ``on_epoch`` is then called when each is complete.

    Raises:
        ProxyError: the space has no nodes, or none that are modules; or the teacher's maps are of other shapes.
    """

    name = "dna"

    def __init__(self, space: Space, data: object = None, *, teacher: nn.Module | None = None, **given: Any) -> None:
        super().__init__(space, data, **given)
        self.teacher = teacher
        if teacher is not None:
            TeacherMaps(copy.deepcopy(teacher), self.parts, self.space.input_shape)  # a copy, since it freezes it

    def __getstate__(self) -> dict[str, object]:
        return super().__getstate__() | {"teacher": None}

    def _taught_by(self) -> dict[str, Any]:
        return {"teacher": None if self.teacher is None else _digest(self.teacher)}

    def _rated(self) -> list[Rated]:
        """Ratings and weight of every block, trained in parallel if the executor allows."""
        folder = self._own_folder()
        device, any_card = str(resolve_device(self.device)), str(self.device) in ("auto", "cuda")
        task = BlockTask(
            self.space, self.data, self._taught(folder), self.setting, device, self.seed, folder,
            self.on_epoch if self.executor is None else None,
        )  # fmt: skip
        if self.executor is None:  # errors are raised unchanged, not caught by the executor
            return [_read_outcome(task(np.array([i]), 0)) for i in range(len(self.parts))]
        workers = open_executor(self.executor, task, ("weight",), any_card=any_card)
        found: dict[int, Rated] = {}
        try:
            jobs = [Job(np.array([i], dtype=np.int64), 0) for i in range(len(self.parts))]
            for i, outcome in as_they_finish(workers, jobs):
                if outcome.reason is not None:
                    raise ProxyError(f"block '{self.parts[i].name}' was not rated: {outcome.reason}")
                found[i] = _read_outcome(outcome.values)
                if self.on_epoch is not None:
                    self.on_epoch(self.parts[i].name, self.setting.epochs, self.setting.epochs, float("nan"))
        finally:
            workers.close()
        return [found[i] for i in range(len(self.parts))]

    def _taught(self, folder: Path | None) -> nn.Module:
        """The teacher, trained if none was given."""
        if self.teacher is not None:
            return self.teacher
        with seeded(self.seed):
            network = plain_teacher(self.parts, self.data, self.setting)
        path = None if folder is None else folder / "teacher.safetensors"
        return trained_teacher(network, self.data, self.setting, self.device, self.seed, path)


def _read_outcome(values: Any) -> Rated:
    return np.array([values[str(i)] for i in range(len(values) - 1)]), float(values["weight"])


def _digest(teacher: nn.Module) -> str:
    return fingerprint(*(tensor.detach().cpu().numpy() for tensor in teacher.state_dict().values()))
