"""Scores of each task: of a batch of outputs what they need of every example, and the scores of all examples.

Each example counts by its weight, as ``sample_weight`` of scikit-learn's scores does.
"""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import torch
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.masks import IGNORED
from searchkit.training.tasks.similarity import structural_similarity


def of_each(outputs: torch.Tensor, y: torch.Tensor, data: Data) -> torch.Tensor:
    """``(n, ...)`` float64: what the scores need to know of every example.

    Args:
        outputs: logits ``(n, k)`` or ``(n, k, h, w)``, or standardised quantities of these shapes.
        y: see :class:`~searchkit.data.splits.Split`.
    """
    outputs = outputs if outputs.dtype is torch.float64 else outputs.float()
    if data.task == "classification":  # the class said, the log loss, and the class
        lost = functional.cross_entropy(outputs, y, reduction="none")
        return torch.stack([outputs.argmax(1).double(), lost.double(), y.double()], dim=1)
    if data.task == "multilabel":  # (n, 2, k) labels said, and labels
        return torch.stack([(outputs > 0).double(), y.double()], dim=1)
    if data.task == "regression":  # (n, 2, k) quantities said, and quantities, in their own units
        return torch.stack([in_units(outputs.double(), data), y.double().view(len(y), -1)], dim=1)
    if data.task == "segmentation":
        return _areas(outputs.argmax(1), y.long(), outputs.shape[1])
    return _errors(in_units(outputs.double(), data), y.double(), data)


def scores_of_all(found: torch.Tensor, data: Data, counts: torch.Tensor) -> dict[str, float]:
    """The scores of all examples.

    Args:
        found: ``(n, ...)`` what :func:`of_each` says of them.
        counts: ``(n,)`` float64, how much each counts.

    Returns:
        for classification ``accuracy`` and ``balanced_accuracy`` (the mean over classes of their recall), both from 0
        to 1, and ``log_loss``; for several labels at once ``f1_macro``, the mean over labels, and ``subset_accuracy``,
        the share of examples of which all labels are right; for regression ``r2``, and ``rmse`` in the target's own
        unit, both means over the quantities; for masks ``miou``, the mean over the classes that there are of
        intersection by union, and ``pixel_accuracy``; for maps ``rmse``, and ``ssim``, see
        :func:`~searchkit.training.tasks.similarity.structural_similarity`.
    """
    totals = {
        "classification": _of_classes,
        "multilabel": _of_labels,
        "regression": _of_quantities,
        "segmentation": _of_masks,
        "maps": _of_maps,
    }
    return totals[data.task](found, counts, data)


def in_units(outputs: torch.Tensor, data: Data) -> torch.Tensor:
    """Standardised quantities ``(n, k)`` or maps ``(n, k, h, w)`` in their own units, in the same precision."""
    assert data.target is not None
    shape = (1, -1, *[1] * (outputs.ndim - 2))
    mean, std = (
        torch.tensor(values, dtype=torch.float64).to(outputs.device, outputs.dtype).view(shape)
        for values in (data.target.mean, data.target.std)
    )
    return outputs * std + mean


def _of_classes(found: torch.Tensor, counts: torch.Tensor, data: Data) -> dict[str, float]:
    y = found[:, 2].long()
    right = found[:, 0] == found[:, 2]
    per_class = torch.bincount(y, counts, minlength=data.n_classes)
    recognised = torch.bincount(y[right], counts[right], minlength=data.n_classes)
    there = per_class > 0
    total = float(counts.sum())
    return {
        "accuracy": float(counts[right].sum()) / total,
        "balanced_accuracy": float((recognised[there] / per_class[there]).mean()),
        "log_loss": float((found[:, 1] * counts).sum()) / total,
    }


def _of_labels(found: torch.Tensor, counts: torch.Tensor, data: Data) -> dict[str, float]:
    """A label that no example has and none is said to have gets an F1 of 0, as in scikit-learn."""
    said, true = found[:, 0], found[:, 1]
    both, of_said, of_true = ((part * counts[:, None]).sum(0) for part in (said * true, said, true))
    f1 = torch.where(of_said + of_true > 0, 2 * both / (of_said + of_true).clamp(min=1e-300), 0.0)
    right = (said == true).all(1)
    return {"f1_macro": float(f1.mean()), "subset_accuracy": float(counts[right].sum() / counts.sum())}


def _of_quantities(found: torch.Tensor, counts: torch.Tensor, data: Data) -> dict[str, float]:
    """If all targets of a quantity are equal, its R^2 is defined as 1 for exact outputs and 0 otherwise."""
    total = float(counts.sum())
    r2, rmse = [], []
    for said, y in zip(found[:, 0].unbind(1), found[:, 1].unbind(1), strict=True):
        missed = float(((said - y).square() * counts).sum())
        varied = float(((y - (y * counts).sum() / total).square() * counts).sum())
        r2.append(1 - missed / varied if varied > 0 else float(missed == 0))
        rmse.append(math.sqrt(missed / total))
    return {"r2": math.fsum(r2) / len(r2), "rmse": math.fsum(rmse) / len(rmse)}


def _areas(said: torch.Tensor, y: torch.Tensor, k: int) -> torch.Tensor:
    """``(n, 3, k)`` pixels of each class: rightly said, said, and true; without those that are ignored."""
    n, there = len(y), y != IGNORED
    example = torch.arange(n, device=y.device).view(-1, 1, 1).expand_as(y)

    def counted(classes: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        return torch.bincount((example * k + classes)[where], minlength=n * k).view(n, k)

    return torch.stack([counted(y, there & (said == y)), counted(said, there), counted(y, there)], dim=1).double()


def _of_masks(found: torch.Tensor, counts: torch.Tensor, data: Data) -> dict[str, float]:
    both, said, true = (found * counts[:, None, None]).sum(0)
    union = said + true - both
    there = union > 0
    total = float(true.sum())
    if not total:
        return {"miou": math.nan, "pixel_accuracy": math.nan}
    return {"miou": float((both[there] / union[there]).mean()), "pixel_accuracy": float(both.sum()) / total}


def _errors(said: torch.Tensor, y: torch.Tensor, data: Data) -> torch.Tensor:
    """``(n, 3)`` sum of squared errors, number of values, and structural similarity (NaN where it cannot be said)."""
    there = ~y.isnan()
    missed = torch.where(there, said - y, 0.0).square().flatten(1).sum(1)
    similar = structural_similarity(said, y, _spread(data))
    return torch.stack([missed, there.flatten(1).sum(1).double(), similar], dim=1)


_spreads: WeakKeyDictionary[Data, float] = WeakKeyDictionary()


def _spread(data: Data) -> float:
    """Largest less smallest value of the maps of the train part."""
    if data not in _spreads:
        y = data.train.y[~data.train.y.isnan()]
        _spreads[data] = float(y.max() - y.min()) or 1.0
    return _spreads[data]


def _of_maps(found: torch.Tensor, counts: torch.Tensor, data: Data) -> dict[str, float]:
    missed, n, similar = found.unbind(1)
    values, told = float((n * counts).sum()), ~similar.isnan()
    return {
        "rmse": math.sqrt(float((missed * counts).sum()) / values) if values else math.nan,
        "ssim": float((similar * counts)[told].sum() / counts[told].sum()) if bool(told.any()) else math.nan,
    }
