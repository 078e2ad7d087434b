"""Every registered proxy keeps the contract, and each agrees with its definition written naively on a small network."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from helpers.marks import slow_if
from torch import Tensor, nn
from torch.nn import functional

from searchkit import plugins
from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.proxies.az_nas import AZNAS, channel_covariance, entropy, trainabilities
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.eproxy import Branch, Eproxy, EproxySetting
from searchkit.proxies.grad_norm import GradNorm
from searchkit.proxies.gradient import GradientSetting
from searchkit.proxies.jacov import Jacov
from searchkit.proxies.naswot import NASWOT
from searchkit.proxies.swap import SWAP
from searchkit.proxies.synflow import Synflow
from searchkit.proxies.te_nas import NTK, Regions
from searchkit.proxies.vkdnw import VKDNW
from searchkit.proxies.zen import Zen
from searchkit.proxies.zico import ZiCo
from searchkit.scoring.passes.feature_maps import block_modules, stage_maps
from searchkit.scoring.passes.forward import Forward
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import Built, build, run
from searchkit.scoring.scorer import Scorer
from searchkit.space import Choice, NetworkSpace, Space, keys
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.spaces.residual import residual
from searchkit.types import Codes, Floats

BATCH = 8
CELLS = nas_bench_201(width=4, cells=1, input_shape=(3, 8, 8))
LAYERS = macro(width=4, layers=(1, 1), input_shape=(3, 8, 8))
STAGES = residual(width=(2, 4), input_shape=(3, 8, 8))
CODES = CELLS.encode(
    [
        dict(zip(CELLS.names, operations, strict=True))
        for operations in (
            ["nor_conv_3x3"] * 6,
            ["nor_conv_1x1", "none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_3x3"],
            ["skip_connect", "nor_conv_3x3", "none", "none", "nor_conv_1x1", "skip_connect"],
        )
    ]
)
SMALL = EproxySetting(branches=(Branch(out_channels=8, last_channels=8),) * 3, steps=3, batch=BATCH)
NETWORK_PROXIES = [
    NASWOT(BATCH), SWAP(BATCH, BATCH), Jacov(BATCH), GradNorm(BATCH), ZiCo(BATCH), Synflow(), Zen(BATCH), AZNAS(BATCH),
    Eproxy(SMALL), VKDNW(BATCH),
]  # fmt: skip
NAMES = [name for proxy in NETWORK_PROXIES for name in proxy.names]


class Plain(nn.Module):
    """A user's network without ``features``: what it is made of is up to the choice."""

    def __init__(self, kind: str, n_classes: int) -> None:
        super().__init__()
        self.kind = kind
        act: nn.Module = nn.Tanh() if kind == "no relu" else nn.ReLU()
        norm: list[nn.Module] = [nn.BatchNorm2d(6)] if kind != "no norm" else []
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), *norm, act)
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1))
        self.classifier = nn.Linear(6 if kind == "one stage" else 8, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.kind != "one stage":
            x = self.second(x)
            x = x.tanh() if self.kind == "no relu" else x.relu()
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits * 1e38 * 1e38 if self.kind == "overflows" else logits


KINDS = ("usual", "no relu", "no norm", "one stage", "overflows", "raises")


def build_plain(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
    if choices["kind"] == "raises":
        raise RuntimeError("no such network")
    return Plain(choices["kind"], n_classes)


USERS = NetworkSpace([Choice("kind", KINDS)], build_plain, input_shape=(3, 8, 8))


def users(kind: str) -> Codes:
    return USERS.encode({"kind": kind})


def one(proxy: Any, codes: Codes, space: NetworkSpace = CELLS, data: Data | None = None, **options: Any) -> Floats:
    return Scorer(space, [proxy], data, **options)(codes)[:, 0]


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=200)


OF_TRAINED = ("angle", "flatness")  # which test_trained_signals.py is about


LEARNING = ("dna", "dna++", "eproxy", "gradient", "ntk", "one-shot")  # which take seconds


@pytest.mark.parametrize(
    "name",
    slow_if(lambda name: name in LEARNING, [name for name in plugins.names("proxy") if name not in OF_TRAINED]),
)
def test_every_registered_proxy_scores_the_spaces(name: str, digits: Data) -> None:
    kind = plugins.resolve("proxy", name)
    trains = getattr(kind, "needs_data", False)  # block by block, which cells have none of
    for space in (LAYERS, STAGES) if trains else (CELLS, LAYERS, STAGES):
        codes = space.sample(2, np.random.default_rng(1))
        quick = DNASetting(epochs=1, steps=1, images=64, rated=32, recalibrated=32, teacher_epochs=1, dimension=8)
        setting: dict[str, Any] = {
            "one-shot": {"epochs": 5, "batch": 16},
            "gradient": {"setting": GradientSetting(epochs=1)},
            "te_nas": {"others": 2, "ntk": NTK(8, 1), "regions": Regions(50, 1)},
        }.get(name, {"setting": quick})
        # by its name as it is registered, and in the other spaces with fewer images where that is slow
        given = {"ntk": NTK(8, 1), "eproxy": Eproxy(SMALL)}.get(name, name) if space is not CELLS else name
        scorer = Scorer(space, [kind(space, digits, **setting)], digits) if trains else Scorer(space, [given])
        scores = scorer(codes)
        assert scores.shape == (2, len(scorer.names))
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()


@pytest.mark.slow
def test_scores_depend_on_neither_order_nor_neighbours_nor_the_callers_randomness() -> None:
    together = Scorer(CELLS, NETWORK_PROXIES)(CODES)
    torch.manual_seed(7)
    torch.rand(3)
    backwards = Scorer(CELLS, NETWORK_PROXIES[::-1])
    order = [backwards.names.index(name) for name in NAMES]
    np.testing.assert_array_equal(backwards(CODES[::-1])[::-1][:, order], together)
    for i, proxy in enumerate(NETWORK_PROXIES[:4]):
        np.testing.assert_array_equal(one(proxy, CODES), together[:, i], err_msg=str(proxy))


@pytest.mark.slow
def test_the_callers_random_state_stays_as_it_is() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Scorer(CELLS, NETWORK_PROXIES)(CODES[:1])
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_is_another_draw() -> None:
    assert (one(NASWOT(BATCH), CODES, seed=0) != one(NASWOT(BATCH), CODES, seed=1)).all()


def test_a_real_cell_beats_a_cell_of_skips_where_the_direction_is_known() -> None:
    skips = CELLS.encode(dict.fromkeys(CELLS.names, "skip_connect"))
    pair = np.concatenate([CODES[:1], skips])
    scorer = Scorer(CELLS, ["params", "macs", NASWOT(BATCH), SWAP(BATCH, BATCH), Synflow(), ZiCo(BATCH), AZNAS(BATCH)])
    scores = dict(zip(scorer.names, scorer(pair).T, strict=True))
    for name in ("params", "macs", "naswot", "swap", "synflow", "zico", "az_trainability", "az_complexity"):
        assert scores[name][0] > scores[name][1], name


def test_equal_candidates_are_scored_once_and_the_cache_may_be_filled_before() -> None:
    seen: list[tuple[Codes, Mapping[str, float]]] = []
    scorer = Scorer(CELLS, [Synflow()], on_scored=lambda code, scores: seen.append((code, scores)))
    scores = scorer(np.concatenate([CODES, CODES]))
    assert len(seen) == len(CODES) == len(scorer.cache)
    again = Scorer(CELLS, [Synflow()], on_scored=lambda code, scores: pytest.fail("it is in the cache"))
    again.cache.update({key: {"synflow": 5.0} for key in keys(CODES)})
    assert (again(CODES) == 5.0).all()
    np.testing.assert_array_equal(scores[:3], scores[3:])


def test_five_signals_cost_the_union_of_their_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Forward] = []
    run = Forward.run
    monkeypatch.setattr(Forward, "run", lambda self, built: (ran.append(self), run(self, built))[1])
    proxies = [NASWOT(BATCH), SWAP(BATCH, BATCH), Jacov(BATCH), GradNorm(BATCH), AZNAS(BATCH, "images"), ZiCo(BATCH)]
    forwards = _count_forwards(monkeypatch)
    Scorer(CELLS, proxies)(CODES[:1])
    assert len(ran) == 2  # the second is ZiCo's second minibatch
    assert len(forwards) == 2
    assert ran[0].reads == {"agreement", "input_gradient", "weight_gradients", "blocks", "pullbacks"}


