"""A training run is repeatable, learns, leaves nothing behind, and says why it stopped."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from searchkit.data.data import Augment, Data
from searchkit.data.loader import TrainBatches
from searchkit.data.loading import load_data
from searchkit.data.normalising import Normaliser
from searchkit.data.splits import Split
from searchkit.errors import CandidateError, DataError, DeviceError, TimeLimitError
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.threads import one_thread
from searchkit.space import Choice, NetworkSpace
from searchkit.training.recipe import RecipeError
from searchkit.training.train import Recipe, build_seeded, one_cycle, score, train

CPU = torch.device("cpu")
SHORT = Recipe(epochs=2, batch_size=16)


def small_network(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
    width = choices["width"]
    return nn.Sequential(
        nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(4 * width, n_classes),
    )


SPACE = NetworkSpace([Choice("width", (4, 16))], small_network, input_shape=(1, 8, 8), n_classes=3)


def striped(n: int = 60, side: int = 8, augment: Augment = "shift") -> Data:
    """Three classes that a network can tell apart: horizontal stripes, vertical stripes, a flat grey."""
    y = np.arange(n) % 3
    x = np.random.default_rng(0).integers(0, 60, (n, side, side), dtype=np.uint8)
    x[y == 0, ::2] += 150
    x[y == 1, :, ::2] += 150
    x[y == 2] += 75
    return load_data((x, y), augment=augment)


def weights(network: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in network.state_dict().values()]


class Explosive(nn.Module):
    """Logits that are infinite from the given forward pass on."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.left = after

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        logits: Tensor = self.layer(x.flatten(1))
        return logits if self.left >= 0 else logits * math.inf


def plain_network() -> nn.Module:
    """No randomness of its own: the same weights every time, no dropout."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nn.init.zeros_(network[1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(network[1].bias)  # type: ignore[arg-type]
    return network


class Hungry(nn.Module):
    """Runs out of memory: on the CPU for real, or as a GPU would say it."""

    def __init__(self, of_gpu: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.of_gpu = of_gpu

    def forward(self, x: Tensor) -> Tensor:
        if self.of_gpu:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return torch.empty(2**50)


class Slow(nn.Module):
    """A tenth of a second a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.1)
        return self.layer(x.flatten(1))  # type: ignore[no-any-return]


# --- training


def test_a_network_learns_what_can_be_learned() -> None:
    data = striped(240)
    network = build_seeded(SPACE, [1], 0)
    trained = train(network, data, recipe=Recipe(epochs=10, batch_size=32), device="cpu")
    assert trained.accuracy > 0.95
    assert score(network, data.test, data, "cpu") > 0.95
    assert trained.train_loss < math.log(3)
    assert 0 < trained.seconds < 60


def test_only_the_train_part_teaches() -> None:
    data = striped(240)
    turned = replace(data, train=replace(data.train, y=(data.train.y + 1) % 3))  # val keeps the right labels
    trained = train(build_seeded(SPACE, [1], 0), turned, recipe=Recipe(epochs=10, batch_size=32), device="cpu")
    assert trained.accuracy < 0.05


def test_the_same_seed_gives_the_same_weights_bit_by_bit() -> None:
    data = striped()
    runs = []
    for seed, noise in ((5, 1), (5, 2), (6, 1)):
        torch.manual_seed(noise)  # what happened before must not matter
        network = build_seeded(SPACE, [1], 3)
        runs.append((train(network, data, recipe=SHORT, seed=seed, device="cpu"), weights(network)))
    (first, w_first), (again, w_again), (_, w_other) = runs
    assert (first.accuracy, first.train_loss) == (again.accuracy, again.train_loss)
    assert all(torch.equal(a, b) for a, b in zip(w_first, w_again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(w_first, w_other, strict=True))


def test_the_seed_also_orders_the_examples() -> None:
    data = striped(augment="none")
    losses = {train(plain_network(), data, recipe=SHORT, seed=seed, device="cpu").train_loss for seed in (0, 0, 1)}
    assert len(losses) == 2


def test_building_is_seeded_by_its_argument_alone() -> None:
    torch.manual_seed(1)
    first = weights(build_seeded(SPACE, [1], 3))
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(build_seeded(SPACE, [1], 3)), strict=True))
    assert not torch.equal(first[0], weights(build_seeded(SPACE, [1], 4))[0])


