"""The library of a trained network's blocks: alternatives that have learned, and what each is worth and costs."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from searchkit.compression.learning import LearningSetting, Lessons, OnSegment
from searchkit.compression.quality import Key, divergences, relative_errors
from searchkit.errors import SearchkitError
from searchkit.execution.executors import as_they_finish, open_executor, workers_of
from searchkit.execution.outcome import Job
from searchkit.runtime.copies import copied
from searchkit.runtime.fingerprint import fingerprint
from searchkit.runtime.threads import one_thread
from searchkit.runtime.whole_files import written_whole
from searchkit.training.evaluation import Evaluation
from searchkit.types import Codes

log = logging.getLogger("searchkit")

DIVERGENCE_EXAMPLES = 256  # on which the network's answers are compared with one block replaced


@dataclass(frozen=True)
class Learned:
    """Alternatives that have learned.

    Attributes:
        errors: (node, alternative) -> mean absolute error of its output over the deviation of the block's own; lower is
            better. It tells what an assembled network is worth after fine-tuning.
        divergences: (node, alternative) -> how far the network's answers are from its own with this block replaced. It
            tells what an assembled network is worth as it is.
        modules: (node, alternative) -> the module that has learned, in eval mode.
        dropped: alternatives that others of their block dominated, in error and in every cost.
    """

    errors: Mapping[Key, float]
    divergences: Mapping[Key, float]
    modules: Mapping[Key, nn.Module] = field(repr=False)
    dropped: tuple[Key, ...] = ()

    def has(self, key: Key) -> bool:
        """Whether an alternative has learned, or was dropped."""
        return key in self.modules or key in self.dropped

    def qualities(self, fine_tuned: bool) -> Mapping[Key, float]:
        """What counts for networks that are fine-tuned, or are not."""
        return self.errors if fine_tuned else self.divergences


@dataclass(frozen=True)
class LearningTask(Evaluation):
    """Teaches the alternatives of one group of nodes, and writes them; picklable.

    Attributes:
        model: the trained network, in eval mode.
        places: node -> dotted name of its module.
        library: node -> alternative -> module.
        costs: (node, alternative) -> costs.
        respects: in which these costs are.
        x: ``(n, ...)`` examples.
        groups: the nodes of each group.
        folder: of what is written, files for each alternative.
        within: seconds for the learning of a group.
    """

    model: nn.Module
    places: Mapping[str, str]
    library: Mapping[str, Mapping[str, nn.Module]]
    costs: Mapping[Key, Sequence[float]]
    respects: tuple[str, ...]
    x: Tensor
    setting: LearningSetting
    seed: int
    groups: tuple[tuple[str, ...], ...]
    folder: Path
    within: float | None = None
    on_segment: OnSegment | None = None

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> Mapping[str, float]:
        """Teach group ``code[0]``; ``{"alternatives": number that were kept}``."""
        with one_thread():
            return {"alternatives": float(self.run(int(code[0])))}

    def run(self, number: int) -> int:
        """Teach a group of nodes; the number of alternatives that were kept."""
        nodes = self.groups[number]
        model, places = copied(self.model).eval(), {node: self.places[node] for node in nodes}
        library = {node: self.library[node] for node in nodes}
        path = self.folder / f"{fingerprint({node: list(library[node]) for node in nodes})}.learning.pt"
        lessons = Lessons(model, places, library, self.costs, self.x, self.setting, self.seed, path)
        lessons.learn(self.within, self.on_segment)
        kept = lessons.modules()
        errors = relative_errors(model, places, kept, lessons.rated)
        answers = divergences(model, places, kept, lessons.rated[:DIVERGENCE_EXAMPLES])
        for node in nodes:
            for label, module in library[node].items():
                key, stem = (node, label), _stem(self.folder, (node, label), module)
                if key in kept:
                    _write(stem, kept[key], {"error": errors[key], "divergence": answers[key]})
                else:
                    _write(stem, None, {"dropped": list(self.respects)})
        path.unlink(missing_ok=True)
        return len(kept)


def learn(
    model: nn.Module,
    places: Mapping[str, str],
    library: Mapping[str, Mapping[str, nn.Module]],
    x: Tensor,
    *,
    costs: Mapping[Key, Sequence[float]] | None = None,
    respects: Sequence[str] = (),
    setting: LearningSetting | None = None,
    seed: int = 0,
    executor: object = None,
    folder: Path | None = None,
    seconds: float | None = None,
    on_segment: OnSegment | None = None,
) -> Learned:
    """Teach the alternatives of all nodes, in worker processes where the executor has several.

    Args:
        model: the trained network; not changed.
        places: node -> dotted name of its module.
        library: node -> alternative -> its module, initialised.
        x: ``(n, ...)`` examples as the network takes them; labels are not needed.
        costs: (node, alternative) -> its costs; an alternative with a higher error and no lower cost than another one
            is dropped on the way.
        respects: the names of these costs. What was dropped under others is not dropped for good.
        executor: as for :func:`searchkit.run`.
        folder: what was learned is kept there, so that a call that was stopped goes on, and the same call again learns
            nothing; None: it is not kept.
        seconds: after which learning ends early.
        on_segment: called in this process with the parts done, those in all, and the mean relative squared error.

    Raises:
        SearchkitError: a group could not learn; what the others have learned is kept.
    """
    costs, setting = costs or {}, setting or LearningSetting()
    with tempfile.TemporaryDirectory() as temporary:
        identity = fingerprint(_digest(model), asdict(setting), seed, x.numpy())
        at, respects = Path(temporary) if folder is None else folder / identity, tuple(sorted(respects))
        at.mkdir(parents=True, exist_ok=True)
        known = _read(at, library, respects)
        missing = {
            node: {label: module for label, module in alternatives.items() if not known.has((node, label))}
            for node, alternatives in library.items()
        }
        missing = {node: alternatives for node, alternatives in missing.items() if alternatives}
        if missing:
            groups = _groups(missing, list(missing), workers_of(executor, None))
            task = LearningTask(
                copied(model).eval(), places, missing, costs, respects, x, setting, seed, groups, at, seconds,
                on_segment if executor is None else None,
            )  # fmt: skip
            _teach(task, executor)
        return _read(at, library, respects)


def _teach(task: LearningTask, executor: object) -> None:
    """Have all groups learn; errors in this process are raised unchanged."""
    jobs = [Job(np.array([i], dtype=np.int64), 0) for i in range(len(task.groups))]
    if executor is None:
        for job in jobs:
            task(job.code, 0)
        return
    workers, failed = open_executor(executor, task, ("alternatives",)), ""
    try:
        for i, outcome in as_they_finish(workers, jobs):
            if outcome.reason is None:
                log.info("alternatives of %s have learned", ", ".join(task.groups[i]))
            else:
                failed = failed or f"the alternatives of {', '.join(task.groups[i])} did not learn: {outcome.reason}"
    finally:
        workers.close()
    if failed:
        raise SearchkitError(failed)


def _groups(
    library: Mapping[str, Mapping[str, nn.Module]], nodes: Sequence[str], n: int
) -> tuple[tuple[str, ...], ...]:
    """The nodes in at most n groups of about equal work; in each, they are in the order of the network."""
    sizes = {node: len(library[node]) for node in nodes}
    groups: list[list[str]] = [[] for _ in range(min(n, len(nodes)))]
    for node in sorted(nodes, key=lambda node: -sizes[node]):
        min(groups, key=lambda group: sum(sizes[one] for one in group)).append(node)
    return tuple(tuple(sorted(group, key=list(nodes).index)) for group in groups)


def _digest(model: nn.Module) -> str:
    return fingerprint(*(tensor.detach().cpu().numpy() for tensor in model.state_dict().values()))


def _stem(folder: Path, key: Key, module: nn.Module) -> Path:
    """The files of an alternative, but for their endings; one with other weights at the beginning has others."""
    return folder / fingerprint(key, _digest(module))


def _write(stem: Path, module: nn.Module | None, described: Mapping[str, Any]) -> None:
    """The weights of an alternative that was not dropped, and what is known of it; that appears last."""
    tensors = {} if module is None else module.state_dict()
    with written_whole([stem.with_suffix(".safetensors"), stem.with_suffix(".json")]) as (weights, text):
        save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, weights)
        text.write_text(json.dumps(described))


def _read(folder: Path, library: Mapping[str, Mapping[str, nn.Module]], respects: tuple[str, ...]) -> Learned:
    """What is known of the alternatives; those dropped for costs in other respects are not."""
    errors: dict[Key, float] = {}
    answers: dict[Key, float] = {}
    modules: dict[Key, nn.Module] = {}
    dropped: list[Key] = []
    for node, alternatives in library.items():
        for label, initial in alternatives.items():
            stem = _stem(folder, (node, label), initial)
            if not stem.with_suffix(".json").exists():
                continue
            held = json.loads(stem.with_suffix(".json").read_text())
            if "dropped" in held:
                dropped += [(node, label)] if held["dropped"] == list(respects) else []
            elif not (math.isfinite(held["error"]) and math.isfinite(held["divergence"])):
                dropped.append((node, label))
            else:
                module = copied(initial).eval()
                module.load_state_dict(load_file(stem.with_suffix(".safetensors")))
                errors[node, label], answers[node, label] = held["error"], held["divergence"]
                modules[node, label] = module
    return Learned(errors, answers, modules, tuple(dropped))


def by_node(modules: Mapping[Key, nn.Module]) -> dict[str, dict[str, nn.Module]]:
    """node -> alternative -> module, of (node, alternative) -> module."""
    found: dict[str, dict[str, nn.Module]] = {}
    for (node, label), module in modules.items():
        found.setdefault(node, {})[label] = module
    return found