def _count_forwards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    network = type(CELLS.build(CODES[0]))
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda self, x: (calls.append("forward"), forward(self, x))[1])
    return calls


def test_a_plain_space_names_the_proxies_that_work_on_it() -> None:
    space = Space([Choice("a", (1, 2)), Choice("b", (1, 2))])
    assert Scorer(space, ["structure"])(space.enumerate()).shape[0] == 4
    with pytest.raises(SearchkitError, match="'params', 'naswot' would need.*'structure'"):
        Scorer(space, ["params", "naswot", "structure"])
    with pytest.raises(UnknownNameError, match="Did you mean 'naswot'"):
        Scorer(CELLS, ["naswt"])
    with pytest.raises(SearchkitError, match="two proxies are called 'synflow'"):
        Scorer(CELLS, ["synflow", Synflow()])
    with pytest.raises(SearchkitError, match="is no proxy"):
        Scorer(CELLS, [3])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("proxy", "kind", "reason"),
    [
        (NASWOT(BATCH), "no relu", "it has no ReLU"),
        (SWAP(BATCH, BATCH), "no relu", "it has no ReLU"),
        (GradNorm(BATCH), "overflows", "not finite"),
        (ZiCo(BATCH), "overflows", "not finite"),
        (NASWOT(BATCH), "raises", "RuntimeError: no such network"),
        (Zen(1), "usual", None),
        (Zen(BATCH), "no norm", None),
        (Eproxy(SMALL), "one stage", None),
        (Eproxy(SMALL), "usual", None),
        (NASWOT(BATCH), "usual", None),
    ],
)
def test_a_network_that_cannot_be_scored_is_nan_and_one_warning(proxy: Any, kind: str, reason: str | None) -> None:
    scorer = Scorer(USERS, [proxy])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = scorer(users(kind))[0, 0]
        scorer.cache.clear()
        scorer(users(kind))
    assert math.isnan(first) == (reason is not None)
    assert len(caught) == (reason is not None)
    if reason is not None:
        assert f"proxy '{proxy.names[0]}'" in str(caught[0].message)
        assert reason in str(caught[0].message)