def test_the_global_random_state_and_threads_are_left_as_they_were() -> None:
    data = striped()
    explosive = Explosive(0)
    state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    network = build_seeded(SPACE, [0], 0)
    train(network, data, recipe=SHORT, device="cpu")
    score(network, data.test, data, "cpu")
    with pytest.raises(CandidateError):
        train(explosive, data, recipe=SHORT, device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == n_threads
    assert not explosive.training


def test_one_thread_inside_and_the_former_number_after() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_trained_network_is_in_eval_mode_without_gradients() -> None:
    network = build_seeded(SPACE, [0], 0)
    network.train()
    train(network, striped(), recipe=SHORT, device="cpu")
    assert not any(module.training for module in network.modules())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("n", "batch_size"), [(n, 16) for n in (9, 16, 17, 33, 60)] + [(9, 4), (16, 4), (17, 500)])
def test_any_number_of_examples_fits_any_batch_size(n: int, batch_size: int) -> None:
    trained = train(build_seeded(SPACE, [0], 0), striped(n), recipe=Recipe(1, batch_size), device="cpu")
    assert math.isfinite(trained.train_loss)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_both_optimisers_learn(optimiser: Any) -> None:
    recipe = Recipe(epochs=10, batch_size=16, optimiser=optimiser, lr=0.1 if optimiser == "sgd" else 0.01)
    assert train(build_seeded(SPACE, [1], 0), striped(120), recipe=recipe, device="cpu").accuracy > 0.8


def test_accuracy_is_the_share_of_right_answers() -> None:
    data = striped()
    network = Explosive(1_000)
    with torch.no_grad():
        network.layer.weight.zero_()
        network.layer.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    assert score(network, data.val, data, "cpu") == (data.val.y == 1).sum().item() / len(data.val)


def test_an_empty_part_is_not_scored() -> None:
    data = striped().without_test()
    with pytest.raises(DataError, match="the part of data 'custom' to score on is empty"):
        score(Explosive(9), data.test, data, "cpu")


# --- failures of a candidate


def test_a_diverged_loss_is_the_candidates_fault_and_names_the_epoch() -> None:
    data = striped()  # 36 train images: two steps an epoch
    with pytest.raises(CandidateError, match=r"^diverged: loss nan at epoch 2$"):
        train(Explosive(2), data, recipe=Recipe(epochs=3, batch_size=16), device="cpu")


def test_outputs_that_are_not_finite_after_training_are_no_accuracy() -> None:
    with pytest.raises(CandidateError, match=r"^diverged: the trained network's outputs are not finite$"):
        train(Explosive(4), striped(), recipe=SHORT, device="cpu")


def test_too_much_time_is_its_own_error_and_soon() -> None:
    started = time.perf_counter()
    with pytest.raises(TimeLimitError, match=r"^over its limit of 0\.25 s at epoch 2 of 100$"):
        train(Slow(), striped(), recipe=Recipe(epochs=100, batch_size=16), device="cpu", time_limit=0.25)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("of_gpu", [False, True])
def test_running_out_of_memory_is_the_candidates_fault(of_gpu: bool) -> None:
    with pytest.raises(CandidateError, match=r"^out of memory on cpu with batches of 16$"):
        train(Hungry(of_gpu), striped(), recipe=SHORT, device="cpu")


