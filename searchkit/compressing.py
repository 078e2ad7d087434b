"""The function :func:`searchkit.compress`: a trained network made to fit bounds on its cost."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from searchkit.api import check_arguments, run
from searchkit.blocks.additive import Additive, blocks_of
from searchkit.compression.assembled import ModelSpace, model_space
from searchkit.compression.assembly import Assembly, Cost, additive, choose
from searchkit.compression.bounds import check_attainable, corrected, costs_of, of_blocks, read_bounds, saving
from searchkit.compression.examples import labelled, of_classes
from searchkit.compression.learned import Learned, by_node, learn
from searchkit.compression.learning import LearningSetting
from searchkit.compression.measured import Measured
from searchkit.data.data import Data
from searchkit.data.loader import Normaliser
from searchkit.errors import SearchkitError
from searchkit.problem.numbers import is_whole, shown
from searchkit.problem.trial import State, Trial
from searchkit.random_state import untouched
from searchkit.results.result import Result
from searchkit.runtime.threads import one_thread
from searchkit.storage.paths import check_storage, networks_folder
from searchkit.training.optimisation import Steps
from searchkit.training.recipe import Recipe
from searchkit.training.speed import step_seconds
from searchkit.training.train import place

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.results.safe_html import Html

SPARE = 6  # candidates beside those that are wanted, in place of networks that break a bound when they are measured
EXAMPLE = 256  # pictures on which the network is looked at

log = logging.getLogger("searchkit")


class Compressed(Result):
    """The result of :func:`searchkit.compress`; a :class:`~searchkit.results.result.Result`.

    Attributes:
        front: networks on the trade-off: first those within the bounds, the most accurate in row 0, then those that are
            not, among them the network that was given. ``accuracy_before`` is that before the fine-tuning.
        bounds: name of a cost -> the highest value that was allowed.
        library: the alternatives of the blocks that have learned, with what each is worth.
        costs: the bounded costs, as sums over the blocks.
    """

    bounds: Mapping[str, float]
    library: Learned
    costs: Sequence[Cost]

    @property
    def _winners(self) -> list[Trial]:
        return sorted(super()._winners, key=lambda trial: not self._within(trial))

    def _within(self, trial: Trial) -> bool:
        return all(trial.values.get(name, math.inf) <= bound for name, bound in self.bounds.items())

    @property
    def original(self) -> Mapping[str, float]:
        """Metrics of the network that was given."""
        return next(trial.values for trial in self.trials if not trial.code.any())

    def _report_sections(self) -> Sequence[tuple[str, str, Html]]:
        from searchkit.results.report.blocks import Compression, blocks
        from searchkit.results.report.facts import Facts

        found = Compression(Facts(self), self.library, self.costs, self._within)
        return [("blocks", "The blocks", blocks(found))]

    @cached_property
    def delivered(self) -> pd.DataFrame:
        """The rows of the front that are within the bounds."""
        return self.front[: sum(map(self._within, self._winners))]


def compress(
    model: nn.Module,
    data: object,
    *,
    constraints: Mapping[str, float | str | tuple[float | None, float | None]],
    epochs: int | None = None,
    seconds: float | None = None,
    networks: int = 1,
    nodes: Sequence[str] | None = None,
    alternatives: Callable[..., Mapping[str, nn.Module]] | None = None,
    learning: LearningSetting | None = None,
    learning_seconds: float | None = None,
    recipe: Mapping[str, object] | None = None,
    executor: object = None,
    storage: str | Path | None = None,
    name: str | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> Compressed:
    """Make a trained network fit bounds on its cost: cheaper blocks learn from its own, and are chosen exactly.

    The network is cut into blocks. Each gets cheaper alternatives, made of its own weights, which learn alone to give
    the block's output from the block's input (:mod:`searchkit.compression.learning`). The best sum of alternatives
    within the bounds is found exactly, put together, measured as a whole, and fine-tuned with the answers of the
    network that was given, which is not changed.

    Args:
        model: takes pictures ``(n, c, h, w)`` as ``data`` has them, and returns scores of the classes ``(n, classes)``.
        data: pictures and labels as for :func:`searchkit.run`, as the network takes them: they are not standardised. Or
            pictures alone ``(n, c, h, w)``; then the network's own answers are the labels, and an accuracy is the
            agreement with it.
        constraints: upper bounds: cost -> a number, ``(None, number)``, or a share of the network's own cost such as
            "50%". Costs are params, macs, and latency_ms, which is measured on this machine.
        epochs: of fine-tuning (2); 0: networks are delivered as they are put together.
        seconds: about the time of the fine-tuning of a network, in place of epochs.
        networks: how many within the bounds are fine-tuned; those after the first are under tighter bounds.
        nodes: dotted names of the modules that may be replaced; by default they are found.
        alternatives: ``(name, module, input_shape, output_shape) -> {label: module}``, further alternatives of a block.
        learning: how alternatives learn.
        learning_seconds: after which they stop.
        recipe: settings of the fine-tuning, see :class:`~searchkit.training.recipe.Recipe`.
        executor, storage, name, seed, device, progress: as for :func:`searchkit.run`. With a storage that is a folder,
            what was learned is kept there: the same network under other bounds learns nothing again.

    Raises:
        ModelError: the network cannot be cut.
        ConstraintError: nothing can meet a bound (the message names the least), or the network meets all as it is.
        DataError: data that the network does not take, or labels that are not its classes.
    """
    asked = read_bounds(constraints)
    epochs = _epochs(epochs, seconds)
    if not is_whole(networks) or networks < 1:
        raise SearchkitError(f"networks is a whole number of at least 1, not {shown(networks)}")
    check_storage(storage)
    loaded = labelled(model, data, seed)
    inputs = Normaliser(loaded, torch.device("cpu"))(loaded.train.x)
    space = model_space(model, inputs[:EXAMPLE], nodes=nodes, alternatives=alternatives)
    loaded = of_classes(loaded, space.n_classes)
    folder = None if storage == "memory" else networks_folder(storage, "blocks")
    measured = Measured(None if folder is None else folder / "measured.json")
    costs = costs_of(space, asked, measured)
    useful = saving(costs)
    space = space.with_modules({key: module for key, module in space.modules().items() if key in useful})
    check_attainable(space, costs)
    search: dict[str, Any] = {
        "objectives": ("accuracy", *(cost.name for cost in costs)), "budget": 1 + networks + SPARE, "batch": 1,
        "recipe": fine_tuning(epochs) | dict(recipe or {}), "executor": executor, "storage": storage, "name": name,
        "seed": seed, "device": device, "progress": progress, "baselines": False,
    }  # fmt: skip
    check_arguments(space=space, data=loaded, **search)
    log.info("%d blocks with %d alternatives that save something", len(space.nodes), len(space.modules()))
    library = learn(
        space.original, {node.name: node.module for node in space.nodes}, by_node(space.modules()), inputs,
        costs=of_blocks(costs), respects=[cost.name for cost in costs], setting=learning, seed=seed,
        executor=executor, seconds=learning_seconds,
        on_segment=_tell, folder=folder,
    )  # fmt: skip
    own_ms = next((cost.own for cost in costs if cost.name == "latency_ms"), None)
    space = space.with_modules(library.modules, fine_tuned=epochs > 0, teacher_ms=own_ms)
    quality = additive(space, library.qualities(fine_tuned=epochs > 0))
    costs = corrected(space, quality, costs, measured)
    if seconds is not None:
        search["recipe"] = _within(space, quality, costs, loaded, search["recipe"], float(seconds))
    strategy = functools.partial(Assembly, quality=quality, costs=costs, networks=networks)
    result = run(strategy, space=space, data=loaded, **search)
    return _compressed(result, library, costs)


def _epochs(epochs: int | None, seconds: float | None) -> int:
    """Of fine-tuning; 1 where seconds say how long it is."""
    if epochs is not None and seconds is not None:
        raise SearchkitError("epochs and seconds both say how long the fine-tuning is: leave one of them out")
    if seconds is not None:
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not 0 < seconds < math.inf:
            raise SearchkitError(f"seconds is a number above 0, not {shown(seconds)}")
        return 1
    if epochs is not None and (not is_whole(epochs) or epochs < 0):
        raise SearchkitError(f"epochs is a whole number of at least 0, not {shown(epochs)}")
    return 2 if epochs is None else int(epochs)


def _within(
    space: ModelSpace, quality: Additive, costs: Sequence[Cost], data: Data, recipe: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """The recipe with as many steps as the best network makes in a time."""
    picked = choose(space, quality, costs).picked
    code = np.zeros(space.n_choices, int) if picked is None else blocks_of(space).codes(picked[None])[0]
    network, device = space.build(code).train(), torch.device("cpu")
    with one_thread(), untouched():
        place(network, device)
        step = step_seconds(Steps(network, data, Recipe(**recipe), device, 0, None, space.original), device)
    return {name: value for name, value in recipe.items() if name != "epochs"} | {"steps": max(1, int(seconds / step))}


def _tell(done: int, total: int, error: float) -> None:
    """Say how far learning is, where it happens in this process."""
    log.info("alternatives learn: %d of %d parts, mean squared error %.3g of the blocks' variance", done, total, error)


def fine_tuning(epochs: int) -> dict[str, object]:
    """The fine-tuning: from weights that are good already, at a low rate, mostly from the answers of the original."""
    return {
        "epochs": max(1, epochs),
        "batch_size": 32,
        "lr": 0.02,
        "label_smoothing": 0.0,
        "warm_up": 0.1,
        "distillation": 0.9,
    }


def _compressed(result: Result, library: Learned, costs: Sequence[Cost]) -> Compressed:
    compressed = Compressed.__new__(Compressed)
    vars(compressed).update(vars(result) | {"_made_from": result})  # whose folder may be gone when it is
    compressed.refresh()
    compressed.library, compressed.costs = library, tuple(costs)
    compressed.bounds = {cost.name: cost.asked for cost in costs}
    made = [trial for trial in result.trials if trial.state is State.SCORED and trial.code.any()]
    compressed.stopped = f"{sum(map(compressed._within, made))} networks within the bounds"
    if not any(map(compressed._within, made)):
        log.warning("no network that was put together kept the bounds when it was measured as a whole")
    return compressed
