"""Data whose values networks get as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.photos import folder
from torch import Tensor, nn

import searchkit
from searchkit.data.loader import train_batches
from searchkit.data.normalising import Normaliser
from searchkit.errors import DataError

RNG = np.random.default_rng(0)
TABLE = RNG.integers(0, 50, (90, 6))
LABELS = TABLE[:, 0] % 3


@pytest.mark.parametrize("images", [True, False])
def test_batches_have_the_values_of_the_user(images: bool) -> None:
    x = RNG.integers(0, 256, (90, 8, 8), dtype=np.uint8) if images else TABLE
    data = searchkit.load_data((x, LABELS), normalise=False, augment="none")
    plain = searchkit.load_data((x, LABELS), augment="none")
    assert data.fingerprint != plain.fingerprint
    batches = train_batches(data, 10, torch.device("cpu"), torch.Generator().manual_seed(0))
    batches.shuffle()
    values = batches.batch(slice(0, 10))[0]
    assert torch.equal(values, values.round())
    assert values.max() > 20
    assert torch.equal(Normaliser(data, torch.device("cpu"))(data.val.x), data.val.x.float())


def test_a_folder_and_data_that_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHKIT_CACHE", str(tmp_path / "cache"))
    data = searchkit.load_data(folder(tmp_path / "photos"), normalise=False)
    assert (data.mean, data.std) == ((0.0,) * 3, (1.0,) * 3)
    assert searchkit.load_data(searchkit.load_data((TABLE, LABELS)), normalise=False).mean == (0.0,) * 6


def test_anything_else_is_refused() -> None:
    with pytest.raises(DataError, match="normalise is True or False"):
        searchkit.load_data((TABLE, LABELS), normalise="no")  # type: ignore[arg-type]


class Embedded(nn.Module):
    """Reads each row as tokens: only whole numbers from 0 to 49 have a place in its table."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, width), nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.table(x.long().clamp(0, 49))[:, 0])
        return out


def embedded(choices: Any, shape: tuple[int, ...], n_classes: int) -> nn.Module:
    return Embedded(choices["width"], n_classes)


@pytest.mark.slow
def test_tokens_reach_an_embedding() -> None:
    """Standardised, they would nearly all be the first two tokens, and the network would learn next to nothing."""
    space = searchkit.NetworkSpace(
        [searchkit.Choice("width", (16, 32))], embedded, name="tokens", input_shape=(6,), n_classes=3
    )
    tokens = RNG.integers(0, 50, (3000, 6))
    found = {}
    for normalise in (True, False):
        data = searchkit.load_data((tokens, tokens[:, 0] % 3), kind="table", normalise=normalise)
        result = searchkit.run("random", space=space, data=data, budget=1, epochs=20, storage="memory", proxies=())
        found[normalise] = result.front.test_accuracy[0]
    assert found[False] > 0.9 > 0.6 > found[True]