def test_a_bug_in_a_network_is_no_failed_candidate() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as error:
        train(nn.Sequential(nn.Flatten(), nn.Linear(7, 3)), striped(), recipe=SHORT, device="cpu")
    assert not isinstance(error.value, CandidateError)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "epochs is a whole number of at least 1, not 0"),
        ({"batch_size": 1}, "batch_size is a whole number of at least 2, not 1"),
        ({"epochs": 2.5}, "epochs is a whole number of at least 1, not 2.5"),
        ({"lr": 0.0}, "lr is above 0 and finite, not 0.0"),
        ({"label_smoothing": 1.0}, r"label_smoothing is in \[0, 1\), not 1.0"),
        ({"warm_up": -0.1}, r"warm_up is in \[0, 1\), not -0.1"),
        ({"momentum": math.nan}, r"momentum is in \[0, 1\), not nan"),
        ({"weight_decay": -1.0}, "weight_decay is 0 or more and finite, not -1.0"),
        ({"lr": "fast"}, "lr is a number, not 'fast'"),
        ({"optimiser": "adam"}, "optimiser is one of sgd, adamw, not 'adam'"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(options: Any, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        Recipe(**options)


def test_a_recipe_takes_numbers_of_numpy_for_what_they_are() -> None:
    given = Recipe(epochs=np.int64(3), batch_size=np.uint8(64), lr=np.float32(0.5), momentum=np.float64(0.5))
    assert given == Recipe(epochs=3, batch_size=64, lr=0.5, momentum=0.5)
    assert all(type(getattr(given, field.name)) in (int, float, str, type(None)) for field in dataclasses.fields(given))
    with pytest.raises(RecipeError, match="epochs is a whole number of at least 1, not False"):
        Recipe(epochs=np.bool_(False))


# --- batches


def marked(n: int, side: int, augment: Augment) -> Data:
    """Float images that are all different, with one bright pixel in the middle."""
    x = np.random.default_rng(0).random((n, side, side)).astype(np.float32)
    x[:, side // 2, side // 2] = 9.0
    return load_data((x, np.arange(n) % 2), augment=augment)


def epoch_of(batches: TrainBatches) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a new epoch, as a training's steps take them."""
    batches.shuffle()
    for start in range(0, batches.n_batches * batches.batch_size, batches.batch_size):
        yield batches.batch(slice(start, start + batches.batch_size))


def test_an_epoch_shows_each_example_once_and_another_epoch_another_order() -> None:
    data = marked(100, 8, "none")
    batches = TrainBatches(data, 10, CPU, torch.Generator().manual_seed(0))
    normalised = Normaliser(data, CPU)(data.train.x)
    label_of = {image.numpy().tobytes(): int(label) for image, label in zip(normalised, data.train.y, strict=True)}
    orders = []
    for _ in range(2):
        seen = [
            (image.numpy().tobytes(), int(label))
            for x, y in epoch_of(batches)
            for image, label in zip(x, y, strict=True)
        ]
        assert all(label_of[image] == label for image, label in seen)
        assert set(Counter(image for image, _ in seen).values()) == {1}
        assert len(seen) == 60
        orders.append([image for image, _ in seen])
    assert orders[0] != orders[1]


def test_the_incomplete_last_batch_is_dropped() -> None:
    batches = TrainBatches(marked(100, 8, "none"), 16, CPU, torch.Generator().manual_seed(0))
    assert [len(y) for _, y in epoch_of(batches)] == [16, 16, 16]  # of 60


def test_normalised_images_have_mean_zero_and_deviation_one() -> None:
    data = striped()
    x = Normaliser(data, CPU)(data.train.x)
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_shifts_reach_every_place_within_an_eighth_and_never_further() -> None:
    data = marked(300, 16, "shift")
    places = set()
    for x, _ in epoch_of(TrainBatches(data, 20, CPU, torch.Generator().manual_seed(0))):
        assert x.shape == (20, 1, 16, 16)
        places |= {divmod(int(at), 16) for at in x.flatten(1).argmax(1)}
    assert places == {(row, column) for row in range(6, 11) for column in range(6, 11)}


def test_a_shifted_image_is_the_image_with_black_where_it_left() -> None:
    data = marked(40, 8, "shift")
    normalise = Normaliser(data, CPU)
    padded = nn.functional.pad(data.train.x, (1, 1, 1, 1))
    allowed = {
        normalise(padded[..., row : row + 8, column : column + 8])[i].numpy().tobytes()
        for row in range(3)
        for column in range(3)
        for i in range(len(padded))
    }
    for x, _ in epoch_of(TrainBatches(data, 24, CPU, torch.Generator().manual_seed(0))):
        assert {image.numpy().tobytes() for image in x} <= allowed


def test_about_half_of_natural_images_are_mirrored_and_no_others_are() -> None:
    for augment, least, most in (("crop-flip", 0.4, 0.6), ("shift", 0.0, 0.0)):
        x = np.zeros((1000, 16, 16), dtype=np.uint8)
        x[:, :, 3] = 200  # the bright column comes to the right half where the image is mirrored
        x[:, 0, 0] = np.arange(1000) % 7
        data = load_data((x, np.arange(1000) % 2), augment=augment)  # type: ignore[arg-type]
        epoch = epoch_of(TrainBatches(data, 100, CPU, torch.Generator().manual_seed(0)))
        mirrored = torch.cat([batch.mean(dim=(1, 2)).argmax(1) > 7 for batch, _ in epoch])
        assert least <= mirrored.float().mean().item() <= most


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    shares = [one_cycle(step / 100, 0.2) for step in range(101)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[20] == 1.0
    assert shares[:21] == sorted(shares[:21])
    assert shares[20:] == sorted(shares[20:], reverse=True)
    assert shares[100] == pytest.approx(0)


# --- devices


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert resolve_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == CPU


@pytest.mark.parametrize("name", ["cuda", "cuda:7", torch.device("cuda")])
def test_a_gpu_that_is_not_there_is_refused(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=f"device '{name}' is not there: this machine shows 0 GPUs.* auto, cpu"):
        resolve_device(name)


def test_gpus_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match=r"'cuda:2' is not there: this machine shows 2 GPUs.*cuda:0, cuda:1"):
        resolve_device("cuda:2")


@pytest.mark.parametrize(("name", "near"), [("cudda", "cuda"), ("CPUs", "cpu"), ("autom", "auto")])
def test_an_unknown_device_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(DeviceError, match=rf"unknown device '{name}': choose from auto, cpu.*Did you mean '{near}'\?"):
        resolve_device(name)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_what_a_cpu_learns_and_hands_the_network_back() -> None:
    data = striped(240)
    network = build_seeded(SPACE, [1], 0)
    state = torch.cuda.get_rng_state()
    assert train(network, data, recipe=Recipe(epochs=10, batch_size=32), device="cuda").accuracy > 0.9
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    on_gpu, on_cpu = score(network, data.test, data, "cuda"), score(network, data.test, data, "cpu")
    assert on_gpu == pytest.approx(on_cpu, abs=0.05)


class Shaped(nn.Module):
    """Outputs of any shape ``(n, *shape)``, or inside of a tuple."""

    def __init__(self, shape: tuple[int, ...], wrapped: bool) -> None:
        super().__init__()
        self.layer, self.shape, self.wrapped = nn.LazyLinear(math.prod(shape)), shape, wrapped

    def forward(self, x: Tensor) -> Any:
        outputs = self.layer(x.flatten(1)).reshape(len(x), *self.shape)
        return (outputs,) if self.wrapped else outputs


WRONG_SHAPES = [
    ("classes", (7,), False, r"for 32 examples have shape \(32, 7\), and should have \(32, 3\), one column per class"),
    ("classes", (2,), False, r"\(32, 2\), and should have \(32, 3\)"),
    ("classes", (), False, r"\(32,\), and should have \(32, 3\)"),
    ("classes", (3, 1), False, r"\(32, 3, 1\), and should have \(32, 3\)"),
    ("classes", (3,), True, r"returned tuple, not a tensor of shape \(32, 3\)"),
    ("quantities", (2,), False, r"\(32, 2\), and should have \(32, 1\), a single column"),
    ("quantities", (), False, r"\(32,\), and should have \(32, 1\)"),
    ("quantities", (1, 1), False, r"\(32, 1, 1\), and should have \(32, 1\)"),
]


@pytest.mark.parametrize(("kind", "shape", "wrapped", "said"), WRONG_SHAPES)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_outputs_of_another_shape_than_the_data_ask_for_fail_in_training_and_in_scoring(
    kind: str, shape: tuple[int, ...], wrapped: bool, said: str
) -> None:
    data = striped(80)
    if kind == "quantities":
        data = load_data((np.random.default_rng(0).random((80, 4)), np.arange(80.0)), task="regression")
    n = 32
    data = replace(data, train=Split(data.train.x[:n], data.train.y[:n]))
    part = replace(data, val=data.train)
    network = Shaped(shape, wrapped)
    network(torch.zeros(2, *data.input_shape))
    with pytest.raises(CandidateError, match=said):
        train(network, part, recipe=Recipe(epochs=1, batch_size=n), device="cpu")
    with pytest.raises(CandidateError, match=said):
        score(network, part.train, part, "cpu")
