"""Label-free proxies on networks with attention: what each reads of them, and what it says where it does not apply."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.proxies.az_nas import AZNAS
from searchkit.proxies.eproxy import FULL, Branch, Eproxy, EproxySetting
from searchkit.proxies.eproxy_pass import _head
from searchkit.proxies.eproxy_targets import target
from searchkit.scoring.passes.activation_signs import Signs
from searchkit.scoring.passes.feature_maps import maps_of_any_rank, recording
from searchkit.scoring.passes.forward import ForwardRecording
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import build
from searchkit.scoring.scorer import Scorer
from searchkit.space import Choice, NetworkSpace, TokenShape
from searchkit.spaces.encoder_decoder import encoder_decoder
from searchkit.spaces.hybrid import hybrid
from searchkit.spaces.sequence import sequence
from searchkit.spaces.vit import vit

TINY = EproxySetting(steps=3, batch=4, side=4, branches=(Branch(out_channels=8, last_channels=8),) * 2)
SMALL = replace(FULL, setting=TINY)
WIDTH, PATCHES, CLASSES = 6, 16, 3
PATCHED = vit(width=(8, 12), depth=(2, 3), head=4, input_shape=(1, 8, 8))
SIGNALS = sequence(width=(6, 8), depth=(2, 3), head=4, input_shape=(2, 50), n_classes=CLASSES)
SPACES: dict[str, NetworkSpace] = {
    "vit": PATCHED,
    "hybrid": hybrid(width=4, layers=5, head=2, input_shape=(1, 8, 8)),
    "sequence": SIGNALS,
    "encoder-decoder": encoder_decoder(encoder=PATCHED, decoder=4, input_shape=(1, 8, 8), n_classes=(3, 8, 8)),
}
Named = dict[str, Any]


class Transformer(nn.Module):
    """A user's: images ``(batch, 1, 8, 8)`` or signals ``(batch, 4, 16)`` as 16 tokens of 4 values each."""

    def __init__(self, depth: int, order: str) -> None:
        super().__init__()
        self.order = order
        self.embedding = nn.Linear(4, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 2, 12, dropout=0.0, batch_first=True) for _ in range(depth)
        )
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def tokens(self, x: Tensor) -> list[Tensor]:
        cut = functional.unfold(x, 2, stride=2) if x.ndim == 4 else x
        found = [self.embedding(cut.transpose(1, 2))]
        for layer in self.layers:
            found.append(layer(found[-1]))
        return found[1:]

    def features(self, x: Tensor) -> list[Tensor]:
        return [one.transpose(1, 2) if self.order == "width first" else one for one in self.tokens(x)]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.tokens(x)[-1].mean(dim=1))
        return logits


class Unnamed(nn.Module):
    """The same without ``features``."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.inner = Transformer(depth, "")
        self.inner.features = None  # type: ignore[assignment,method-assign]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        return logits


def made(choices: Named, input_shape: Any, n_classes: int) -> nn.Module:
    return Unnamed(choices["depth"]) if choices["order"] == "unnamed" else Transformer(**choices)


def users(*input_shape: int) -> NetworkSpace:
    orders = ("tokens first", "width first", "unnamed")
    return NetworkSpace([Choice("depth", (1, 2)), Choice("order", orders)], made, input_shape=input_shape, n_classes=3)


@pytest.mark.parametrize("input_shape", [(1, 8, 8), (4, 16)])
def test_tokens_are_maps_of_one_axis_in_either_order(input_shape: tuple[int, ...]) -> None:
    assert np.isfinite(Scorer(users(*input_shape), [SMALL])([[1, 0], [1, 1]])).all()
    network, x = Transformer(2, "tokens first"), torch.randn(5, *input_shape)
    first = maps_of_any_rank(network, x)
    network.order = "width first"
    assert [one.shape for one in first] == [(5, WIDTH, PATCHES)] * 2
    assert all(torch.equal(*pair) for pair in zip(first, maps_of_any_rank(network, x), strict=True))


def test_the_tokens_of_a_transformer_that_names_no_stages_are_found() -> None:
    torch.manual_seed(0)
    x, network = torch.randn(4, 1, 8, 8), Unnamed(2)
    (found,) = maps_of_any_rank(network, x)
    assert torch.equal(found, network.inner.tokens(x)[-1].transpose(1, 2))
    assert np.isfinite(Scorer(users(1, 8, 8), [SMALL])([[1, 2]])).all()


@pytest.mark.parametrize("space", [users(1, 8, 8), SIGNALS], ids=["tokens", "signals"])
def test_the_error_of_maps_of_one_axis_is_that_of_a_plain_training_loop(space: NetworkSpace) -> None:
    code = space.check([[1] + [0] * (space.n_choices - 1)])[0]
    inputs = ProxyInputs(None, space.input_shape, CLASSES, torch.device("cpu"), 0)
    network: Any = build(space, code, inputs, 0).network
    targets = [target(branch, i, TINY, inputs, (1, 16)) for i, branch in enumerate(TINY.branches)]
    x = inputs.augmented(4)

    def maps() -> list[Tensor]:
        found = network.features(x)[::-1][:2]
        found = [m if space is SIGNALS else m.transpose(1, 2) for m in found]
        return [functional.interpolate(m, size=16).unsqueeze(2) for m in found]

    with torch.random.fork_rng():
        heads = [_head(m.shape[1], TINY.branches[i], TINY, inputs, i, flat=True) for i, m in enumerate(maps())]
    assert all(part.kernel_size[0] == 1 for head in heads for part in head.modules() if isinstance(part, nn.Conv2d))
    learned = [p for module in [network, *heads] for p in module.parameters() if p.requires_grad]
    decayed, plain = [p for p in learned if p.ndim > 1], [p for p in learned if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": TINY.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    sgd = torch.optim.SGD(groups, lr=TINY.lr, momentum=TINY.momentum)
    errors: list[Tensor] = []
    for _ in range(TINY.steps):
        errors = [functional.mse_loss(h(m), t) for h, m, t in zip(heads, maps(), targets, strict=False)]
        sgd.zero_grad()
        sum(errors, torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        sgd.step()
    expected = -float((errors[0] + errors[1] / 2).detach())
    assert Scorer(space, [SMALL])(code)[0, 0] == pytest.approx(expected, rel=1e-3)


def test_a_network_with_fewer_maps_is_scored_as_if_the_others_were_like_them() -> None:
    three = Eproxy().values([[0.8, 0.6, 0.4]])["eproxy"]
    assert three == -(0.8 + 0.3 + 0.1)
    assert Eproxy().values([[0.8]])["eproxy"] == pytest.approx(-0.8 * 1.75)
    assert Eproxy().values([[0.8, 0.6]])["eproxy"] == pytest.approx(-(0.8 + 0.3) * 1.75 / 1.5)


class Flat(nn.Module):
    """Its features are no maps."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(64, n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        return [self.linear(x.flatten(1))]

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[0]


