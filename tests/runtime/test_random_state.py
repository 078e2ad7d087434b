"""Seeding for some work leaves torch's generators as they were."""

from __future__ import annotations

import pytest
import torch

from searchkit.runtime.random_state import seeded


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
