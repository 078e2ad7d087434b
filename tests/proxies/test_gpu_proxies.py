"""Proxies on a card: what must be as on a CPU, and how that is told, which can be known without a card."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.replayed import TwoStages
from scipy.stats import spearmanr
from torch import Tensor, nn

import searchkit
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_self import DNASelf
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.dna_training import train_block
from searchkit.proxies.eproxy import DEFAULT, Branch, Eproxy, EproxySetting
from searchkit.proxies.eproxy_pass import regression_errors
from searchkit.proxies.eproxy_steps import on_a_stream
from searchkit.proxies.supernet import Part
from searchkit.runtime.cuda_graphs import Work
from searchkit.runtime.precision import exact_float32, without_tf32
from searchkit.runtime.transfer import equal, to_device, to_host, together
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import Built, build
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Codes, Floats

CARD, CPU = torch.device("cuda", 0), torch.device("cpu")
SIGNALS = ("jacov", "naswot", "swap", "az_nas", "zico", "grad_norm", "synflow", "zen")
SMALL = nas_bench_201(width=4, cells=1, input_shape=(3, 16, 16))
FULL = nas_bench_201()
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

# How far scores of a network may be apart, in standard deviations of the signal over the networks, and the least rank
# correlation. ZiCo divides by differences of gradients, some of which are all but 0, and ten steps of Eproxy at its
# learning rate magnify what they begin with: on one CPU, two libraries' convolutions were apart by 0.17 and 0.21. Those
# of jacov were apart by 0.15 at full width, where an activation near 0 changes its sign; so were a card's (an H200).
FAR, LEAST_RHO = 0.02, 0.999
MORE: dict[str, tuple[float, float]] = {"zico": (1.0, 0.99), "eproxy": (2.0, 0.98), "jacov": (0.4, 0.99)}


def disagreements(names: Sequence[str], scores: Floats, others: Floats) -> list[str]:
    """A sentence for each signal that two tables ``(n, p)`` of the same networks do not agree on."""
    said = []
    for name, one, other in zip(names, scores.T, others.T, strict=True):
        far, least = MORE.get(name, (FAR, LEAST_RHO))
        if not (np.isfinite(one) == np.isfinite(other)).all():
            said.append(f"{name}: other networks have no score")
            continue
        one, other = one[np.isfinite(one)], other[np.isfinite(other)]
        apart, rho = np.abs(one - other).max() / one.std(), spearmanr(one, other).statistic
        if apart > far or not rho >= least:
            said.append(f"{name}: {apart:.2g} standard deviations apart, rho {rho:.4f}")
    return said


def networks(space: NetworkSpace, n: int) -> Codes:
    """Distinct ones with a convolution."""
    drawn = space.sample(20 * n, np.random.default_rng(0))
    some = drawn[np.isin(drawn, (2, 3)).any(axis=1)]
    _, first = np.unique(some, axis=0, return_index=True)
    return some[np.sort(first)][:n]


def scores_of(space: NetworkSpace, codes: Codes, proxies: Sequence[Any], device: str = "cpu") -> tuple[Any, Floats]:
    scorer = Scorer(space, proxies, device=device, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that a signal refuses
        return scorer.names, scorer(codes)


# How agreement is told


@pytest.fixture(scope="module")
def both() -> tuple[tuple[str, ...], Floats, Floats]:
    """Scores with oneDNN's convolutions and with torch's own, which add up in another order, as a card does."""
    few = Eproxy(EproxySetting(batch=8, side=4, branches=(Branch(out_channels=16, last_channels=16),)))
    codes = networks(SMALL, 12)
    names, scores = scores_of(SMALL, codes, [*SIGNALS, few])
    mkldnn: Any = torch.backends.mkldnn
    mkldnn.set_flags(False)
    try:
        _, others = scores_of(SMALL, codes, [*SIGNALS, few])
    finally:
        mkldnn.set_flags(True)
    return names, scores, others


@pytest.mark.slow
def test_another_order_of_adding_up_is_agreement(both: Any) -> None:
    names, scores, others = both
    assert disagreements(names, scores, others) == []
    assert not np.array_equal(scores, others), "it is the same arithmetic"


@pytest.mark.slow
def test_scores_of_other_networks_are_no_agreement(both: Any) -> None:
    names, scores, _ = both
    said = disagreements(names, scores, np.roll(scores, 1, axis=0))
    assert [one.partition(":")[0] for one in said] == list(names)
    missing = scores.copy()
    missing[0, 0] = np.nan
    assert disagreements(names, scores, missing) == [f"{names[0]}: other networks have no score"]


# Settings of torch


def settings() -> list[Any]:
    """All that can be read of TF32, "mixed" where torch refuses to tell."""

    def told(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except RuntimeError:
            return "mixed"

    backends: Any = torch.backends
    older = [
        told(lambda: backends.cudnn.allow_tf32),
        told(lambda: backends.cuda.matmul.allow_tf32),
        told(torch.get_float32_matmul_precision),
    ]
    if not hasattr(backends.cudnn, "conv"):
        return older
    kinds = [backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul]
    return older + [kind.fp32_precision for kind in kinds]


@pytest.fixture
def own_settings() -> Iterator[None]:
    """As torch begins, after the test."""
    yield
    backends: Any = torch.backends
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = True
    if hasattr(backends.cudnn, "conv"):
        backends.fp32_precision = "none"
        backends.cuda.matmul.fp32_precision = backends.mkldnn.matmul.fp32_precision = "none"


def _set(path: str, value: Any) -> Callable[[], None]:
    def change() -> None:
        place: Any = torch.backends
        *names, last = path.split(".")
        for name in names:
            place = getattr(place, name)
        if not hasattr(place, last):
            pytest.skip(f"this torch has no {path}")
        setattr(place, last, value)

    return change


@pytest.mark.parametrize(
    "begin",
    [
        lambda: None,
        _set("cudnn.allow_tf32", False),
        _set("cuda.matmul.allow_tf32", True),
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("medium"),
        _set("cudnn.conv.fp32_precision", "ieee"),  # from here on the older way is refused by torch
        _set("cuda.matmul.fp32_precision", "tf32"),
        _set("fp32_precision", "tf32"),
    ],
    ids=["as torch begins", "cudnn off", "products on", "high", "medium", "convolutions", "products", "all"],
)
@pytest.mark.usefixtures("own_settings")
def test_tf32_is_off_inside_and_as_it_was_after(begin: Callable[[], None]) -> None:
    begin()
    before = settings()
    inside: list[Any] = []

    def fail() -> None:
        with without_tf32():
            inside.extend(settings())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert settings() == before
    assert True not in inside
    assert "tf32" not in inside[:-1]  # the last is the CPU's
    if "mixed" not in before:
        assert "mixed" not in inside
        assert inside[2] == "highest"


def test_on_a_cpu_settings_stay_as_they_are() -> None:
    before = settings(), torch.backends.cudnn.deterministic
    with exact_float32(CPU):
        assert (settings(), torch.backends.cudnn.deterministic) == before


@pytest.mark.usefixtures("own_settings")
def test_scores_on_a_card_are_taken_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is made up, the scorer is real: what a pass and what a proxy's values see of the settings."""
    seen: list[list[Any]] = []

    class Looks:
        names = ("looks",)
        key = "looks"

        @property
        def passes(self) -> Any:
            return (self,)

        def joined(self, other: Any) -> Any:
            return self

        def run(self, built: Built) -> None:
            seen.append(settings())

        def values(self, recordings: Any) -> dict[str, float]:
            seen.append(settings())
            return {"looks": 0.0}

    monkeypatch.setattr("searchkit.scoring.network.exact_float32", lambda device: exact_float32(CARD))
    before = settings()
    assert Scorer(SMALL, [Looks()])(networks(SMALL, 1)).tolist() == [[0.0]]
    assert len(seen) == 2
    assert all("tf32" not in one[:-1] for one in seen)
    assert settings() == before