def test_features_that_are_no_maps_are_refused_in_a_sentence() -> None:
    space = NetworkSpace([Choice("a", (1, 2))], lambda choices, shape, n: Flat(n), input_shape=(1, 8, 8), n_classes=3)
    scorer = Scorer(space, [SMALL], warns=False)
    assert np.isnan(scorer([[0]])).all()
    assert r"have the shape (4, 3); maps are" in str(scorer.reason(np.array([0]), "eproxy"))


def test_of_tokens_it_says_once_that_they_are_no_values() -> None:
    space = SIGNALS.for_data(TokenShape(9, 12), 3)
    scorer = Scorer(space, ["eproxy"])
    with pytest.warns(UserWarning, match="over the places of images or signals, not of token sequences") as caught:
        scores = [scorer(space.sample(3, np.random.default_rng(seed))) for seed in range(2)]
    assert len(caught) == 1
    assert np.isnan(scores).all()


def data_of(space: NetworkSpace) -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, *space.input_shape)).astype(np.float32)
    if space.kind == "signals":
        return load_data((x, np.arange(80) % 3), kind="signals")
    y = (x[:, 0] > 0).astype(int) + (x[:, 0] > 1) if len(space.output_shape) == 3 else np.arange(80) % 3
    return load_data((x, y))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_signals_of_networks_with_attention_are_finite_and_what_is_not_is_said_once(name: str) -> None:
    space = SPACES[name]
    scorer = Scorer(space, ["naswot", "swap", "az_nas", SMALL], data_of(space))
    codes = space.check([[1] * space.n_choices, [0] * space.n_choices])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = np.concatenate([scorer(codes[:1]), scorer(codes[1:])])
    missing = {one for one, column in zip(scorer.names, scores.T, strict=True) if np.isnan(column).any()}
    assert missing == ({"az_progressivity"} if name in ("vit", "sequence") else set())
    assert len(caught) == len(missing)
    assert all(len(set(column)) == 2 for column in scores[:, [0, 1, -1]].T)


def test_blocks_of_the_encoder_are_blocks_of_the_network() -> None:
    space = SPACES["encoder-decoder"]
    network, x = space.build(space.reference[0]), torch.zeros(2, *space.input_shape)
    with recording(network, blocks=True) as maps:
        network(x)
    depth = len(network.encoder.layers)  # type: ignore[union-attr,arg-type]
    assert maps.attending == [False, *[True] * depth, False]  # patches, layers, pyramid


def test_steps_between_blocks_of_attention_of_one_shape_are_no_progress() -> None:
    def progress(attending: list[bool]) -> float:
        rng = torch.Generator().manual_seed(0)
        maps = [torch.randn(4, 3, 5, 5, generator=rng) for _ in range(3)]
        maps[2] = maps[2][:, :1].expand(-1, 3, -1, -1)  # says least
        maps.append(torch.randn(4, 6, 3, 3, generator=rng))
        forward = ForwardRecording(Signs(4, torch.device("cpu"), agreement=False), [], maps)
        forward.attends, forward.attending = any(attending), attending
        return AZNAS().values([forward, {"macs": 1.0}])["az_progressivity"]

    assert progress([False] * 4) == progress([False, True, False, False]) < -0.5
    assert progress([False, True, True, True]) > -0.5
