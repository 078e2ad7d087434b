"""Losses and scores of every task: those of other libraries, plain loops, and what a search makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.dense import masked, pixelwise
from scipy.ndimage import convolve1d
from sklearn.metrics import accuracy_score, f1_score, r2_score, root_mean_squared_error
from torch import nn
from torch.nn import functional

import searchkit
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.data.masks import IGNORED
from searchkit.data.normalising import standardised
from searchkit.errors import CandidateError, DataError, ObjectiveError, SearchkitError
from searchkit.training.baselines import baselines
from searchkit.training.recipe import Recipe, RecipeError
from searchkit.training.scores import scores_of
from searchkit.training.tasks.losses import LOSSES, distance, task_loss
from searchkit.training.tasks.similarity import structural_similarity

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(200, 4))
LABELS = (TABLE[:, :3] > 0.3).astype(int)
X, MASKS = masked()
MASKS = np.where(RNG.random(MASKS.shape) < 0.1, 9, MASKS)
MAPS = np.where(RNG.random(X.shape) < 0.1, np.nan, X / 50.0)
CPU = torch.device("cpu")
DATA = {
    "multilabel": load_data((TABLE, LABELS)),
    "regression": load_data((TABLE, TABLE[:, :2] * [1.0, 9.0]), task="regression"),
    "segmentation": load_data((X, MASKS), ignore=9),
    "maps": load_data((X, np.stack([MAPS, 3 * MAPS + 1], 1))),
}


def outputs_for(data: Data, n: int) -> torch.Tensor:
    return torch.randn(n, *data.output_shape, generator=torch.Generator().manual_seed(1))


def in_batches(outputs: torch.Tensor, y: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(torch.split(outputs, 7), torch.split(y, 7), strict=True))


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_labels_and_quantities_are_those_of_scikit_learn(weighted: bool) -> None:
    data, y = DATA["multilabel"], DATA["multilabel"].train.y[:50]
    weight = torch.arange(1.0, len(y) + 1, dtype=torch.float64) if weighted else None
    said = outputs_for(data, len(y))
    found = scores_of(in_batches(said, y), data, weight)
    given = None if weight is None else weight.numpy()
    expected = f1_score(y.numpy(), (said > 0).numpy(), average="macro", zero_division=0, sample_weight=given)
    assert found["f1_macro"] == pytest.approx(expected)
    assert found["subset_accuracy"] == pytest.approx(accuracy_score(y.numpy(), (said > 0).numpy(), sample_weight=given))

    data, y = DATA["regression"], DATA["regression"].train.y[: len(y)]
    found = scores_of(in_batches(outputs_for(data, len(y)), y), data, weight)
    assert data.target is not None
    said = outputs_for(data, len(y)).double() * torch.tensor(data.target.std) + torch.tensor(data.target.mean)
    assert found["r2"] == pytest.approx(r2_score(y.numpy(), said.numpy(), sample_weight=given))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(y.numpy(), said.numpy(), sample_weight=given))


def test_the_scores_of_masks_are_those_of_a_plain_loop() -> None:
    data, part = DATA["segmentation"], DATA["segmentation"].train
    outputs = outputs_for(data, len(part))
    outputs[:, 2] -= 1
    weight = torch.arange(len(part), dtype=torch.float64)
    found = scores_of(in_batches(outputs, part.y), data, weight)
    both, union, right, total = np.zeros(3), np.zeros(3), 0.0, 0.0
    for scores, mask, counts in zip(outputs.numpy(), part.y.numpy(), weight.tolist(), strict=True):
        for row in range(12):
            for column in range(12):
                said, true = int(scores[:, row, column].argmax()), int(mask[row, column])
                if true == IGNORED:
                    continue
                total += counts
                right += counts * (said == true)
                both[true] += counts * (said == true)
                union[true] += counts
                union[said] += counts * (said != true)
    assert found["miou"] == pytest.approx(float((both / union).mean()))
    assert found["pixel_accuracy"] == pytest.approx(right / total)


def test_a_class_that_is_nowhere_does_not_count() -> None:
    data, part = DATA["segmentation"], DATA["segmentation"].train
    y = torch.where(part.y == 2, 0, part.y)
    outputs = functional.one_hot(y.clamp(min=0).long(), 3).movedim(-1, 1).float()
    assert scores_of([(outputs, y)], data) == {"miou": 1.0, "pixel_accuracy": 1.0}


def test_the_error_of_maps_is_over_pixels_with_a_value() -> None:
    data, y = DATA["maps"], DATA["maps"].train.y
    assert data.target is not None
    said = outputs_for(data, len(y)).double()
    found = scores_of(in_batches(said.float(), y), data)
    in_units = said * torch.tensor(data.target.std).view(1, 2, 1, 1) + torch.tensor(data.target.mean).view(1, 2, 1, 1)
    missed = (in_units - y.double())[~y.isnan()]
    assert found["rmse"] == pytest.approx(float(missed.square().mean().sqrt()), 1e-5)


def similarity_of_one(said: Any, true: Any, spread: float) -> float:
    """Of one channel, by the definition, with windows that lie inside."""
    weights = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()

    def mean(values: Any) -> Any:
        return convolve1d(convolve1d(values, weights, axis=0), weights, axis=1)[5:-5, 5:-5]

    a, b = mean(said), mean(true)
    va, vb, ab = mean(said**2) - a**2, mean(true**2) - b**2, mean(said * true) - a * b
    c1, c2 = (0.01 * spread) ** 2, (0.03 * spread) ** 2
    return float(((2 * a * b + c1) * (2 * ab + c2) / ((a**2 + b**2 + c1) * (va + vb + c2))).mean())


def test_structural_similarity_is_that_of_its_definition() -> None:
    true = RNG.random((2, 3, 20, 17))
    said = true + 0.3 * RNG.normal(size=true.shape)
    found = structural_similarity(torch.from_numpy(said), torch.from_numpy(true), 1.0)
    expected = [
        np.mean([similarity_of_one(*channels, 1.0) for channels in zip(*pair, strict=True)])
        for pair in zip(said, true, strict=True)
    ]
    assert found.tolist() == pytest.approx(expected)
    holes = torch.from_numpy(true)
    holes[0, :, 10] = torch.nan
    assert structural_similarity(holes.nan_to_num(), holes, 1.0).tolist() == pytest.approx([1.0, 1.0])
    changed = torch.from_numpy(said)
    changed[0, :, 10] = 7.0  # where there is nothing to be alike
    assert structural_similarity(changed, holes, 1.0)[0] == pytest.approx(expected[0], abs=0.1)
    assert structural_similarity(torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 4, 5), 1.0).tolist() == [1.0]


@pytest.mark.parametrize("task", DATA)
def test_every_loss_has_a_gradient_and_is_least_where_outputs_are_right(task: str) -> None:
    data = DATA[task]
    y = data.train.y if data.target is None else standardised(data.train.y, data.target)
    right: torch.Tensor
    if task == "segmentation":
        right = 9 * functional.one_hot(y.clamp(min=0).long(), 3).movedim(-1, 1).float()
    elif task == "multilabel":
        right = 9 * (2 * y.float() - 1)
    else:
        right = y.nan_to_num()
    for name in LOSSES[data.task]:
        loss = task_loss(data, name, 0.0, CPU)
        outputs = outputs_for(data, len(y)).requires_grad_()
        found = loss(outputs, y, None)
        found.backward()  # type: ignore[no-untyped-call]
        assert outputs.grad is not None
        assert bool(torch.isfinite(outputs.grad).all())
        assert float(found.detach()) > float(loss(right, y, None))
        twice = loss(outputs.detach(), y, 2 * torch.ones(len(y)))
        if name != "dice":
            assert float(twice) == pytest.approx(2 * float(found.detach()), rel=1e-5)


def test_ignored_pixels_teach_nothing() -> None:
    for task, nothing in (("segmentation", IGNORED), ("maps", torch.nan)):
        data = DATA[task]
        y = torch.full_like(data.train.y, nothing)
        for name in LOSSES[data.task]:
            outputs = outputs_for(data, len(y)).requires_grad_()
            task_loss(data, name, 0.1, CPU)(outputs, y, None).backward()  # type: ignore[no-untyped-call]
            assert outputs.grad is not None
            assert not outputs.grad.any()


def test_the_loss_of_masks_is_that_of_torch_with_weights_of_classes() -> None:
    data = load_data((X, MASKS), ignore=9, class_weights={0: 1, 1: 2, 2: 5})
    y, outputs = data.train.y, outputs_for(data, len(data.train))
    expected = functional.cross_entropy(
        outputs, y.long(), weight=torch.tensor([1.0, 2.0, 5.0]), ignore_index=IGNORED, label_smoothing=0.1
    )
    assert float(task_loss(data, "usual", 0.1, CPU)(outputs, y, None)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("task", DATA)
def test_answers_are_nowhere_from_themselves(task: Any) -> None:
    outputs = outputs_for(DATA[task], 5)
    assert distance(outputs, outputs, task) <= distance(outputs + torch.randn_like(outputs), outputs, task)


@pytest.mark.parametrize("task", DATA)
def test_the_constant_is_beside_the_front(task: str) -> None:
    (row,) = baselines(DATA[task])
    assert not row["reason"]
    assert (
        set(row["validation"])
        == set(row["test"])
        == set(scores_of([(outputs_for(DATA[task], 5), DATA[task].val.y[:5])], DATA[task]))
    )


SPACES: dict[str, Any] = {"multilabel": None, "regression": None, "segmentation": pixelwise(), "maps": pixelwise()}
BEST = {
    "multilabel": ("f1_macro", 0.8),
    "regression": ("r2", 0.7),
    "segmentation": ("miou", 0.5),
    "maps": ("ssim", 0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", DATA)
def test_a_search_learns_it_and_its_network_takes_raw_inputs(task: str, tmp_path: Path) -> None:
    score, least = BEST[task]
    data = DATA[task]
    result = searchkit.run(
        "random", space=SPACES[task], data=data, objectives=(score, "params"), budget=3, epochs=15, seed=1,
        storage=tmp_path, name="s", progress=False,
    )  # fmt: skip
    assert result.front[score].max() > least
    assert f"test_{searchkit.costs.task_scores.SCORES[data.task][0]}" in result.front
    network = result.build(0)
    with torch.inference_mode():
        said = network(data.test.x)
    assert tuple(said.shape) == (len(data.test), *data.output_shape)
    again = searchkit.load("s", storage=tmp_path, **({} if SPACES[task] is None else {"space": SPACES[task]}))
    with torch.inference_mode():
        assert torch.equal(again.build(0)(data.test.x), said)
    path = result.export(0, tmp_path / "files")[0]
    assert path.exists()


def test_without_objectives_the_data_say_the_score() -> None:
    result = searchkit.run(
        "random", space=pixelwise(), data=(X, MASKS), budget=1, epochs=1, storage="memory", progress=False
    )
    assert {"miou", "params", "test_miou"} <= set(result.front.columns)


def test_a_ladder_may_give_a_part_of_the_data() -> None:
    result = searchkit.run(
        "random", space=pixelwise(), data=DATA["segmentation"], budget=3, epochs=2, ladder=[{"data": 0.5}],
        storage="memory", progress=False,
    )  # fmt: skip
    assert len(result.front)


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a space of classes": ({"space": "residual"}, DataError, "take space='encoder-decoder', or a space whose build"),
    "accuracy": (
        {"objectives": ("accuracy", "params")},
        ObjectiveError,
        "accuracy is a score of classification, but the",
    ),
    "two tasks": (
        {"objectives": ("accuracy", "miou")},
        ObjectiveError,
        "accuracy is a score of classification and miou is",
    ),
    "a loss": (
        {"recipe": {"loss": "huber"}},
        RecipeError,
        "loss 'huber' is not one for segmentation, .* cross-entropy, fo",
    ),
    "no loss": ({"recipe": {"loss": "hube"}}, RecipeError, "loss is one of usual, cross-entropy"),
    "smaller maps": (
        {"ladder": [{"resolution": 6}]},
        SearchkitError,
        "sets resolution, but data 'custom' have something",
    ),
    "one-shot": (
        {"objectives": ("accuracy", "params"), "evaluation": "one-shot"},
        ObjectiveError,
        "accuracy is a score of classification, but the data are loaded for segmentation",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_before_work(case: str) -> None:
    given, error, said = REFUSED[case]
    asked: dict[str, Any] = {"space": pixelwise(), "data": DATA["segmentation"], "budget": 1, "storage": "memory"}
    with pytest.raises(error, match=said):
        searchkit.run("random", **asked | given, progress=False)


@pytest.mark.parametrize(
    ("task", "scores"),
    [
        ("multilabel", ["f1_macro", "test_f1_macro"]),
        ("regression", ["r2", "rmse", "test_r2"]),
        ("segmentation", ["miou", "test_miou"]),
        ("maps", ["rmse", "test_rmse"]),
    ],
)
def test_verify_trains_networks_of_every_task_and_puts_the_best_first(
    task: str, scores: list[str], tmp_path: Path
) -> None:
    space = pixelwise() if task in ("segmentation", "maps") else searchkit.load_space("tabular")
    result = searchkit.run(
        "random", space=space, data=DATA[task], objectives=("params", "macs"), verify=2, epochs=1, budget=4,
        storage="memory", progress=False, time_limit=60,
    )  # fmt: skip
    table = result.verified
    assert list(table.columns[: len(scores)]) == scores
    assert table[scores].notna().all(axis=None)
    first = table[scores[0]]
    assert first.is_monotonic_increasing if scores[0] == "rmse" else first.is_monotonic_decreasing
    page = result.report(tmp_path / "page.html").read_text()
    assert scores[-1] in page[page.index("Verified by training") :]


@pytest.mark.slow
def test_verify_gives_the_score_that_shared_weights_stand_for() -> None:
    result = searchkit.run(
        "random", space=pixelwise(), data=DATA["segmentation"], objectives=("pixel_accuracy", "params"), epochs=1,
        evaluation={"epochs": 8}, verify=1, budget=1, storage="memory", progress=False,
    )  # fmt: skip
    assert list(result.verified.columns[:3]) == ["miou", "pixel_accuracy", "test_miou"]


def test_outputs_of_another_shape_fail_a_candidate_in_words() -> None:
    data = DATA["segmentation"]
    with pytest.raises(
        CandidateError, match=r"shape \(5, 3, 6, 6\), and should have \(5, 3, 12, 12\), one channel per"
    ):
        scores_of([(torch.zeros(5, 3, 6, 6), data.train.y[:5])], data)


@pytest.mark.parametrize("loss", ["focal", "dice"])
def test_losses_by_name_train(loss: Any) -> None:
    result = searchkit.run(
        "random", space=pixelwise(), data=DATA["segmentation"], budget=1, epochs=15, seed=1, recipe={"loss": loss},
        storage="memory", progress=False,
    )  # fmt: skip
    assert result.front["miou"].max() > 0.5
    assert Recipe(loss=loss).loss == loss


@pytest.mark.slow
@pytest.mark.parametrize("task", DATA)
def test_proxies_take_any_output(task: str) -> None:
    names = ["naswot", "jacov", "synflow", "grad_norm", "zico", "swap", "vkdnw", "eproxy", "zen"]
    space = SPACES[task] or searchkit.load_space("tabular")
    names = names if SPACES[task] else [name for name in names if name not in ("eproxy", "zen")]  # of images
    layers = {"block": "residual", "width": 32, "depth": 2, "expansion": 2, "dropout": 0.0, "norm": "none"}
    table = searchkit.score(space, 3 if SPACES[task] else [layers], data=DATA[task], proxies=names)
    assert bool(np.isfinite(table[names].to_numpy(dtype=float)).all())


class Volume(nn.Module):
    """A network with 3-D convolutions, whose weights are no images."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.flat, self.deep = nn.Conv2d(1, width, 3, padding=1), nn.Conv3d(1, outputs, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.deep(self.flat(x).relu()[:, None]).mean(2)
        return y


def volumes(choices: Any, input_shape: Any, output_shape: Any) -> nn.Module:
    return Volume(choices["width"], output_shape[0])


def test_networks_with_3d_convolutions_are_trained_and_scored() -> None:
    space = searchkit.NetworkSpace([searchkit.Choice("width", [2, 3])], volumes, name="volumes")
    result = searchkit.run(
        "random", space=space, data=DATA["segmentation"], objectives=("miou", "naswot", "params"), budget=2, epochs=2,
        storage="memory", progress=False,
    )  # fmt: skip
    assert len(result.trials) == 2


@pytest.mark.slow
def test_a_lower_error_on_the_test_part_is_better_than_a_simple_model(caplog: pytest.LogCaptureFixture) -> None:
    result = searchkit.run(
        "random", space=pixelwise(), data=DATA["maps"], budget=3, epochs=15, seed=1, storage="memory", progress=False,
        baselines=True,
    )  # fmt: skip
    simple = result.baselines
    assert result.front["test_rmse"].min() < simple["test_rmse"].min()
    assert not [line for line in caplog.messages if "no better" in line]