def test_one_block_has_no_progressivity_but_an_expressivity() -> None:
    scorer = Scorer(USERS, [AZNAS(BATCH)])
    network = build(USERS, users("one stage")[0], ProxyInputs(None, (3, 8, 8), 10, torch.device("cpu"), 0), 0).network
    network.forward = lambda x: network.classifier(network.first(x).mean(dim=(2, 3)))  # type: ignore
    assert len(block_modules(network)) == 2  # the second is there and never runs
    with pytest.warns(UserWarning, match="az_") as caught:
        scores = dict(zip(scorer.names, scorer(users("one stage"))[0], strict=True))
    assert len(caught) == 2
    assert math.isnan(scores["az_progressivity"])
    assert math.isnan(scores["az_trainability"])
    assert np.isfinite([scores["az_expressivity"], scores["az_complexity"]]).all()


def test_no_candidates_have_no_scores() -> None:
    scorer = Scorer(CELLS, ["params", "structure", Synflow(), Codewise()])
    assert scorer(CODES[:0]).shape == (0, len(scorer.names))


def test_what_the_author_froze_stays_frozen() -> None:
    inputs = ProxyInputs(None, CELLS.input_shape, 10, torch.device("cpu"), 0)
    network = CELLS.build(CODES[0])
    frozen = next(network.parameters()).requires_grad_(False)
    built = Built(network, inputs, 0, torch.device("cpu"), dict)
    run(built, [*Synflow().passes, *GradNorm(BATCH).passes])
    built.reset()
    assert not frozen.requires_grad
    assert all(p.requires_grad for p in list(network.parameters())[1:])


def test_too_few_images_are_a_reason(digits: Data) -> None:
    space = nas_bench_201(width=4, cells=1)
    with pytest.warns(UserWarning, match="it needs 500 training images and the data have 119") as caught:
        assert np.isnan(one(GradNorm(500), CODES, space, digits)).all()
    assert len(caught) == 1


class Raises:
    names = ("mine",)
    passes = ()

    def values(self, recordings: Sequence[Any]) -> Mapping[str, float]:
        raise KeyError("oops")


class Codewise:
    name = "half"

    def score(self, codes: Codes) -> Floats:
        return np.where(codes[:, 0] == 3, np.nan, codes.sum(axis=1) / 2)


def test_proxies_of_ones_own_work_and_may_raise() -> None:
    with pytest.warns(UserWarning, match="has no score") as caught:
        scores = Scorer(CELLS, [Raises(), Codewise(), Synflow()])(CODES)
    assert sorted(str(w.message).split(":")[0].split("'")[1] for w in caught) == ["half", "mine"]
    assert np.isnan(scores[:, 0]).all()
    assert np.isnan(scores[CODES[:, 0] == 3, 1]).all()
    assert np.isfinite(scores[:, 2]).all()


