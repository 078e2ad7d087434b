"""The losses that networks learn by: of each task, by name, weighted by classes and examples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.masks import IGNORED
from searchkit.types import Task

Weights = torch.Tensor | None
Loss = Callable[[torch.Tensor, torch.Tensor, Weights], torch.Tensor]
Each = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES: dict[Task, tuple[str, ...]] = {  # the usual one first
    "classification": ("cross-entropy", "focal"),
    "multilabel": ("cross-entropy", "focal"),
    "regression": ("squared-error", "absolute-error", "huber"),
    "segmentation": ("cross-entropy", "focal", "dice"),
    "maps": ("squared-error", "absolute-error", "huber"),
}
FOCUS = 2.0  # exponent of the focal loss (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017)
DICE = 1.0  # added to both sides of the ratio, so that a class that is nowhere costs nothing


def task_loss(data: Data, name: str, smoothing: float, device: torch.device) -> Loss:
    """The loss ``(outputs, y, weights) -> scalar`` of the data's task.

    Outputs and y have the shapes of :class:`~searchkit.data.splits.Split`; quantities and maps are standardised.
    Weights ``(n,)`` of the examples are 1 on average over the train part, not in a batch, so that an example counts as
    much in one batch as in another; None: all are 1.

    Args:
        name: one of ``LOSSES``, or "usual".
        smoothing: share of each label that is spread over all classes.
    """
    usual = name in ("usual", LOSSES[data.task][0])
    of_classes = None if data.class_weights is None else torch.tensor(data.class_weights, device=device)
    if data.task in ("classification", "segmentation"):
        if usual and data.task == "classification":
            return partial(_cross_entropy, of_classes=of_classes, smoothing=smoothing)
        if name == "dice":
            return partial(_dice, of_classes=of_classes, smoothing=smoothing)
        return partial(_of_classes, of_classes=of_classes, smoothing=smoothing, focus=0.0 if usual else FOCUS)
    if data.task == "multilabel":
        return partial(_of_labels, of_labels=of_classes, smoothing=smoothing, focus=0.0 if usual else FOCUS)
    each: dict[str, Each] = {
        "absolute-error": partial(functional.l1_loss, reduction="none"),
        "huber": partial(functional.huber_loss, reduction="none"),
    }
    if data.task == "maps":
        return partial(_of_maps, each=each.get(name, partial(functional.mse_loss, reduction="none")))
    return squared_error if usual else partial(_of_quantities, each=each[name])


def plain_loss(outputs: torch.Tensor, y: torch.Tensor, task: Task) -> torch.Tensor:
    """The usual loss of a task, without weights and smoothing."""
    if task == "classification":
        return functional.cross_entropy(outputs, y)
    if task == "regression":
        return squared_error(outputs, y)
    if task == "multilabel":
        return _of_labels(outputs, y, of_labels=None, smoothing=0.0, focus=0.0)
    if task == "segmentation":
        return _of_classes(outputs, y, of_classes=None, smoothing=0.0, focus=0.0)
    return _of_maps(outputs, y, each=partial(functional.mse_loss, reduction="none"))


def _cross_entropy(
    outputs: torch.Tensor, y: torch.Tensor, weights: Weights = None, *, of_classes: Weights, smoothing: float
) -> torch.Tensor:
    if weights is None:
        return functional.cross_entropy(outputs, y, weight=of_classes, label_smoothing=smoothing)
    each = functional.cross_entropy(outputs, y, weight=of_classes, label_smoothing=smoothing, reduction="none")
    return (each * weights).sum() / (len(y) if of_classes is None else of_classes[y].sum())


def _of_classes(
    outputs: torch.Tensor,
    y: torch.Tensor,
    weights: Weights = None,
    *,
    of_classes: Weights,
    smoothing: float,
    focus: float,
) -> torch.Tensor:
    """Cross-entropy of classes ``(n,)`` or masks ``(n, h, w)``, over what is not ignored; focal where ``focus`` is."""
    y = y.long()
    each = functional.cross_entropy(
        outputs, y, weight=of_classes, label_smoothing=smoothing, reduction="none", ignore_index=IGNORED
    )
    there = y != IGNORED
    if focus:
        right = outputs.log_softmax(1).gather(1, y.clamp(min=0).unsqueeze(1)).squeeze(1).exp()
        each = each * (1 - right) ** focus
    counted = there.to(each.dtype) if of_classes is None else of_classes[y.clamp(min=0)] * there
    return (each if weights is None else _weighted(each, weights)).sum() / counted.sum().clamp(min=1e-6)


def _dice(
    outputs: torch.Tensor, y: torch.Tensor, weights: Weights = None, *, of_classes: Weights, smoothing: float
) -> torch.Tensor:
    """Cross-entropy plus one minus the mean over classes of the soft Dice coefficient of the batch.

    Milletari et al., V-Net, 3DV 2016 (arXiv 1606.04797), with plain sums in the denominator.
    """
    plain = _of_classes(outputs, y, weights, of_classes=of_classes, smoothing=smoothing, focus=0.0)
    there = (y != IGNORED).unsqueeze(1)
    said = outputs.softmax(1) * there
    true = functional.one_hot(y.long().clamp(min=0), outputs.shape[1]).movedim(-1, 1) * there
    axes = [0, *range(2, said.ndim)]
    shared = 2 * (said * true).sum(axes) + DICE
    return plain + 1 - (shared / (said.sum(axes) + true.sum(axes) + DICE)).mean()


def _of_labels(
    outputs: torch.Tensor,
    y: torch.Tensor,
    weights: Weights = None,
    *,
    of_labels: Weights,
    smoothing: float,
    focus: float,
) -> torch.Tensor:
    """Mean binary cross-entropy of labels ``(n, k)``; focal where ``focus`` is."""
    true = y.to(outputs.dtype)
    wanted = true * (1 - smoothing) + smoothing / 2
    each = functional.binary_cross_entropy_with_logits(outputs, wanted, pos_weight=of_labels, reduction="none")
    if focus:
        said = outputs.sigmoid()
        each = each * (true * (1 - said) + (1 - true) * said) ** focus
    return (each if weights is None else _weighted(each, weights)).mean()


def _of_quantities(outputs: torch.Tensor, y: torch.Tensor, weights: Weights = None, *, each: Each) -> torch.Tensor:
    """Mean loss of outputs ``(n, k)`` for quantities ``(n,)`` or ``(n, k)``, each example weighted."""
    lost = each(outputs.squeeze(1) if y.ndim == 1 else outputs, y)
    return lost.mean() if weights is None else _weighted(lost, weights).mean()


def squared_error(outputs: torch.Tensor, y: torch.Tensor, weights: Weights = None) -> torch.Tensor:
    """Mean squared error of outputs ``(n, k)``, each example weighted where there are weights."""
    said = outputs.squeeze(1) if y.ndim == 1 else outputs
    if weights is None:
        return functional.mse_loss(said, y)
    return _weighted(functional.mse_loss(said, y, reduction="none"), weights).mean()


def _of_maps(outputs: torch.Tensor, y: torch.Tensor, weights: Weights = None, *, each: Each) -> torch.Tensor:
    """Mean loss over the pixels that have a value."""
    there = ~y.isnan()
    lost = each(outputs, torch.where(there, y, outputs.detach())) * there
    return (lost if weights is None else _weighted(lost, weights)).sum() / there.sum().clamp(min=1)


def _weighted(each: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return each * weights.view(-1, *[1] * (each.ndim - 1))


TEMPERATURE = 2.0  # of the answers that are compared


def distance(outputs: torch.Tensor, wanted: torch.Tensor, task: Task) -> torch.Tensor:
    """How far answers ``(n, k, ...)`` are from those of a teacher of the same shape.

    Of class scores: the Kullback-Leibler divergence of softened probabilities, times the squared temperature (Hinton et
    al., Distilling the Knowledge in a Neural Network, 2015, arXiv 1503.02531, section 2), of each pixel where each has
    a class. Of several labels at once: the binary cross-entropy. Of quantities and maps: the mean squared error.
    """
    if task in ("regression", "maps"):
        return functional.mse_loss(outputs, wanted)
    if task == "multilabel":
        return functional.binary_cross_entropy_with_logits(outputs, wanted.sigmoid())
    softened = functional.log_softmax(outputs / TEMPERATURE, dim=1), functional.log_softmax(wanted / TEMPERATURE, dim=1)
    if outputs.ndim == 2:
        return functional.kl_div(*softened, reduction="batchmean", log_target=True) * TEMPERATURE**2
    return functional.kl_div(*softened, reduction="none", log_target=True).sum(1).mean() * TEMPERATURE**2
