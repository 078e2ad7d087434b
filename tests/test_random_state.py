"""Seeding for some work leaves the global generators as they were."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from searchkit.random_state import seeded, untouched


def draw() -> list[float]:
    """One number of each global generator."""
    return [float(torch.rand(())), float(np.random.rand()), random.random()]  # noqa: NPY002


def test_all_generators_draw_what_the_seed_gives_and_go_on_as_they_were() -> None:
    with untouched():
        expected = draw()
    with seeded(7):
        first = draw()
    with seeded(7):
        assert draw() == first
    with seeded(2**40 + 7):  # more than numpy's seeds hold
        assert draw() != first
    assert draw() == expected


def fail() -> None:
    draw()
    raise RuntimeError("inside")


def test_an_error_inside_leaves_the_states_as_they_were_too() -> None:
    for context in (untouched(), seeded(3)):
        with untouched():
            expected = draw()
        with pytest.raises(RuntimeError, match="inside"), context:
            fail()
        with untouched():
            assert draw() == expected


def test_it_draws_what_the_seed_gives_and_leaves_the_state_as_it_was() -> None:
    wanted = torch.rand(3, generator=torch.Generator().manual_seed(7))
    before = torch.get_rng_state()
    with seeded(7):
        assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(torch.get_rng_state(), before)


def test_work_on_the_cpu_seeds_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, lambda seed: pytest.fail("a card was seeded"))
    with seeded(7):
        pass


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_card_is_seeded_where_it_is_named_and_left_as_it_was() -> None:
    device = torch.device("cuda", 0)
    torch.rand(3, device=device)
    before = torch.cuda.get_rng_state(device)
    with seeded(7):
        assert torch.equal(torch.cuda.get_rng_state(device), before)
    drawn = []
    for _ in range(2):
        with seeded(7, device):
            drawn.append(torch.rand(3, device=device))
    assert torch.equal(*drawn)
    assert torch.equal(torch.cuda.get_rng_state(device), before)
