"""Weights shared by the networks of a space: what is shared, how it is trained, and what a network then comes to."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from searchkit import Choice, NetworkSpace, Node, Space
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import ProxyError, WritingError
from searchkit.proxies.one_shot import OneShot
from searchkit.random_state import seeded
from searchkit.sharing import SharedWeights
from searchkit.sharing.bank import Bank
from searchkit.sharing.batches import Batches
from searchkit.sharing.bounds import within
from searchkit.sharing.epoch import EpochDone
from searchkit.sharing.fitting import CLIPPED, Fitting
from searchkit.sharing.judging import Judged
from searchkit.sharing.keys import as_plain
from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.table import made_policy
from searchkit.space import network_seed
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.training.optimisation import loss_of, one_cycle, optimiser_of
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded

CPU = torch.device("cpu")
SMALL = macro(width=4, layers=(2, 1))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


def build_own(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
    """The space of the README."""
    width = choices["width"]
    layers: list[nn.Module] = [nn.Conv2d(input_shape[0], width, 3, padding=1), nn.ReLU()]
    for _ in range(choices["depth"]):
        layers += [nn.Conv2d(width, width, choices["kernel"], padding="same"), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_classes))


def own_space(widths: Sequence[int] = (4, 8)) -> NetworkSpace:
    choices = [Choice("width", widths, ordered=True), Choice("depth", (1, 2), ordered=True), Choice("kernel", (1, 3))]
    return NetworkSpace(choices, build_own, name="own", input_shape=(1, 8, 8))


def test_networks_that_differ_at_one_node_share_all_other_tensors() -> None:
    space = SMALL.for_data((1, 8, 8), 10)
    bank = Bank(space, "exact", CPU, 0)
    one, other = (bank.path(code) for code in space.check([[1, 1, 2], [1, 2, 2]]))
    used, others = bank.used(one), bank.used(other)
    elsewhere = [name for name in used if not name.startswith("stages.0.1.")]
    assert elsewhere
    assert all(used[name] is others[name] for name in elsewhere)
    here = [name for name in used if name in others and name not in elsewhere]
    assert here, "both options have parameters of equal names and shapes there"
    assert all(used[name] is not others[name] for name in here)


def test_an_edge_of_every_cell_is_governed_by_its_node() -> None:
    space = nas_bench_201(width=4, cells=2, input_shape=(1, 8, 8))
    bank = Bank(space, "exact", CPU, 0)
    narrow, wide = (bank.path(space.check([[3, 0, 0, k, 0, 3]])[0]) for k in (2, 3))
    norms = [name for name in narrow.slots if ".edge_0_to_3." in name and narrow.shapes[name] == (4,)]
    assert norms
    for name in norms:
        assert narrow.slots[name].options
        assert narrow.slots[name] != wide.slots[name]


@pytest.mark.slow
@pytest.mark.parametrize("share", ["exact", "slice"])
def test_a_space_without_nodes_shares_by_name_and_shape_and_says_so(digits: Data, share: str) -> None:
    shared = SharedWeights(own_space(), digits, epochs=8, share=share)
    with pytest.warns(UserWarning, match="names no nodes"):
        shared.fit()
    assert np.isfinite(shared.losses(shared.space.enumerate())).all()
    assert 0 < min(shared.use.values()) <= max(shared.use.values()) <= 1


def test_slices_are_the_first_channels_and_the_central_taps() -> None:
    space = own_space()
    bank = Bank(space, "slice", CPU, 0)
    small, large = (bank.path(code) for code in space.check([[0, 0, 0], [1, 1, 1]]))
    few, many = bank.used(small)["2.weight"], bank.used(large)["2.weight"]
    assert few.shape == (4, 4, 1, 1)
    assert many.shape == (8, 8, 3, 3)
    assert few.equal(many[:4, :4, 1:2, 1:2])
    assert few.data_ptr() == many[:4, :4, 1:2, 1:2].data_ptr()


def test_a_tensor_that_grows_between_steps_is_trained_on(digits: Data) -> None:
    bank = Bank(own_space(), "slice", CPU, 0)
    small = bank.path(bank.space.check([[0, 0, 0]])[0])
    x = torch.randn(4, 1, 8, 8)
    bank.run(small, x).sum().backward()  # type: ignore[no-untyped-call]
    before = {key: shared.tensor.grad.clone() for key, shared in bank if shared.tensor.grad is not None}
    large = bank.path(bank.space.check([[1, 1, 1]])[0])
    for key, gradient in before.items():
        grown = bank.tensors[key].tensor
        assert grown.grad is not None
        assert grown.grad.shape == grown.shape
        assert grown.grad.sum() == pytest.approx(float(gradient.sum()), abs=1e-5)
    bank.run(large, x).sum().backward()  # type: ignore[no-untyped-call]
    bank.run(small, x).sum().backward()  # type: ignore[no-untyped-call]


def test_a_part_that_was_never_trained_has_no_score(digits: Data) -> None:
    space = own_space()
    bank = Bank(space, "slice", CPU, 0)
    wide_thin, narrow_thick, both = (bank.path(code) for code in space.check([[1, 0, 0], [0, 0, 1], [1, 0, 1]]))
    bank.count(wide_thin)
    bank.count(narrow_thick)
    assert not bank.untrained(wide_thin)
    assert not bank.untrained(narrow_thick)
    assert bank.untrained(both) == ["2.weight"]


@pytest.mark.slow
def test_a_network_without_a_loss_says_why(digits: Data) -> None:
    shared = SharedWeights(SMALL, digits, epochs=0.2)  # one step
    codes = shared.space.enumerate()
    losses = shared.losses(codes)
    whys = [shared.why_none(code) for code in codes]
    assert [why is None for why in whys] == np.isfinite(losses).tolist()
    said = next(why for why in whys if why is not None)
    assert re.fullmatch(
        r"\d+ of its \d+ parameters, such as 'stages\..*', were in no step of .*: give more epochs than 0\.2", said
    )
    bounded = SharedWeights(SMALL, digits, epochs=0.2, bounds={"params": 1e9})
    whys = [bounded.why_none(code) for code, loss in zip(codes, bounded.losses(codes), strict=True) if loss != loss]
    assert str(whys[0]).endswith("0.2, or search within the bounds that they were trained in")


def test_a_network_that_fails_when_it_is_judged_says_its_error(digits: Data) -> None:
    shared = SharedWeights(SMALL, digits, epochs=0.2).fit()
    code = next(code for code in shared.space.enumerate() if not shared._bank.untrained(shared._bank.path(code)))
    path = shared._bank.path(code)
    path.network.forward = lambda x: x.nothing  # type: ignore[method-assign,assignment]
    assert np.isnan(shared.losses(code)).all()
    assert str(shared.why_none(code)).startswith("AttributeError: ")


def test_with_one_candidate_the_training_is_a_plain_one(digits: Data) -> None:
    space = NetworkSpace(
        [Choice("width", (4,)), Choice("depth", (2,)), Choice("kernel", (3,))], build_own, name="one",
        input_shape=(1, 8, 8),
    )  # fmt: skip
    shared = SharedWeights(space, digits, epochs=2, seed=3)
    with pytest.warns(UserWarning, match="names no nodes"):
        shared.fit()
    code = np.zeros(3, dtype=np.int64)
    network = plainly_trained(shared, code)
    started = shared.start(code)
    for name, parameter in network.named_parameters():
        # equal to the bit on most CPUs; with some convolutions of AVX-512 they part in the fourth digit
        assert torch.allclose(parameter.detach(), started[name], atol=2e-3), name


def plainly_trained(shared: SharedWeights, code: np.ndarray[Any, Any]) -> nn.Module:
    """The only network of a space, trained by a loop that knows nothing of sharing."""
    network = build_seeded(shared.space, code, network_seed(code, shared.seed)).train()
    recipe, data = shared.recipe, shared.data
    n_batches = len(data.train) // recipe.batch_size
    optimiser = optimiser_of(network.parameters(), recipe, recipe.lr)
    loss_fn, steps = loss_of(data, recipe, CPU), 2 * n_batches
    for epoch in range(2):
        rng = np.random.default_rng([shared.seed, epoch])
        with seeded(int(rng.integers(2**31))):
            batches = Batches(data, recipe, CPU, shared.seed, rng)
            for i in range(n_batches):
                shared.space.sample(1, rng)
                x, y, weights = batches.next(1.0)
                for group in optimiser.param_groups:
                    group["lr"] = recipe.lr * one_cycle((epoch * n_batches + i) / steps, recipe.warm_up)
                optimiser.zero_grad()
                loss_fn(network(x), y, weights).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), CLIPPED)
                optimiser.step()
    return network


KILLED = """
import os, signal, sys
from tests.sharing.test_shared_weights import in_folder