def test_params_and_macs_are_those_of_the_space() -> None:
    counts = space_counts(CELLS, CODES)
    np.testing.assert_array_equal(one("params", CODES), counts["params"])
    np.testing.assert_array_equal(one("macs", CODES), counts["macs"])
    np.testing.assert_array_equal(Scorer(CELLS, [AZNAS(BATCH)])(CODES)[:, 3], counts["macs"])


def test_layers_are_those_with_weights() -> None:
    def build(choices: dict[str, int], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        same = [block] if choices["shared"] else []  # a module that is used twice has its weights once
        more = [nn.Conv2d(4, 4, 1, bias=False) for _ in range(choices["more"])]
        layers = [nn.Conv2d(1, 4, 3), block, *same, *more, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
        return nn.Sequential(*layers)

    space = NetworkSpace([Choice("more", range(4)), Choice("shared", (0, 1))], build, name="counted")
    codes = space.enumerate()
    found = Scorer(space.for_data((1, 8, 8), 3), ["layers"])(codes)[:, 0]
    np.testing.assert_array_equal(found, 3 + codes[:, 0])


class Naive:
    """The definitions, on a network and a batch of their own."""

    def __init__(self) -> None:
        self.inputs = ProxyInputs(None, CELLS.input_shape, CELLS.n_classes, torch.device("cpu"), 0)
        self.code = CODES[1]

    def network(self) -> Any:
        return build(CELLS, self.code, self.inputs, 0).network

    def relus(self, x: Tensor) -> list[Tensor]:
        network, outputs = self.network(), []
        for module in network.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(lambda _, args, out: outputs.append((out > 0).flatten(1).double()))
        network(x)
        return outputs

    def loss_gradients(self, index: int) -> list[Tensor]:
        network, (x, y) = self.network(), self.inputs.noise(BATCH, index)
        functional.cross_entropy(network(x), y).backward()
        return [m.weight.grad for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    def naswot(self) -> float:
        on = torch.cat(self.relus(self.inputs.noise(BATCH)[0]), dim=1)
        return float(torch.logdet(on @ on.T + (1 - on) @ (1 - on).T))

    def swap(self) -> float:
        return len({tuple(unit.tolist()) for unit in torch.cat(self.relus(self.inputs.noise(BATCH)[0]), dim=1).T})

    def jacov(self) -> float:
        x = self.inputs.noise(BATCH)[0].clone().requires_grad_()
        self.network()(x).sum().backward()
        assert x.grad is not None
        v = np.linalg.eigvalsh(np.corrcoef(x.grad.flatten(1).double().numpy())) + 1e-5
        return float(-np.sum(np.log(v) + 1 / v))

    def grad_norm(self) -> float:
        return sum(float(g.norm()) for g in self.loss_gradients(0))

    def zico(self, n_batches: int = 2) -> float:
        total = 0.0
        for layer in zip(*(self.loss_gradients(i) for i in range(n_batches)), strict=True):
            g = torch.stack(layer).double().numpy()
            total += math.log((np.abs(g).mean(axis=0) / g.std(axis=0))[g.std(axis=0) > 0].sum())
        return total

    def synflow(self) -> float:
        network = self.network().double().eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.forward = lambda x: x  # type: ignore[method-assign]
        for parameter in network.parameters():
            parameter.data.abs_()
        network(torch.ones(1, *CELLS.input_shape, dtype=torch.float64)).sum().backward()
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return math.log(sum(float((m.weight.detach() * m.weight.grad).abs().sum()) for m in layers))

    def az_expressivity(self) -> float:
        return sum(self.entropies())

    def az_progressivity(self) -> float:
        return float(np.diff(self.entropies()).min())

    def entropies(self) -> list[float]:
        network, x = self.network(), self.inputs.noise(BATCH)[0]
        blocks = [network.stem, *itertools.chain(*network.stages)]
        found = []
        for block in blocks:
            x = block(x)
            rows = x.detach().permute(0, 2, 3, 1).flatten(0, 2).double().numpy()
            v = np.linalg.eigvalsh(np.cov(rows.T)).clip(0)
            found.append(float(-np.sum(v / v.sum() * np.log(v / v.sum() + 1e-8))))
        return found


@pytest.mark.parametrize(
    ("proxy", "name"),
    [(p, n) for p in NETWORK_PROXIES for n in p.names if hasattr(Naive, n)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_proxy_is_what_its_definition_says(proxy: Any, name: str) -> None:
    naive = Naive()
    scorer = Scorer(CELLS, [proxy])
    found = dict(zip(scorer.names, scorer(naive.code)[0], strict=True))[name]
    assert found == pytest.approx(getattr(naive, name)(), rel=2e-3)


def test_zen_of_a_network_without_batch_norm_grows_with_its_scale() -> None:
    """Two convolutions and tanh-free ReLUs: the change of the features is proportional to the perturbation."""
    small, large = (one(Zen(BATCH, perturbation=p), users("no norm"), USERS)[0] for p in (0.001, 0.01))
    assert large - small == pytest.approx(math.log(10), abs=0.05)


def test_a_pulled_back_cotangent_of_an_orthogonal_map_is_as_good_as_can_be() -> None:
    generator = torch.Generator().manual_seed(0)
    cotangent = torch.randint(0, 2, (64, 4, 8, 8), generator=generator) * 2.0 - 1.0
    turned = cotangent[:, [1, 2, 3, 0]]
    pulled = [turned, None, 5 * turned, cotangent.clone()]
    found = trainabilities([(cotangent, one) for one in pulled])
    assert found[0] == pytest.approx(0, abs=0.01)
    assert -1e5 < found[2] < -2
    assert found[1] == found[3] < -1e5
    coarse = torch.randint(0, 2, (64, 4, 4, 4), generator=generator) * 2.0 - 1.0
    assert math.isfinite(trainabilities([(coarse, cotangent)])[0])


@pytest.mark.parametrize("side", [7, 8])
def test_a_stride_over_an_odd_side_is_judged_as_over_one_with_a_margin_of_zeros(side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 2, (64, 4, 4, 4), generator=generator) * 2.0 - 1.0
    wide = torch.zeros(64, 4, 8, 8)
    wide[:, :, :side, :side] = torch.randn(64, 4, side, side, generator=generator)
    whole, cut = trainabilities([(coarse, wide), (coarse, wide[:, :, :side, :side])])
    assert cut == pytest.approx(whole)


def test_a_network_whose_sides_are_odd_has_all_four_signals() -> None:
    def build(choices: Mapping[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
        layers: list[nn.Module] = []
        for channels, width in ((1, 6), (6, 6), (6, 8)):
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, n_classes))

    space = NetworkSpace([Choice("one", (1,))], build, input_shape=(1, 14, 14), n_classes=10)
    assert np.isfinite(Scorer(space, ["az_nas"])(space.enumerate())).all()


def test_independent_channels_have_the_entropy_of_their_number() -> None:
    noise = torch.randn(64, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert entropy(channel_covariance(noise)) == pytest.approx(math.log(8), abs=0.01)
    assert entropy(channel_covariance(noise[:, :1].expand(-1, 8, -1, -1))) == pytest.approx(0, abs=1e-3)


def test_the_feature_maps_of_a_network_without_stages_are_found_by_resolution() -> None:
    maps = stage_maps(Plain("usual", 10), torch.randn(2, 3, 8, 8))
    assert [tuple(m.shape[1:]) for m in maps] == [(6, 8, 8), (8, 4, 4)]


def test_swap_and_zico_refuse_what_they_cannot_compare() -> None:
    with pytest.raises(ValueError, match="1 to 8 images"):
        SWAP(8, 16)
    with pytest.raises(ValueError, match="2 or more minibatches"):
        ZiCo(8, 1)


def test_zico_of_three_minibatches_is_what_its_definition_says() -> None:
    naive = Naive()
    assert one(ZiCo(BATCH, 3), naive.code[None])[0] == pytest.approx(naive.zico(3), rel=1e-4)


def build_too_wide(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
    return Plain("usual", n_classes + choices["more"])


def test_a_network_with_outputs_for_other_classes_has_no_score() -> None:
    space = NetworkSpace([Choice("more", (0, 4))], build_too_wide, input_shape=(3, 8, 8), n_classes=3)
    with pytest.warns(UserWarning, match=r"outputs for 8 examples have shape \(8, 7\), and should have \(8, 3\)"):
        found = one(GradNorm(8), space.encode([{"more": 0}, {"more": 4}]), space)
    assert np.isfinite(found).tolist() == [True, False]
