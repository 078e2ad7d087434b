"""DNA++: ratings without a teacher and without labels, and a collapse that is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import searchkit
from searchkit import plugins
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.data.splits import Split
from searchkit.errors import ProxyError
from searchkit.proxies.dna_rating import rating
from searchkit.proxies.dna_self import DNASelf, Twins, _redundancy, _spread, _unexplained
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.dna_views import two_views
from searchkit.proxies.supernet import parts_of, supernet
from searchkit.spaces.macro import macro

QUICK = DNASetting(epochs=2, steps=4, images=128, rated=32, recalibrated=32, dimension=8)
LAYERS = macro(width=4, layers=(2, 1))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


def test_it_is_registered_beside_dna() -> None:
    assert plugins.resolve("proxy", "dna++") is DNASelf


@pytest.mark.slow
def test_every_network_is_rated_and_labels_are_not_looked_at(digits: Data) -> None:
    dna = DNASelf(LAYERS, digits, setting=QUICK).fit()
    assert all(np.isfinite(r).all() and (r >= 0).all() for r in dna.ratings.values())
    assert np.isfinite(dna.score(dna.space.sample(20, np.random.default_rng(0)))).all()
    rng = np.random.default_rng(0)

    def shuffled(split: Split) -> Split:
        return Split(split.x, split.y[torch.from_numpy(rng.permutation(len(split)))])

    other = replace(digits, train=shuffled(digits.train), val=shuffled(digits.val))
    again = DNASelf(LAYERS, other, setting=QUICK)
    assert all(np.array_equal(again.ratings[name], ratings) for name, ratings in dna.ratings.items())


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(tmp_path: Path, digits: Data) -> None:
    told: list[tuple[str, int]] = []

    def stop(block: str, done: int, total: int, loss: float) -> None:
        told.append((block, done))
        if told[-1] == ("stage_2", 1):
            raise KeyboardInterrupt

    expected = DNASelf(LAYERS, digits, setting=QUICK).ratings
    with pytest.raises(KeyboardInterrupt):
        DNASelf(LAYERS, digits, setting=QUICK, folder=tmp_path, on_epoch=stop).fit()
    assert told == [("stage_1", 1), ("stage_1", 2), ("stage_2", 1)]
    told.clear()
    dna = DNASelf(LAYERS, digits, setting=QUICK, folder=tmp_path, on_epoch=lambda *t: told.append(t[:2])).fit()
    assert told == [("stage_2", 2)]
    assert all(np.array_equal(dna.ratings[name], ratings) for name, ratings in expected.items())
    told.clear()
    assert DNASelf(LAYERS, digits, setting=QUICK, folder=tmp_path).fit().ratings.keys() == expected.keys()
    assert not told


@pytest.mark.slow
def test_a_collapse_is_said_with_the_block_and_how_far(digits: Data) -> None:
    """Images that are all one grey: whatever is projected is the same for all of them."""

    def grey(split: Split) -> Split:
        return Split(torch.full_like(split.x, 7), split.y)

    alike = replace(digits, train=grey(digits.train), val=grey(digits.val), augment="none")
    setting = replace(QUICK, variance=0.0, decorrelation=0.0)
    with pytest.raises(ProxyError, match=r"block 'stage_1' collapsed: .* varies by 0 where independent outputs"):
        DNASelf(LAYERS, alike, setting=setting).fit()


@pytest.mark.filterwarnings("error")
def test_a_search_stops_with_what_went_wrong_in_the_training(digits: Data) -> None:
    dna = DNASelf(LAYERS, digits, setting=replace(QUICK, lr=1e30))
    with pytest.raises(ProxyError, match="block 'stage_1' diverged"):
        searchkit.run(
            "random", space=dna.space, data=digits, proxies=(dna,), budget=2, epochs=1, storage="memory", progress=False
        )


def test_the_target_is_the_moving_average_and_learns_nothing_itself(digits: Data) -> None:
    part = parts_of(LAYERS, DNASelf(LAYERS, digits).blocks)[0]
    blocks = DNASelf(LAYERS, digits).blocks
    net = supernet(LAYERS, blocks, part, part.nodes[0].input_shape, lambda c: torch.nn.Conv2d(c, 8, 1), 0)
    twins = Twins(net, 8, 0)
    before = [p.clone() for p in twins.target.parameters()]
    x = torch.randn(4, *part.nodes[0].input_shape)
    twins.loss(x, x, part.taken[3], part.taken[:2], QUICK).backward()
    assert all(p.grad is None for p in twins.target.parameters())
    assert any(p.grad is not None for p in twins.online.parameters())
    with torch.no_grad():
        for p in twins.online.parameters():
            p.add_(1.0)
    twins.follow(0.9)
    assert all(torch.allclose(p, b + 0.1, atol=1e-6) for p, b in zip(twins.target.parameters(), before, strict=True))


def test_equal_outputs_have_no_spread_and_independent_ones_all() -> None:
    torch.manual_seed(0)
    independent = torch.nn.functional.normalize(torch.randn(64, 16, 4, 4), dim=1)
    assert _spread(independent).mean() == pytest.approx(1, abs=0.05)
    assert _spread(torch.ones(64, 16, 4, 4) / 4).max() < 1e-6
    assert _redundancy(torch.randn(64, 16, 4, 4)) < 0.1
    assert _redundancy(torch.randn(64, 1, 4, 4).expand(64, 16, 4, 4)) == pytest.approx(15, rel=0.05)


def test_a_path_explains_what_it_holds_linearly_and_no_more() -> None:
    torch.manual_seed(0)
    x, new = torch.randn(2, 50, 6, 4, 4).unbind()
    mix = torch.randn(3, 6)

    def mixed(z: torch.Tensor) -> torch.Tensor:
        return torch.einsum("oc,nchw->nohw", mix, z)

    assert _unexplained((x, new), (mixed(x), mixed(new))) < 1e-3
    noise = torch.randn(2, 50, 3, 4, 4).unbind()
    assert _unexplained((x, new), (noise[0], noise[1])) == pytest.approx(1, abs=0.1)
    half = (mixed(x) + noise[0] * mixed(x).std(), mixed(new) + noise[1] * mixed(new).std())
    assert _unexplained((x, new), half) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (2, 9, 14)])
def test_two_views_show_the_same_place_within_the_shift(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(5, *shape)
    first, second = two_views(x, 1, flip=True)
    assert first.shape == second.shape == x.shape
    # contrast and brightness are linear: some shift of at most two pixels makes the two views nearly proportional
    inner = (slice(2, -2), slice(2, -2))
    for a, b in zip(first, second, strict=True):
        best = max(
            float(torch.corrcoef(torch.stack([a[0][inner].flatten(), b[0].roll(move, (0, 1))[inner].flatten()]))[0, 1])
            for move in [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
        )
        assert best > 0.9


def test_rating_leaves_both_supernets_in_their_mode(digits: Data) -> None:
    blocks = DNASelf(LAYERS, digits).blocks
    part = parts_of(LAYERS, blocks)[0]
    net = supernet(LAYERS, blocks, part, part.nodes[0].input_shape, lambda c: torch.nn.Conv2d(c, 8, 1), 0)
    twins = Twins(net, 8, 0).train()
    with rating(twins.target), rating(twins.online):
        assert not twins.online.training
    assert twins.online.training