# Copies


def test_tensors_that_travel_together_arrive_as_they_were() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 4, 4, generator=generator).contiguous(memory_format=torch.channels_last)
    sent = [images, torch.arange(5), torch.randn(3, 3, generator=generator).T, torch.tensor(2.0), torch.zeros(0, 4)]
    moved: list[int] = []

    def move(whole: Tensor) -> Tensor:
        moved.append(whole.numel())
        return whole.clone()

    arrived = together(sent, range(len(sent)), move)
    assert moved == [images.numel() + 9 + 1, 5]  # one a type
    for one, other in zip(sent, arrived, strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
    some = together(sent, [1], torch.clone)
    assert [one is other for one, other in zip(sent, some, strict=True)] == [True, False, True, True, True]
    assert all(one is other for one, other in zip(sent, to_host(sent), strict=True))
    assert all(one is other for one, other in zip(sent, to_device(sent, CPU), strict=True))


# Blocks


def test_blocks_are_trained_on_all_cards_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, bool]] = []

    class OpenedError(Exception):
        pass

    def note(executor: Any, task: Any, needed: Any, any_card: bool = False) -> None:
        opened.append((task.device, any_card))
        raise OpenedError

    def there(name: str) -> torch.device:
        return torch.device("cuda", int(name.partition(":")[2] or 0))

    for module in ("searchkit.scoring.scorer", "searchkit.proxies.dna"):
        monkeypatch.setattr(f"{module}.resolve_device", there)
    monkeypatch.setattr("searchkit.proxies.dna.open_executor", note)
    monkeypatch.setattr("searchkit.proxies.dna.trained_teacher", lambda network, *_: network)
    for device in ("auto", "cuda", "cuda:1"):
        scorer = Scorer(searchkit.load_space("macro", width=4), ["dna"], load_data(None), device=device, executor=2)
        with pytest.raises(OpenedError):
            scorer._plain[0].fit()  # type: ignore[attr-defined]
    assert opened == [("cuda:0", True), ("cuda:0", True), ("cuda:1", False)]


