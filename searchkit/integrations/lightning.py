"""A LightningModule as the training function of a search: ``searchkit.run(training=lightning_training(...))``."""

from __future__ import annotations

import functools
import importlib
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from searchkit.errors import CandidateError, SearchkitError
from searchkit.problem.numbers import is_whole, shown

if TYPE_CHECKING:
    from torch import nn

    from searchkit.data.data import Data
    from searchkit.training.own_training import TrainingFunction
    from searchkit.training.reporter import Reporter

PACKAGES = ("lightning.pytorch", "pytorch_lightning")  # the first that is installed
OURS = ("accelerator", "devices", "num_nodes", "strategy")  # settings of a trainer that the search decides


def lightning_training(
    module: Callable[[nn.Module], object],
    *,
    max_epochs: int,
    batch_size: int = 64,
    names: Mapping[str, str] | None = None,
    **trainer: object,
) -> TrainingFunction:
    """A training function that has Lightning's trainer train a module around each candidate's network.

    The module gets batches ``(x, y)`` of the train part in random order, and of the validation part; the network takes
    x as it is, raw. What the module logs in its validation (``self.log("accuracy", ...)``) is reported after each epoch
    and is what the candidate scores; without a validation, what it logs in training. Where the search says stop, the
    trainer stops after that epoch. Nothing is written: no checkpoints, no logs of Lightning's own.

    Args:
        module: makes the LightningModule of a network, and keeps it as an attribute: ``lambda network: Mine(network)``.
        max_epochs: of a training.
        batch_size: of both parts.
        names: what the search calls what the module logs, such as ``{"val_acc": "accuracy"}``; all by their own names,
            where not given, otherwise these only.
        trainer: further arguments of ``Trainer``, such as ``gradient_clip_val=1.0`` or ``callbacks=[...]``.

    Raises:
        SearchkitError: Lightning is not installed, or an argument is none.
    """
    library()
    if not callable(module):
        raise SearchkitError(
            f"lightning_training takes a function (network) -> LightningModule, such as lambda network: Mine(network), "
            f"not {shown(module)}"
        )
    for name, value in (("max_epochs", max_epochs), ("batch_size", batch_size)):
        if not is_whole(value) or value < 1:
            raise SearchkitError(f"{name} is a whole number of at least 1, not {shown(value)}")
    given = [name for name in OURS if name in trainer]
    if given:
        raise SearchkitError(f"{given[0]} of the trainer is for the search to decide, by device= and executor=")
    return functools.partial(
        _train, module, int(max_epochs), int(batch_size), None if names is None else dict(names), dict(trainer)
    )


def library() -> ModuleType:
    """The module of Lightning with ``Trainer``.

    Raises:
        SearchkitError: it is not installed; with the line that installs it.
    """
    for name in PACKAGES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise SearchkitError(
        'lightning_training needs Lightning, which is not installed: pip install "searchkit-nas[lightning]"'
    )


def _train(
    make: Callable[[nn.Module], object],
    max_epochs: int,
    batch_size: int,
    names: Mapping[str, str] | None,
    settings: Mapping[str, Any],
    network: nn.Module,
    data: Data,
    report: Reporter,
) -> None:
    """Train one candidate; module-level, so that worker processes can be sent it."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    pl = library()
    module = make(network)
    if not isinstance(module, pl.LightningModule):
        raise CandidateError(f"the function made {type(module).__name__}, not a LightningModule")
    if not any(part is network for part in module.modules()):
        raise CandidateError(
            f"{type(module).__name__} does not keep the network that it was given, so that it would train another one: "
            "self.network = network"
        )
    device = torch.device(report.device)
    on = {"accelerator": "cpu", "devices": 1}
    if device.type == "cuda":
        on = {"accelerator": "gpu", "devices": [device.index or 0]}
    usual = {
        "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }  # fmt: skip
    callbacks = settings.get("callbacks") or []
    callbacks = [*(callbacks if isinstance(callbacks, list | tuple) else [callbacks]), _reporter(pl, report, names)]
    parts = [TensorDataset(part.x, part.y) for part in (data.train, data.val)]
    with _quietly(), _interruptible():
        trainer = pl.Trainer(**(usual | dict(settings) | on | {"max_epochs": max_epochs, "callbacks": callbacks}))
        trainer.fit(
            module,
            DataLoader(parts[0], batch_size, shuffle=True),
            DataLoader(parts[1], batch_size) if _validates(pl, module) else None,
        )


def _validates(pl: Any, module: object) -> bool:
    own = getattr(type(module), "validation_step", None)
    return own is not pl.LightningModule.validation_step


def _reporter(pl: Any, report: Reporter, names: Mapping[str, str] | None) -> object:
    """A callback of Lightning's that reports what was logged."""

    class Following(pl.Callback):
        def on_validation_end(self, trainer: Any, module: Any) -> None:
            if not trainer.sanity_checking:
                self._report(trainer)

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            if not _validates(pl, module):
                self._report(trainer)

        def _report(self, trainer: Any) -> None:
            if trainer.should_stop and report.stopped:
                return
            found = {name: value for name, value in trainer.callback_metrics.items() if names is None or name in names}
            if not found:
                what = ", ".join(trainer.callback_metrics) or "nothing"
                wanted = f"none of {', '.join(names)}" if names else "nothing"
                raise CandidateError(f"the LightningModule logged {wanted} ({what}): self.log('accuracy', ...)")
            said = {name if names is None else names[name]: value for name, value in found.items()}
            if report(trainer.current_epoch + 1, said):
                trainer.should_stop = True

    return Following()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the search and not the process: Lightning ignores it from then on, and exits."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Lightning's lines on devices and its advice, which would come with each candidate."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
