"""How training images are changed: strongly, by the user's own function, and mixed; the other parts never are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.dense import masked, pixelwise

import searchkit
from searchkit.data.augmenting import DRAWN, changed, draw
from searchkit.data.data import Data
from searchkit.data.loader import train_batches
from searchkit.data.loading import load_data
from searchkit.errors import DataError
from searchkit.training.optimisation import Steps
from searchkit.training.recipe import Recipe, RecipeError
from searchkit.training.train import build_seeded, train

X, MASKS = masked(side=16)
Y = np.arange(len(X)) % 3
CPU = torch.device("cpu")


def epoch(data: Data, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    batches = train_batches(data, len(data.train), CPU, torch.Generator().manual_seed(seed))
    batches.shuffle()
    return batches.batch(slice(0, len(data.train)))


def test_nothing_drawn_changes_nothing() -> None:
    x, y = torch.rand(4, 2, 9, 7) * 255, torch.randint(-1, 3, (4, 9, 7)).to(torch.int16)
    same, moved = changed(x, torch.zeros(4, DRAWN), y, 0.0, 255.0)
    assert torch.allclose(same, x, atol=1e-3)
    assert moved is not None
    assert torch.equal(moved, y)
    maps = torch.where(torch.rand(4, 2, 9, 7) < 0.1, torch.nan, x)
    _, moved = changed(x, torch.zeros(4, DRAWN), maps, 0.0, 255.0)
    assert moved is not None
    assert torch.allclose(moved, maps, equal_nan=True)


def test_strong_changes_stay_in_the_range_of_the_images_and_move_the_masks() -> None:
    bright = torch.zeros(64, 1, 32, 32)
    bright[:, :, 8:24, 8:24] = 200.0
    drawn = draw(64, torch.Generator().manual_seed(0))
    drawn[:, 5:7], drawn[:, 9] = 0, -1  # no changes of light, nothing cut out
    x, y = changed(bright, drawn, (bright[:, 0] > 0).to(torch.int16), 0.0, 255.0)
    assert y is not None
    assert float(x.min()) >= 0
    assert float(x.max()) <= 255
    agree = ((x[:, 0] > 100) == (y == 1)).float().mean()
    assert float(agree) > 0.97
    assert float(((x > 100) != (bright > 100)).float().mean()) > 0.02  # they are changed
    assert bool((y == -1).any())  # what comes in is left out


@pytest.mark.slow
def test_randaugment_is_an_augmentation_by_name_that_the_seed_determines() -> None:
    data = load_data((X, Y), augment="randaugment")
    plain = load_data((X, Y), augment="none")
    (first, y), (again, _), (other, _) = epoch(data), epoch(data), epoch(data, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == epoch(plain)[0].shape
    assert data.fingerprint != plain.fingerprint
    assert sorted(y.tolist()) == sorted(data.train.y.tolist())
    result = searchkit.run("random", data=data, budget=1, epochs=2, recipe={"augment": "randaugment"}, storage="memory",
                           progress=False)  # fmt: skip
    assert len(result.front) == 1


def black(image: torch.Tensor) -> torch.Tensor:
    assert image.dtype == torch.uint8
    return torch.zeros_like(image)


def both(image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return image.flip(-1), mask.flip(-1)


def test_the_users_function_changes_training_images_alone() -> None:
    data = load_data((X, Y), transform=black, augment="none", normalise=False)
    assert not epoch(data)[0].any()
    network = build_seeded(searchkit.load_space("residual").for_data(data.input_shape, 3), [0] * 14, 0)
    trained = train(network, data, recipe=Recipe(epochs=1, batch_size=32))
    assert trained.scores["accuracy"] >= 0
    assert data.val.x.any()
    assert data.loaded is None
    assert data.fingerprint != load_data((X, Y), augment="none", normalise=False).fingerprint


def test_the_users_function_may_change_masks_as_well() -> None:
    data = load_data((X, MASKS), transform=both, augment="none", normalise=False)
    x, y = epoch(data)
    plain, masks = epoch(load_data((X, MASKS), augment="none", normalise=False))
    assert torch.equal(x, plain.flip(-1))
    assert torch.equal(y, masks.flip(-1))
    searchkit.run("random", space=pixelwise(), data=data, budget=1, epochs=1, storage="memory", progress=False)


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (3, "transform is a function of a training image"),
        (lambda a, b, c: a, "and its mask or map, not 3 arguments"),
        (lambda image: image[:, 1:], r"transform returned shape \(1, 15, 16\) for an image of shape \(1, 16, 16\)"),
        (lambda image: 1 / 0, "transform raised ZeroDivisionError"),
        (lambda image, mask: image, "and returned a Tensor, not both"),
        (lambda image: None, "transform returned a NoneType"),
    ],
)
def test_a_bad_function_is_refused_in_one_sentence(transform: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_data((X, MASKS), transform=transform)


def test_rows_of_numbers_are_not_transformed() -> None:
    with pytest.raises(DataError, match="transform is of images"):
        load_data((np.eye(60), np.arange(60) % 2), kind="table", transform=black)


def test_mixed_examples_are_what_networks_learn_from() -> None:
    seen = []

    class Seeing(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach().clone())
            return super().forward(x)

    table = np.eye(60)
    data = load_data((table, np.arange(60) % 2), kind="table", normalise=False)
    steps = Steps(Seeing(60, 2), data, Recipe(epochs=2, batch_size=12, mixup=1.0, label_smoothing=0.0), CPU, 0, None)
    while steps.left:
        steps.take()
    for batch in seen:
        shares = batch.sort(dim=1, descending=True).values[:, :2]
        assert torch.allclose(shares.sum(1), torch.ones(12))
        assert torch.allclose(shares[:, 0], shares[0, 0].expand(12))  # one share for a batch
    assert len({round(float(batch.max()), 5) for batch in seen}) == len(seen)
    assert np.isfinite(steps.mean_loss() if steps.tell() is None else 0)


@pytest.mark.parametrize("given", [{"mixup": 0.2}, {"mixup": [0.0, 0.4]}])
def test_mixup_is_a_setting_of_the_recipe(given: Any) -> None:
    data = (np.random.default_rng(0).normal(size=(90, 4)), np.arange(90) % 3)
    result = searchkit.run("random", data=data, budget=2, epochs=2, recipe=given, storage="memory", progress=False)
    assert len(result.trials) == 2


def test_a_bad_mixup_is_refused() -> None:
    for value in (-1.0, float("inf"), "a"):
        with pytest.raises(RecipeError, match="mixup is"):
            Recipe(mixup=value)  # type: ignore[arg-type]