def test_an_epoch_of_a_block_is_as_fast_as_its_device_takes_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read back in between: every step is made before the first loss is known."""
    read: list[int] = []
    item = Tensor.__float__
    monkeypatch.setattr(Tensor, "__float__", lambda self: (read.append(self.numel()), item(self))[1])
    part = Part(0, "block", (), np.array([[0], [1]]), np.zeros((2, 1), dtype=bool))
    module = nn.Linear(2, 1)
    x = torch.randn(64, 2)
    setting = DNASetting(epochs=2, batch=8, steps=10)
    train_block(module, lambda rows, path: module(x[rows]).square().mean(), 64, part, setting, 0)
    assert len(read) == setting.epochs


# On a card


@pytest.mark.gpu
@needs_a_gpu
@pytest.mark.parametrize(("space", "n"), [(SMALL, 20), (FULL, 5)], ids=["width 4", "full width"])
def test_on_a_card_every_signal_is_as_on_the_cpu(space: NetworkSpace, n: int) -> None:
    codes = networks(space, n)
    names, scores = scores_of(space, codes, SIGNALS)
    _, on_card = scores_of(space, codes, SIGNALS, "cuda")
    assert disagreements(names, scores, on_card) == []


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_eproxy_ranks_as_on_the_cpu() -> None:
    codes = networks(SMALL, 20)
    names, scores = scores_of(SMALL, codes, ["eproxy"])
    _, on_card = scores_of(SMALL, codes, ["eproxy"], "cuda")
    assert disagreements(names, scores, on_card) == []


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_scores_repeat() -> None:
    codes = networks(SMALL, 5)
    once, again = (scores_of(SMALL, codes, [*SIGNALS, "eproxy"], "cuda")[1] for _ in range(2))
    np.testing.assert_allclose(once, again, rtol=1e-5)


def errors(subject: Built, recorded: list[Work] | None) -> list[float]:
    """Eproxy's, with steps recorded, which are put into the list, or each made anew."""
    with torch.random.fork_rng(devices=[CARD]), exact_float32(CARD), on_a_stream(CARD) as capture:
        torch.manual_seed(subject.seed)
        subject.reset()

        def counted(work: Work) -> Work:
            repeat = capture(work)
            assert recorded is not None
            recorded.append(repeat)
            return repeat

        return regression_errors(replace(DEFAULT, batch=8), subject, None if recorded is None else counted)


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_a_recorded_step_is_as_one_made_anew() -> None:
    inputs = ProxyInputs(None, SMALL.input_shape, SMALL.n_classes, CARD, 0)
    held = []
    for code in networks(SMALL, 20):
        subject, recorded = build(SMALL, code, inputs, 0), list[Work]()
        assert errors(subject, recorded) == pytest.approx(errors(subject, None), rel=1e-3)
        assert len(recorded) == 1
        del subject, recorded
        held.append(torch.cuda.memory_allocated(CARD))
    assert held[-1] <= held[4] + 2**20


