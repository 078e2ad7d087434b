"""What may be predicted beside one class: several labels at once, quantities, masks and maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.dense import masked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from searchkit.data.data import Augment, Data
from searchkit.data.loader import train_batches
from searchkit.data.loading import load_data
from searchkit.data.masks import IGNORED
from searchkit.data.targets import rarest
from searchkit.errors import DataError

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(100, 5))
LABELS = (TABLE[:, :3] > 0.3).astype(int)
X, MASKS = masked()
MAPS = (X / 50.0 + 1).astype(np.float32)
NAMES = [[name for name, there in zip("abc", row, strict=True) if there] for row in LABELS]


def wanted(data: Data) -> Any:
    """All targets, of all parts together."""
    return torch.cat([data.train.y, data.val.y, data.test.y])


@pytest.mark.parametrize(
    ("given", "task", "shape"),
    [
        ((TABLE, LABELS), "multilabel", (3,)),
        ((TABLE, LABELS.astype(bool)), "multilabel", (3,)),
        ((TABLE, NAMES), "multilabel", (3,)),
        ((TABLE, [set(row) for row in NAMES]), "multilabel", (3,)),
        ((X, MASKS), "segmentation", (3, 12, 12)),
        ((X, MASKS.astype(np.uint8)[:, None]), "segmentation", (3, 12, 12)),
        ((X, MASKS[..., None]), "segmentation", (3, 12, 12)),
        (TensorDataset(torch.from_numpy(X), torch.from_numpy(MASKS)), "segmentation", (3, 12, 12)),
        (list(zip(X, MASKS, strict=True)).__iter__(), "segmentation", (3, 12, 12)),
        ((X, MAPS), "maps", (1, 12, 12)),
        ((X, np.stack([MAPS, -MAPS], 1)), "maps", (2, 12, 12)),
        ((X, np.stack([X, X, X], 1)), "maps", (3, 12, 12)),
        ((X, np.repeat(np.repeat(MAPS, 2, 1), 2, 2)), "maps", (1, 24, 24)),
    ],
)
def test_the_shape_of_y_says_the_task(given: Any, task: str, shape: tuple[int, ...]) -> None:
    data = load_data(given)
    assert (data.task, data.output_shape, data.n_classes) == (task, shape, shape[0])
    assert data.dense == (task in ("segmentation", "maps"))
    n = sum(map(len, (data.train, data.val, data.test)))
    assert len(data.train) == pytest.approx(0.6 * n, abs=3)


def test_several_quantities_are_a_regression_where_it_is_asked_for() -> None:
    data = load_data((TABLE, TABLE[:, :2] * [1.0, 100.0]), task="regression")
    assert (data.task, data.output_shape) == ("regression", (2,))
    assert data.target is not None
    assert data.target.std[1] == pytest.approx(float(data.train.y[:, 1].std(unbiased=False)))
    batches = train_batches(data, 60, torch.device("cpu"), torch.Generator().manual_seed(0))
    batches.shuffle()
    _, y = batches.batch(slice(0, 60))
    assert torch.allclose(y.mean(0), torch.zeros(2), atol=1e-2)
    assert "regression of 2 quantities" in repr(data)


def test_labels_have_their_names() -> None:
    assert load_data((TABLE, NAMES)).classes == ("a", "b", "c")
    assert load_data((TABLE, pd.DataFrame(LABELS, columns=["x", "y", "z"]))).classes == ("x", "y", "z")
    named, numbered = load_data((TABLE, NAMES)), load_data((TABLE, LABELS))
    assert torch.equal(named.train.y, numbered.train.y)
    assert torch.equal(named.test.x, numbered.test.x)


def test_masks_keep_the_users_values_and_leave_out_what_is_ignored() -> None:
    data = load_data((X, np.where(MASKS == 2, 255, MASKS * 7)), ignore=255)
    assert data.classes == (0, 7)
    assert (wanted(data) == IGNORED).sum() == (MASKS == 2).sum()
    assert data.train.y.dtype == torch.int16


@given(st.integers(0, 2**31), st.sampled_from(["shift", "crop-flip", "flip", "none"]), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_targets_move_with_their_pictures(seed: int, augment: Augment, channels: int) -> None:
    """Here each target is its picture, so that they stay alike wherever both have a value."""
    pictures = np.random.default_rng(seed).integers(1, 200, (20, channels, 16, 10)).astype(np.uint8)
    for y in (pictures[:, 0].astype(np.int64), pictures.astype(np.float32)):
        data = load_data((pictures, y), channels="first", augment=augment, normalise=False)
        batches = train_batches(data, len(data.train), torch.device("cpu"), torch.Generator().manual_seed(seed))
        batches.shuffle()
        x, found = batches.batch(slice(0, len(data.train)))
        if data.task == "segmentation":
            classes = torch.tensor([0, *data.classes])
            there, said, shown = found != IGNORED, classes[found.long() + 1], x[:, 0]
        else:
            assert data.target is not None
            there, shown = ~found.isnan(), x
            moments = [torch.tensor(values).view(1, -1, 1, 1) for values in (data.target.std, data.target.mean)]
            said = found * moments[0] + moments[1]
        assert torch.allclose(said[there].float(), shown[there], atol=1e-3)
        assert not shown[~there].any()
        assert there.all() == (augment in ("flip", "none")) or bool(there.all())


def test_a_pixel_without_a_value_is_no_number() -> None:
    holes = MAPS.copy()
    holes[:, 3:5] = np.nan
    data = load_data((X, holes))
    assert data.target is not None
    assert data.target.mean[0] == pytest.approx(
        float(data.train.y[:, :, [0, 1, 2, 5, 6, 7, 8, 9, 10, 11]].mean()), 1e-5
    )


@given(st.lists(st.integers(0, 7), min_size=30, max_size=60), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_every_label_that_is_often_there_is_in_every_part(rows: list[int], seed: int) -> None:
    y = np.array([[n & 1, n >> 1 & 1, n >> 2 & 1] for n in rows])
    if (y == y[0]).all():
        return
    data = load_data((np.arange(len(y) * 2.0).reshape(-1, 2), y), seed=seed, task="multilabel")
    groups = rarest(y)
    for label in range(3):
        if (groups == label).any():
            assert all(bool((part.y[:, label] == 1).any()) for part in (data.train, data.val, data.test))


def test_classes_count_alike_where_they_are_balanced() -> None:
    y = np.array([0] * 60 + [1] * 20 + [2] * 20)
    weights = load_data((TABLE, y), class_weights="balanced").class_weights
    assert weights == pytest.approx((100 / 180, 100 / 60, 100 / 60))
    assert load_data((TABLE, y), class_weights={0: 1, 1: 2, 2: 0.5}).class_weights == (1.0, 2.0, 0.5)
    labels = load_data((TABLE, LABELS), class_weights="balanced")
    assert labels.class_weights is not None
    n = labels.train.y.sum(0)
    assert labels.class_weights == pytest.approx(((len(labels.train) - n) / n).tolist())
    assert load_data((TABLE, y)).fingerprint != load_data((TABLE, y), class_weights="balanced").fingerprint


def test_weights_go_with_their_examples() -> None:
    weights = np.arange(100.0)
    data = load_data((np.c_[weights, TABLE], np.arange(100) % 2), weights=weights, kind="table")
    for part in (data.train, data.val, data.test):
        assert part.weight is not None
        assert torch.equal(part.weight.float(), part.x[:, 0])
    given_test = load_data(((TABLE, np.arange(100) % 2), (TABLE, np.arange(100) % 2)), weights=weights)
    assert given_test.test.weight is None


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "masks of another size": ((X, MASKS[:, :11]), {}, "pictures have 12 x 12 pixels and their masks 11 x 12"),
    "colours": ((X, np.stack([MASKS] * 3, 3)), {"task": "segmentation"}, "not shape .120, 12, 12, 3.; colours become"),
    "masks of a table": ((TABLE[:, :3], MASKS[:100]), {}, "a value for each pixel of pictures"),
    "halves": ((X, MASKS + 0.5), {"task": "segmentation"}, "masks y are whole numbers, but mask 0 has 0.5"),
    "one class": ((X, MASKS * 0), {}, "all pixels of the masks y are 0; two classes are needed"),
    "a class of the test masks": (
        ((X, MASKS.clip(0, 1)), (X, MASKS)),
        {},
        "in the test set, the masks hold class 2, .*pixels of no class have a value that load_data.*ignore=.* names",
    ),
    "fewer masks": ((X, MASKS[:100]), {}, "there are 120 images X but 100 masks y"),
    "ignore without masks": (
        (TABLE, LABELS),
        {"ignore": 255},
        "ignore=255 is a value in masks, and the task is multil",
    ),
    "ignore no number": ((X, MASKS), {"ignore": "void"}, "ignore is a whole number, .* not 'void'"),
    "infinite maps": ((X, np.full_like(MAPS, np.inf)), {}, "maps y are finite numbers, or NaN"),
    "maps moved": (
        (X, np.repeat(np.repeat(MAPS, 2, 1), 2, 2)),
        {"augment": "shift"},
        "augment='shift' moves pictures and their maps alike",
    ),
    "label 2": (
        (TABLE, LABELS * 2),
        {"task": "multilabel"},
        "several labels at once are 0 or 1 each, but row 0, column",
    ),
    "same labels": ((TABLE, [["a", "b"]] * 100), {}, "all 100 examples have the same labels"),
    "new label": (((TABLE, NAMES), (TABLE, [["a", "z"]] * 100)), {}, "the labels hold class 'z', which the training"),
    "mixed labels": ((TABLE, [["a", 1], ["b"]] * 50), {}, "all text or all numbers"),
    "NaN quantity": (
        (TABLE, np.where(LABELS, np.nan, 1.0)),
        {"task": "regression"},
        "target 0, column ., is nan; leave",
    ),
    "class weights of quantities": ((TABLE, TABLE[:, 0]), {"task": "regression", "class_weights": "balanced"}, "of cl"),
    "class weights, a typo": ((TABLE, LABELS[:, 0]), {"class_weights": "balance"}, "'balanced' or a dictionary"),
    "class weights, a class": ((TABLE, LABELS[:, 0]), {"class_weights": {0: 1, 2: 1}}, "has 2, which is no class"),
    "class weights, no class": ((TABLE, LABELS[:, 0]), {"class_weights": {0: 1}}, "lacks class 1"),
    "class weights, negative": ((TABLE, LABELS[:, 0]), {"class_weights": {0: 1, 1: -1}}, "0 or more"),
    "weights, shape": ((TABLE, LABELS[:, 0]), {"weights": [1, 2]}, "one number for each of the 100 examples"),
    "weights, negative": ((TABLE, LABELS[:, 0]), {"weights": -np.ones(100)}, "0 or more"),
    "task": ((TABLE, LABELS), {"task": "multi"}, "task is one of classification, multilabel, regression, segm"),
    "rare": ((TABLE, LABELS), {"rare": "drop"}, "examples of one class each, and the task is multilabel"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of what is infinite here
def test_bad_targets_are_refused_in_one_sentence(case: str) -> None:
    data, given, said = BAD[case]
    with pytest.raises(DataError, match=said) as told:
        load_data(data, **given)
    assert "\n" not in str(told.value)


def test_what_is_split_already_takes_no_weights() -> None:
    data = load_data((TABLE, LABELS))
    for asked in ({"weights": [1.0]}, {"class_weights": "balanced"}, {"ignore": 1}):
        with pytest.raises(DataError, match=f"{next(iter(asked))}= is about examples that are split"):
            load_data(data, **asked)  # type: ignore[arg-type]