def after(done, epochs):
    print(done.epoch, flush=True)
    if done.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

in_folder(sys.argv[1], sys.argv[2], after).fit()
"""


def in_folder(folder: str | Path, policy: str, after: Callable[[EpochDone, int], None] | None = None) -> SharedWeights:
    data = load_data("digits", limit=400)
    return SharedWeights(SMALL, data, epochs=3, folder=folder, policy=policy, share="slice", on_epoch=after)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["fair"])
def test_killed_and_continued_is_the_same_to_the_bit(tmp_path: Path, policy: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), policy], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["1", "2"]), done.stderr
    epochs: list[int] = []
    continued = in_folder(tmp_path, policy, lambda done, n: epochs.append(done.epoch)).fit()
    assert epochs == [3]
    whole = in_folder(tmp_path / "another", policy).fit()
    assert whole.use == continued.use
    for (key, one), (_, other) in zip(whole._bank, continued._bank, strict=True):
        assert one.tensor.equal(other.tensor), key
    assert whole.curve == continued.curve


@pytest.mark.slow
def test_a_damaged_checkpoint_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = in_folder(tmp_path, "uniform").fit()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    again = in_folder(tmp_path, "uniform").fit()
    assert "is damaged" in caplog.text
    assert again.use == whole.use


def test_what_cannot_be_built_is_said(digits: Data) -> None:
    def build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
        raise RuntimeError("no such layer")

    with pytest.raises(ProxyError, match="none of 2 networks of space 'broken' can be built.*no such layer"):
        SharedWeights(NetworkSpace([Choice("a", (1, 2))], build, name="broken", input_shape=(1, 8, 8)), digits).fit()
    nodes = lambda space: (Node("width", ("width",), (8,), (8,), module="nowhere"),)  # noqa: E731
    named = NetworkSpace(own_space().choices, build_own, name="named", input_shape=(1, 8, 8), nodes=nodes)
    with pytest.raises(ProxyError, match="names the module 'nowhere', which none"):
        SharedWeights(named, digits).fit()


@pytest.mark.slow
def test_a_score_is_the_loss_with_statistics_of_its_own(digits: Data) -> None:
    proxy = OneShot(SMALL, digits, epochs=3)
    codes = proxy.space.enumerate()
    scores = proxy.score(codes)
    assert proxy.fitted
    assert np.isfinite(scores).all()
    assert scores[3] == proxy.score(codes[[3]])[0] == -proxy.losses(codes)[3]
    network = proxy.space.build(codes[3])
    network.load_state_dict(proxy.start(codes[3]), strict=False)
    x = proxy.data.train.x
    rows = torch.linspace(0, len(x) - 1, 256).round().long()
    mean, std = torch.tensor(proxy.data.mean).view(1, -1, 1, 1), torch.tensor(proxy.data.std).view(1, -1, 1, 1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for part in torch.split(rows, 128):
            network((x[part].float() - mean) / std)
        outputs = network.eval()((proxy.data.val.x.float() - mean) / std)
    loss = nn.functional.cross_entropy(outputs, proxy.data.val.y)
    assert float(loss) == pytest.approx(-scores[3], abs=1e-4)


@pytest.mark.slow
def test_saved_weights_are_read_and_those_of_another_space_or_data_refused(digits: Data, tmp_path: Path) -> None:
    first = OneShot(SMALL, digits, epochs=0.5)
    first.save(tmp_path / "bank")
    again = OneShot(SMALL, digits, epochs=0.5).load(tmp_path / "bank")
    codes = first.space.sample(3, np.random.default_rng(0))
    assert np.array_equal(first.score(codes), again.score(codes), equal_nan=True)
    for other, what in (
        (OneShot(macro(width=4, layers=(1, 1)), digits, epochs=0.5), "another space"),
        (OneShot(SMALL, load_data("digits", limit=300), epochs=0.5), "another data"),
        (OneShot(SMALL, digits, epochs=1), "another epochs"),
    ):
        with pytest.raises(ProxyError, match=what):
            other.load(tmp_path / "bank")
    with pytest.raises(ProxyError, match="holds no shared weights"):
        again.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"share": "slise"}, "is 'slice' meant"),
        ({"policy": "unifrom"}, "is 'uniform' meant"),
        ({"epochs": 0}, "epochs is a number above 0"),
        ({"judge": "accuracy"}, "judge is one of loss, score"),
        ({"bounds": {"parms": 10}}, "is 'params' meant"),
        ({"bounds": {"params": 10}}, "the bounds leave no path"),
        ({"recipe": {"lr": [0.1, 0.2]}}, "one value of each setting"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(digits: Data, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        SharedWeights(SMALL, digits, **given)


def test_spaces_that_cannot_share_are_refused(digits: Data) -> None:
    class Named(nn.Module):
        def __init__(self, name: str, n_classes: int) -> None:
            super().__init__()
            self.inner = nn.ModuleDict({name: nn.Linear(64, n_classes)})

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = next(iter(self.inner.values()))(x.flatten(1))
            return y

    def apart(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
        return Named(f"of_{choices['a']}", n_classes)

    def at_random(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
        width = int(torch.randint(2, 1000, ()))
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, n_classes))

    options = [Choice("a", (1, 2, 3, 4))]
    for build, said in ((apart, "share no parameter"), (at_random, "built differently each time")):
        with pytest.raises(ProxyError, match=said):
            SharedWeights(NetworkSpace(options, build, name="unlike", input_shape=(1, 8, 8)), digits).fit()
    with pytest.raises(ProxyError, match="builds none"):
        SharedWeights(Space(options), digits)


def test_buffers_that_change_are_not_shared_and_named(digits: Data) -> None:
    class Counting(nn.Module):
        def __init__(self, width: int, n_classes: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, n_classes))
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            y: Tensor = self.layers(x)
            return y

    def build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
        return Counting(8, n_classes)

    space = NetworkSpace(
        [Choice("a", (1, 2))], build, name="counting", input_shape=(1, 8, 8),
        nodes=lambda space: (Node("layers", ("a",), (1, 8, 8), (10,), module="layers.1"),),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="change the buffer 'seen'"):
        SharedWeights(space, digits, epochs=0.2).fit()


@pytest.mark.slow
def test_no_path_is_over_a_bound(digits: Data) -> None:
    space = SMALL.for_data((1, 8, 8), 10)
    params = space.count(space, space.enumerate())["params"]  # type: ignore[misc]
    most = float(np.quantile(params, 0.2))
    shared = SharedWeights(SMALL, digits, epochs=2, bounds={"params": most}).fit()
    trained = [code for code in space.enumerate() if not shared._bank.untrained(shared._bank.path(code))]
    assert trained
    within = shared._paths
    drawn = np.stack([within.draw(np.random.default_rng(i)) for i in range(50)])
    assert (space.count(space, drawn)["params"] <= most).all()  # type: ignore[misc]


@pytest.mark.slow
def test_the_sampler_within_bounds_draws_all_that_fit_equally_often() -> None:
    space = macro(width=4, layers=(1, 2, 1), input_shape=(1, 8, 8))
    codes = space.enumerate()
    counts = space.count(space, codes)  # type: ignore[misc]
    bounds = {name: float(np.quantile(counts[name], 0.3)) for name in ("params", "macs")}
    fits = (counts["params"] <= bounds["params"]) & (counts["macs"] <= bounds["macs"])
    allowed, draw = within(space, bounds)
    assert allowed is not None
    assert draw is not None
    assert (allowed(codes) == fits).all()
    rng = np.random.default_rng(0)
    drawn = np.stack([draw(rng) for _ in range(1500)])
    assert allowed(drawn).all()
    found, times = np.unique(drawn, axis=0, return_counts=True)
    assert len(found) >= 0.9 * fits.sum(), "costs are rounded up, so that those at the very bound may be missing"
    assert times.max() / times.mean() < 2


def test_a_tensor_may_grow_twice_before_a_step() -> None:
    bank = Bank(own_space((2, 4, 8)), "slice", CPU, 0)
    paths = [bank.path(code) for code in bank.space.check([[0, 0, 0], [1, 0, 0], [2, 0, 1]])]
    for path in paths:
        assert bank.run(path, torch.randn(4, 1, 8, 8)).shape == (4, 10)
    sizes = {name: tensor.shape for name, tensor in bank.used(paths[-1]).items()}
    assert {name: tensor.shape for name, tensor in bank.before(paths[-1]).items()} == sizes


def test_what_an_optimiser_keeps_of_a_tensor_that_has_grown_is_in_the_checkpoint(digits: Data) -> None:
    policy = made_policy("uniform", Paths(own_space()))
    bank = Bank(own_space().for_data((1, 8, 8), 10), "slice", CPU, 0)
    fitting = Fitting(
        bank, digits, policy, Recipe(batch_size=64, lr=0.05), 1, Judged.of(digits, CPU, 32, 32), 0,
        np.zeros((0, 3), dtype=np.int64),
    )  # fmt: skip
    small = bank.path(bank.space.check([[0, 0, 0]])[0])
    torch.nn.functional.cross_entropy(
        bank.run(small, torch.randn(8, 1, 8, 8)), torch.zeros(8, dtype=torch.int64)
    ).backward()  # type: ignore[no-untyped-call]
    fitting._change(bank.learning(small))
    bank.path(bank.space.check([[1, 0, 1]])[0])  # as a probe makes tensors larger, after the last step of an epoch
    state = fitting._state()
    known = {str(plain): kept for plain, kept in zip(state["bank"]["keys"], state["optimiser"], strict=True)}
    grown = [str(as_plain(key)) for key, shared in bank if shared.smaller is not None]
    assert grown
    assert all("momentum_buffer" in known[key] for key in grown)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["uniform", "shrinking"])
def test_an_interrupted_training_begins_anew_where_nothing_is_kept(digits: Data, policy: str) -> None:
    def stop(done: EpochDone, epochs: int) -> None:
        raise KeyboardInterrupt

    shared = SharedWeights(SMALL, digits, epochs=2, policy=policy, on_epoch=stop)
    with pytest.raises(KeyboardInterrupt):
        shared.fit()
    shared.on_epoch = None
    codes = shared.space.enumerate()[:4]
    whole = SharedWeights(SMALL, digits, epochs=2, policy=policy)
    assert np.array_equal(shared.losses(codes), whole.losses(codes), equal_nan=True)


@pytest.mark.slow
def test_weights_are_read_into_an_object_that_has_judged_others(digits: Data, tmp_path: Path) -> None:
    shared = SharedWeights(own_space(range(2, 30)), digits, epochs=0.5, share="exact")  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="names no nodes"):
        shared.fit()
    shared.save(tmp_path / "few")
    codes = shared.space.enumerate()[::3]
    shared.losses(codes)
    shared.load(tmp_path / "few")
    assert all(shared.start(code) for code in codes)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(digits: Data, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WritingError, match="cannot be written"):
        SharedWeights(
            SMALL, digits, epochs=1, folder=tmp_path / "file", on_epoch=lambda done, n: pytest.fail("trained")
        ).fit()


def test_other_judgements_are_other_weights_to_a_study(digits: Data) -> None:
    loss, score = (SharedWeights(SMALL, digits, epochs=1, judge=judge) for judge in ("loss", "score"))
    assert loss.identity != score.identity