@pytest.mark.gpu
@needs_a_gpu
@pytest.mark.parametrize(
    ("between", "n"),
    [
        (nn.Dropout(0.5), 1),
        (lambda x: x if x.sum().item() > 0 else -x, 0),
        (lambda x: x * (1.0 if torch.rand(()) < 0.5 else 2.0), 0),  # drawn on the CPU
    ],
    ids=["dropout", "waits", "draws on the CPU"],
)
def test_on_a_card_odd_networks_have_the_same_errors(between: Callable[[Tensor], Tensor], n: int) -> None:
    torch.manual_seed(0)
    inputs = ProxyInputs(None, (3, 16, 16), 10, CARD, 0)
    network = TwoStages(between).to(CARD, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    subject, recorded = Built(network, inputs, 7, CARD, dict), list[Work]()
    assert errors(subject, recorded) == pytest.approx(errors(subject, None), rel=1e-3)
    assert len(recorded) == n
    assert torch.rand(3, device=CARD).isfinite().all(), "a recording that failed leaves random numbers as they were"


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_small_tensors_travel_together() -> None:
    sent = [torch.randn(3, 4), torch.arange(5), torch.randn(2, 2)]
    there = to_device(sent, CARD)
    assert all(one.is_cuda for one in there)
    assert all(torch.equal(one, other) for one, other in zip(sent, to_host(there), strict=True))
    assert equal([(there[0], there[0].clone()), (there[2], there[2] + 1)]) == [True, False]
    assert to_host([torch.zeros(300, 300, device=CARD)])[0].is_cuda


@pytest.mark.gpu
@needs_a_gpu
@pytest.mark.parametrize("kind", [DNA, DNASelf])
def test_on_a_card_blocks_are_rated_and_a_stopped_training_goes_on(kind: Any, tmp_path: Path) -> None:
    data: Data = load_data(None)
    space = searchkit.load_space("macro", width=4)
    setting = DNASetting(epochs=2, steps=20, images=256, rated=64, recalibrated=64, teacher_epochs=1, batch=32)
    state = torch.cuda.get_rng_state(CARD)
    rated = kind(space, data, setting=setting, device="cuda", folder=tmp_path).fit()
    assert all(np.isfinite(ratings).all() for ratings in rated.ratings.values())
    assert torch.equal(state, torch.cuda.get_rng_state(CARD))
    (tmp_path / kind.name / "ratings.safetensors").unlink()
    again = kind(space, data, setting=setting, device="cuda", folder=tmp_path).fit()  # from the checkpoints
    for name, ratings in rated.ratings.items():
        np.testing.assert_allclose(again.ratings[name], ratings, rtol=1e-3)
