"""Eproxy against a plain loop, its targets and settings, and the networks that are reduced for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from searchkit.costs.counts import space_counts
from searchkit.errors import ProxyError
from searchkit.proxies.eproxy import FULL, Branch, Eproxy, EproxySetting
from searchkit.proxies.eproxy_genome import distance, drawn, mutated
from searchkit.proxies.eproxy_pass import _head
from searchkit.proxies.eproxy_targets import target, waves
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import build
from searchkit.scoring.scorer import Scorer
from searchkit.spaces.nas_bench_201 import nas_bench_201

CELLS = nas_bench_201(width=4, cells=1, input_shape=(3, 8, 8))
CODES = CELLS.enumerate()[[5, 900, 1700, 2500, 3300, 4100]]
TINY = EproxySetting(steps=3, batch=4, side=4, branches=(Branch(out_channels=8, last_channels=8),) * 2)


def test_the_error_is_that_of_a_plain_training_loop() -> None:
    inputs = ProxyInputs(None, CELLS.input_shape, 10, torch.device("cpu"), 0)
    network = build(CELLS, CODES[3], inputs, 0).network
    targets = [target(branch, i, TINY, inputs) for i, branch in enumerate(TINY.branches)]
    x = inputs.augmented(4)
    n_in = [m.shape[1] for m in network.features(x)[::-1]]  # type: ignore[operator]
    network = build(CELLS, CODES[3], inputs, 0).network
    with torch.random.fork_rng():
        heads = [_head(n, branch, TINY, inputs, i) for i, (n, branch) in enumerate(zip(n_in, TINY.branches))]  # noqa: B905
    weights = [p for module in [network, *heads] for p in module.parameters() if p.requires_grad]
    velocity = [torch.zeros_like(p) for p in weights]
    errors = []
    for _ in range(TINY.steps):
        maps = [functional.interpolate(m, size=(4, 4)) for m in network.features(x)[::-1]]  # type: ignore[operator]
        errors = [functional.mse_loss(h(m), t) for h, m, t in zip(heads, maps, targets)]  # noqa: B905
        gradients = torch.autograd.grad(sum(errors, torch.zeros(())), weights, allow_unused=True)
        with torch.no_grad():
            for p, v, g in zip(weights, velocity, gradients, strict=True):
                if g is not None:
                    v.mul_(TINY.momentum).add_(g + (TINY.weight_decay * p if p.ndim > 1 else 0))
                    p.sub_(TINY.lr * v)
    expected = -float((errors[0] + errors[1] / 2).detach())
    assert Scorer(CELLS, [replace(FULL, setting=TINY)])(CODES[3])[0, 0] == pytest.approx(expected, rel=1e-3)


def test_targets_are_alike_for_every_network_and_differ_between_branches() -> None:
    inputs = ProxyInputs(None, (3, 8, 8), 10, torch.device("cpu"), 0)
    first = target(TINY.branches[0], 0, TINY, inputs)
    assert torch.equal(first, target(TINY.branches[0], 0, TINY, inputs))
    assert not torch.equal(first, target(TINY.branches[1], 1, TINY, inputs))
    for family in ("wave_l", "wave_m", "wave_h", "dot", "net"):
        drawn_map = target(Branch((family,), level=2.0), 0, TINY, inputs)
        assert drawn_map.shape == (4, 128, 4, 4)
        assert float(drawn_map.std()) > 0.5
    both = target(Branch(("dot", "wave_h")), 0, TINY, inputs)
    parts = [target(Branch((family,)), 0, TINY, inputs) for family in ("dot", "wave_h")]
    torch.testing.assert_close(both, parts[0] + parts[1])


def test_waves_have_the_frequencies_they_are_named_for() -> None:
    maps = waves((4, 64, 64, 64), 0.375, 0.4875, torch.Generator().manual_seed(0))
    power = torch.fft.rfft2(maps).abs().flatten(0, 1)
    power[:, 0, 0] = 0
    peak = power.flatten(1).argmax(dim=1)
    rows, columns = peak // 33, peak % 33
    frequencies = torch.stack([torch.minimum(rows, 64 - rows), columns]) / 64
    assert float(((frequencies > 0.35) & (frequencies < 0.5)).float().mean()) > 0.97


def test_a_setting_is_saved_and_loaded_and_checked(tmp_path: Path) -> None:
    setting = EproxySetting(lr=0.7, branches=(Branch(("dot", "net"), barrier_kernel=7), Branch()), macs_weight=0.2)
    Eproxy(setting).save(tmp_path / "setting.json")
    assert Eproxy.load(tmp_path / "setting.json") == Eproxy(setting)
    own = Eproxy(setting, width=0.25, cells=None, resolution=None)
    own.save(tmp_path / "setting.json")
    assert Eproxy.load(tmp_path / "setting.json") == own
    with pytest.raises(ValueError, match="no 'learning_rate'"):
        EproxySetting.of({"learning_rate": 1})
    with pytest.raises(ValueError, match="needs one or more of wave_l"):
        Branch(("sawtooth",))
    with pytest.raises(ValueError, match="lr is positive"):
        EproxySetting(lr=0)
    with pytest.raises(ValueError, match="weights are drawn by one of"):
        EproxySetting(network_init="zeros")
    with pytest.raises(ValueError, match="odd kernels"):
        Branch(head_kernel=2)


@pytest.mark.slow
def test_a_macs_weight_favours_larger_networks_or_smaller() -> None:
    pair = CODES[[0, 3]]

    def gap(weight: float) -> float:
        setting = EproxySetting(steps=3, batch=4, side=4, macs_weight=weight, macs_max=1e6, branches=TINY.branches)
        scores = Scorer(CELLS, [Eproxy(setting)])(pair)[:, 0]
        return float(scores[1] - scores[0])

    assert gap(0.5) > gap(0.0) > gap(-0.5)


def test_a_diverging_setting_is_nan() -> None:
    wild = EproxySetting(lr=1e30, steps=3, batch=4, branches=TINY.branches)
    with pytest.warns(UserWarning, match="not finite"):
        assert np.isnan(Scorer(CELLS, [Eproxy(wild)])(CODES[3])).all()


def test_genes_differ_by_their_share() -> None:
    rng = np.random.default_rng(0)
    settings = [drawn(rng, TINY) for _ in range(50)]
    assert {len(setting.branches) for setting in settings} == {1, 2, 3}
    assert {setting.side for setting in settings} == {4, 8}
    assert distance(settings[0], settings[0]) == 0
    assert 0 < np.mean([distance(s, mutated(s, 0.2, rng)) for s in settings]) < 0.4
    assert mutated(settings[0], 0.0, rng) == settings[0]


@pytest.mark.slow
def test_reduced_networks_score_as_those_of_the_smaller_space() -> None:
    large = nas_bench_201(width=8, cells=3, input_shape=(3, 16, 16))
    reduced = Scorer(large, [Eproxy(TINY, width=0.5, cells=1, resolution=None)])(CODES)
    small = nas_bench_201(width=4, cells=1, input_shape=(3, 16, 16))
    np.testing.assert_allclose(reduced, Scorer(small, [replace(FULL, setting=TINY)])(CODES), rtol=1e-6)
    assert np.isfinite(Scorer(large, [Eproxy(TINY, resolution=8)])(CODES)).all()


@pytest.mark.slow
def test_the_weight_of_macs_is_of_the_candidates_own_networks() -> None:
    large = nas_bench_201(width=8, cells=3, input_shape=(3, 16, 16))
    plain = Scorer(large, [Eproxy(TINY)])(CODES)[:, 0]
    weighted = Scorer(large, [Eproxy(replace(TINY, macs_weight=0.5, macs_max=1e8))])(CODES)[:, 0]
    np.testing.assert_allclose(weighted, plain * (1 - 0.5 * space_counts(large, CODES)["macs"] / 1e8), rtol=1e-6)


def test_reductions_are_proxies_of_their_own() -> None:
    proxies = [FULL, Eproxy(), Eproxy(width=0.25), Eproxy(cells=2), Eproxy(resolution=8)]
    assert len({fingerprint(proxy) for proxy in proxies}) == len(proxies)
    assert len({proxy.passes[0].key for proxy in proxies}) == len(proxies)
    assert Scorer(CELLS, ["eproxy", "params"]).network_proxies[0] == Eproxy()  # what a study keeps scores under
    for given, said in (({"width": 1.5}, "at most 1"), ({"cells": 0}, "cells is"), ({"resolution": "8"}, "not '8'")):
        with pytest.raises(ProxyError, match=f"Eproxy's .*{said}"):
            Eproxy(**given)  # type: ignore[arg-type]
