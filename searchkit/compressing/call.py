"""The function :func:`searchkit.compress`: a trained network made to fit bounds on its cost."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from searchkit.api import run
from searchkit.compressing.arguments import check_arguments, check_study, epochs_of, folder_of
from searchkit.compressing.comparisons import Comparisons, recipe_of
from searchkit.compressing.compressed import Compressed
from searchkit.compressing.tuning import fine_tuning, of_seconds
from searchkit.compression.assembled import model_space
from searchkit.compression.assembly import Assembly, Cost, additive
from searchkit.compression.bounds import check_attainable, corrected, costs_of, of_blocks, read_bounds, saving
from searchkit.compression.examples import labelled, of_classes
from searchkit.compression.learned import Learned, by_node, learn
from searchkit.compression.learning import LearningSetting
from searchkit.compression.measured import Measured
from searchkit.data.normalising import Normaliser
from searchkit.errors import SearchkitError
from searchkit.execution.executors import check_executor
from searchkit.option_values import check_seconds, check_switch
from searchkit.problem.numbers import is_whole, seed_of, shown
from searchkit.problem.trial import State
from searchkit.results.result import Result

SPARE = 6  # candidates beside those that are wanted, in place of networks that break a bound when they are measured
EXAMPLE = 256  # pictures on which the network is looked at

log = logging.getLogger("searchkit")


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
    baselines: bool = False,
    recipe: Mapping[str, object] | None = None,
    executor: object = None,
    storage: str | Path | None = None,
    name: str | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool | Literal["table"] | None = None,
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
            "50%". Costs are params, macs, file_bytes (of the ONNX file), and latency_ms, measured on this machine.
        epochs: of fine-tuning (2); 0: networks are delivered as they are put together.
        seconds: about the time of the fine-tuning of a network, in place of epochs.
        networks: how many within the bounds are fine-tuned; those after the first are under tighter bounds.
        nodes: dotted names of the modules that may be replaced; by default they are found.
        alternatives: ``(name, module, input_shape, output_shape) -> {label: module}``, further alternatives of a block.
        learning: how alternatives learn.
        learning_seconds: after which they stop.
        baselines: True: also make other networks within the bounds (random blocks, blocks narrowed alike, the chosen
            design trained from scratch), which takes several times as long; see :attr:`Compressed.comparisons`.
        recipe: settings of the fine-tuning, see :class:`~searchkit.training.recipe.Recipe`.
        executor, storage, name, seed, device, progress: as for :func:`searchkit.run`. With a storage that is a folder,
            what was learned is kept there: the same network under other bounds on the same costs learns nothing again.

    Raises:
        ModelError: the network cannot be cut.
        ConstraintError: nothing can meet a bound (the message names the least), or the network meets all as it is.
        DataError: data that the network does not take, or labels that are not its classes.
    """
    asked = read_bounds(constraints)
    epochs = epochs_of(epochs, seconds)
    if not is_whole(networks) or networks < 1:
        raise SearchkitError(f"networks is a whole number of at least 1, not {shown(networks)}")
    check_seconds("learning_seconds", learning_seconds)
    check_switch("baselines", baselines)
    if learning is not None and not isinstance(learning, LearningSetting):
        raise SearchkitError(f"learning is a LearningSetting, not {shown(learning)}")
    seed = seed_of("seed", seed)
    check_executor(executor)
    check_study(storage, name, model, asked)
    folder = folder_of(storage)
    loaded = labelled(model, data, seed)
    inputs = Normaliser(loaded, torch.device("cpu"))(loaded.train.x)
    space = model_space(model, inputs[:EXAMPLE], nodes=nodes, alternatives=alternatives)
    loaded = of_classes(loaded, space.n_classes)
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
        space.original, {node.name: node.one_module for node in space.nodes}, by_node(space.modules()), inputs,
        costs=of_blocks(costs), respects=[cost.name for cost in costs], setting=learning, seed=seed,
        executor=executor, seconds=learning_seconds,
        on_segment=_tell, folder=folder,
    )  # fmt: skip
    own_ms = next((cost.own for cost in costs if cost.name == "latency_ms"), None)
    space = space.with_modules(library.modules, fine_tuned=epochs > 0, teacher_ms=own_ms)
    quality = additive(space, library.qualities(fine_tuned=epochs > 0))
    costs = corrected(space, quality, costs, measured)
    if seconds is not None:
        search["recipe"] = of_seconds(space, quality, costs, loaded, search["recipe"], float(seconds))
    strategy = functools.partial(Assembly, quality=quality, costs=costs, networks=networks)
    result = run(strategy, space=space, data=loaded, **search)
    compressed = _compressed(result, library, costs)
    compressed.others = Comparisons(space, quality, costs, loaded, recipe_of(search["recipe"]), seed, measured)
    if baselines:
        compressed.compare()
    return compressed


def _tell(done: int, total: int, error: float) -> None:
    """Say how far learning is, where it happens in this process."""
    log.info("alternatives learn: %d of %d parts, mean squared error %.3g of the blocks' variance", done, total, error)


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
