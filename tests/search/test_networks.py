"""A search over real networks on real images, from the call to the exported file."""

from __future__ import annotations

import json
import math
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import searchkit
from searchkit import Choice, Metric, NetworkSpace
from searchkit.costs.counts import count, peak_memory, space_counts
from searchkit.errors import ExportError, SearchFailedError, SearchkitError

DIGITS = searchkit.load_data("digits", limit=400)


def build(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    channels, width = input_shape[0], choices["width"]
    blocks: list[nn.Module] = [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    for _ in range(choices["depth"]):
        blocks += [nn.Conv2d(width, width, choices["kernel"], padding="same"), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_classes))


SPACE = NetworkSpace(
    [Choice("width", (4, 8, 16), ordered=True), Choice("depth", (0, 1, 2), ordered=True), Choice("kernel", (1, 3))],
    build,
    name="mine",
    canonical=lambda codes: np.where((codes[:, 1:2] == 0) & (np.arange(3) == 2), 0, codes),  # no layer, no kernel
)


def search(**given) -> searchkit.Result:
    return searchkit.run(
        given.pop("strategy", "nsga2"),
        **{"space": SPACE, "data": DIGITS, "budget": 6, "epochs": 2, "storage": "memory"} | given,
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> searchkit.Result:
    return search(storage=tmp_path_factory.mktemp("runs"), name="mine", budget=8, epochs=4)


@pytest.mark.slow
def test_the_front_shows_accuracy_costs_test_score_and_choices(result) -> None:
    assert {"accuracy", "params", "macs", "test_accuracy", "width", "depth", "kernel", "trial"} == set(
        result.front.columns
    )
    assert result.front.accuracy.is_monotonic_decreasing
    assert result.front.params.is_monotonic_decreasing
    assert result.front.test_accuracy.between(0, 1).all()
    assert result.history.accuracy.between(0, 1).all()


def test_the_built_network_is_the_one_that_was_measured(result) -> None:
    for i, row in result.front.iterrows():
        network = result.build(i)
        assert sum(p.numel() for p in network.parameters()) == row.params
        with torch.inference_mode():
            for part, known in ((DIGITS.val, row.accuracy), (DIGITS.test, row.test_accuracy)):
                accuracy = (network(part.x).argmax(1) == part.y).double().mean().item()
                assert accuracy == pytest.approx(known, abs=1e-12)
    assert result.classes == list(range(10))


def test_only_the_front_keeps_its_weights(result) -> None:
    assert len(list(result.folder.glob("*.safetensors"))) == len(result.front)


@pytest.mark.slow
def test_the_winner_leaves_as_it_was_measured(result, tmp_path: Path) -> None:
    import onnxruntime

    onnx, weights, described = result.export(0, tmp_path / "out" / "best")
    images = DIGITS.test.x[:7]
    with torch.inference_mode():
        expected = result.build(0)(images).numpy()
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"images": images.float().numpy()})[0], expected, rtol=1e-3, atol=1e-4)
    fresh = result.build(0, trained=False)
    fresh.load_state_dict(load_file(weights))
    with torch.inference_mode():
        assert np.array_equal(fresh(images).numpy(), expected)
    told = json.loads(described.read_text())
    assert told["choices"] == {name: result.front.iloc[0][name] for name in SPACE.names}
    assert told["measured"]["accuracy"] == result.front.iloc[0].accuracy
    assert told["output"]["classes"] == list(range(10))


@pytest.mark.slow
def test_an_export_that_differs_is_refused(result, tmp_path: Path, monkeypatch) -> None:
    from searchkit.results.formats import onnx_runtime

    monkeypatch.setattr(onnx_runtime, "answers_of", lambda path, images: np.zeros((len(images), 10), dtype=np.float32))
    with pytest.raises(ExportError, match="onnx export differs from the measured network by"):
        result.export(0, tmp_path / "best")


def test_an_export_of_another_size_is_refused_before_anything_is_written(result, tmp_path: Path, monkeypatch) -> None:
    from searchkit.results import export as deploy

    made = deploy.build_network

    def larger(*given, **others) -> nn.Module:
        network = made(*given, **others)
        network.register_parameter("more", nn.Parameter(torch.zeros(1)))
        return network

    monkeypatch.setattr(deploy, "build_network", larger)
    with pytest.raises(ExportError, match=r"the rebuilt network has [\d,]+ parameters, the measured one [\d,]+"):
        result.export(0, tmp_path / "best")
    assert not list(tmp_path.iterdir())


def test_a_recorded_study_is_loaded_with_its_space(result) -> None:
    folder = result.folder.parent
    alone = searchkit.load("mine", folder)
    assert alone.front.equals(result.front)
    with pytest.raises(SearchkitError, match="builds no networks"):
        alone.build(0)
    again = searchkit.load("mine", folder, space=SPACE.for_data((1, 8, 8), 10))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(again.build(0)(images), result.build(0)(images))


def test_lost_weights_are_said(result, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(result.folder.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("*.safetensors"))
    alone = searchkit.load("mine", tmp_path / "copy", space=SPACE.for_data((1, 8, 8), 10))
    with pytest.raises(SearchkitError, match=r"weights of candidate \d+ are not in .*trained=False"):
        alone.build(0)
    alone.build(0, trained=False)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_accuracies_here_and_in_workers(result, tmp_path: Path) -> None:
    again = search(budget=8, epochs=4, executor=2, batch=1).history
    assert again.drop(columns="seconds").equals(result.history.drop(columns=["seconds", "test_accuracy"]).assign(
        test_accuracy=again.test_accuracy)[again.columns.drop("seconds")])  # fmt: skip


def test_the_search_never_sees_the_test_part(monkeypatch) -> None:
    from searchkit.training import evaluator as evaluation

    seen = []
    course = evaluation.course
    monkeypatch.setattr(
        evaluation, "course", lambda network, data, **more: seen.append(len(data.test)) or course(network, data, **more)
    )
    search(budget=2)
    assert seen == [0, 0]


@pytest.mark.slow
def test_a_network_that_breaks_a_counted_bound_is_never_trained(monkeypatch) -> None:
    for strategy in ("random", "nsga2", "tpe", "bo"):
        history = search(strategy=strategy, constraints={"params": 900}, budget=7, epochs=1).history
        assert (history.params <= 900).all()
        assert set(history.state) == {"scored"}


@pytest.mark.slow
def test_a_bound_on_a_measured_cost_spares_the_training() -> None:
    def n_layers(network: nn.Module) -> float:
        return sum(isinstance(module, nn.Conv2d) for module in network.modules())

    layers = Metric("layers", n_layers)
    history = search(
        strategy="random", objectives=("accuracy", layers), constraints={layers: 2}, budget=10, epochs=1
    ).history
    broken = history.layers > 2
    assert broken.any()
    assert not broken.all()
    assert set(history[broken].state) == {"infeasible"}
    assert history[broken].accuracy.isna().all()
    assert history[broken].reason.str.fullmatch(r"breaks layers <= 2 \(it has 3\)").all()
    assert set(history[~broken].state) == {"scored"}


def test_nothing_is_trained_where_only_costs_are_asked_for(monkeypatch) -> None:
    from searchkit.training import evaluator as evaluation

    monkeypatch.setattr(evaluation, "course", lambda *given, **more: pytest.fail("trained"))
    result = search(objectives=("params", "peak_memory"), budget=5)
    assert result.front.params.min() == result.history.params.min()
    assert "accuracy" not in result.history
    result.build(0, trained=False)


def test_metrics_of_the_trained_network_are_objectives_too() -> None:
    def largest_weight(network: nn.Module) -> float:
        return max(p.abs().max().item() for p in network.parameters())

    result = search(objectives=("accuracy", Metric("largest_weight", largest_weight, trained=True)), budget=3)
    network = result.build(0)
    assert result.front.iloc[0].largest_weight == pytest.approx(largest_weight(network.network))


@pytest.mark.slow
def test_latency_and_memory_are_measured_when_asked_for() -> None:
    result = search(objectives=("accuracy", "latency_ms", "peak_memory"), budget=2, epochs=1)
    history = result.history
    for method in result.methods["latency_ms"]:
        assert "onnxruntime" in method
        assert "batch 1, 1 threads" in method
    assert (history.latency_ms > 0).all()
    assert (history.latency_ms_spread >= 0).all()
    assert (history.peak_memory > 1000).all()


@pytest.mark.slow
def test_a_candidate_that_diverges_has_failed_and_the_search_goes_on() -> None:
    def explosive(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        network = build(choices, input_shape, n_classes)
        if choices["depth"] == 1:
            network[-1].weight.data.fill_(float("inf"))
        return network

    space = NetworkSpace(SPACE.choices, explosive, name="explosive")
    history = search(space=space, strategy="random", budget=9, epochs=1).history
    failed = history[history.depth == 1]
    assert len(failed)
    assert failed.reason.str.contains("diverged").all()
    assert set(history[history.depth != 1].state) == {"scored"}


@pytest.mark.thorough
def test_a_time_limit_ends_a_slow_training() -> None:
    class Slow(nn.Flatten):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            time.sleep(0.1)
            return super().forward(x)

    def sometimes(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        return nn.Sequential(Slow() if choices["width"] == 16 else nn.Flatten(), nn.Linear(64, n_classes))

    space = NetworkSpace(SPACE.choices, sometimes, name="slow")
    history = search(space=space, strategy="random", budget=8, epochs=30, time_limit=1.5).history
    slow = history[history.width == 16]
    assert len(slow)
    assert slow.reason.str.contains("over its time limit").all()


def test_own_images_as_arrays_with_names_for_labels() -> None:
    x = DIGITS.train.x.numpy()[:, 0]
    y = np.array(["even" if label % 2 == 0 else "odd" for label in DIGITS.train.y.tolist()])
    result = search(data=(x, y), budget=2, epochs=2)
    assert result.classes == ["even", "odd"]
    assert result.build(0)(torch.from_numpy(x[:3, None])).shape == (3, 2)


def test_a_bound_that_nothing_can_meet_is_said_with_what_can_be() -> None:
    from searchkit.errors import ConstraintError

    with pytest.raises(ConstraintError, match=r"params <= 50: the lowest attainable is 98$"):
        search(constraints={"params": 50})
    with pytest.raises(ConstraintError, match=r"meets params <= 98 and macs >= 5000 together"):
        search(constraints={"params": 98, "macs": (5000, None)})


def build_and_pop(choices: dict, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    width = choices["layer"].pop("width")
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, n_classes))


def test_a_builder_that_changes_its_options_changes_them_for_no_other_candidate() -> None:
    space = NetworkSpace([Choice("layer", ({"width": 4}, {"width": 8})), Choice("n", (1, 2))], build_and_pop)
    result = searchkit.run("random", space=space, data="digits", epochs=1, budget=4, storage="memory", verify=None)
    assert set(result.history.state) == {"scored"}
    assert result.build(0)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def raises(network: nn.Module) -> float:
    raise RuntimeError("my bug")


@pytest.mark.parametrize("trained", [True, False])
def test_a_metric_that_raises_for_every_candidate_is_an_error_with_its_reason(trained: bool) -> None:
    with pytest.raises(SearchFailedError, match="all 2 candidates .* metric 'own' raised RuntimeError: my bug"):
        search(objectives=("accuracy", Metric("own", raises, trained=trained)), budget=2)


class Diverging(nn.Module):
    """Infinite outputs where it is not training: proxies see nothing of it, and every training fails."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, n_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layers(x)
        return outputs if self.training else outputs * math.inf


DIVERGING = NetworkSpace(
    [Choice("width", (64, 96, 128, 160))], lambda choices, shape, n_classes: Diverging(choices["width"], n_classes)
)


def test_where_verifying_fails_for_every_candidate_the_reason_is_told(caplog) -> None:
    result = search(objectives=("naswot", "params"), verify=2, data=DIGITS, space=DIVERGING)
    assert "all 2 trainings of verify= failed; the first reason: diverged" in caplog.text
    assert result.verified.reason.str.startswith("diverged").all()


def test_the_networks_of_a_function_are_built_untrained_and_said_to_have_no_weights() -> None:
    result = searchkit.run(
        "random",
        space=SPACE,
        evaluate=lambda choices: {"loss": choices["width"]},
        objectives={"loss": "min"},
        budget=2,
        storage="memory",
    )
    network = result.build(0, trained=False)
    assert not network.training
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    for door in (lambda: result.build(0), lambda: result.export(0, "never")):
        with pytest.raises(SearchkitError, match=r"by your own function.* build\(i, trained=False\) returns"):
            door()


def n_modules(network: nn.Module) -> int:
    return len(list(network.modules()))


def states() -> list:
    return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]  # noqa: NPY002


def build_by_chance(choices: dict, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    return build(choices, input_shape, n_classes)


CHANCE = NetworkSpace(SPACE.choices, build_by_chance, name="chance")


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"strategy": "random"},
        {"strategy": "bo", "budget": 8},
        {"strategy": "tpe", "objectives": ("accuracy", "latency_ms")},
        {"executor": "interleaved", "constraints": {"params": 2000}},
        pytest.param({"proxies": ("naswot", "zico", "eproxy", "macs")}, marks=pytest.mark.thorough),
        {"objectives": ("swap", "params"), "verify": 1},
        {"objectives": ("accuracy", Metric("own", n_modules))},
    ],
    ids=lambda given: " ".join(map(str, given)),
)
def test_a_search_leaves_the_global_random_states_as_they_were(given: dict) -> None:
    before = states()
    result = search(space=CHANCE, **given)
    assert states() == before
    if not given.get("verify"):
        result.build(0)
        assert states() == before


@pytest.mark.slow
def test_building_counting_and_exporting_leave_the_global_random_states_as_they_were(tmp_path: Path) -> None:
    result = search(space=CHANCE, budget=2)
    space, code = result.network_space, result.trials[0].code
    torch.manual_seed(3)
    before = states()
    network = space.build(code)
    assert states() == before
    torch.manual_seed(3)
    assert torch.equal(next(space.build(code).parameters()), next(network.parameters()))
    count(network, space.input_shape), peak_memory(network, space.input_shape), space_counts(space, code[None])
    result.build(0, trained=False), result.export(0, tmp_path / "best"), result.report(tmp_path / "report.html")
    searchkit.score(space, 3, proxies=("jacov", "grad_norm"), data=DIGITS)
    assert states() == before


def right(network: nn.Module) -> float:
    """Accuracy on the validation part as it was given, by the user's own loop."""
    with torch.no_grad():
        return float((network(DIGITS.val.x).argmax(1) == DIGITS.val.y).double().mean())


@pytest.mark.slow
def test_a_metric_is_given_the_network_that_takes_raw_images_before_and_after_training() -> None:
    shapes = []

    def early(network: nn.Module) -> float:
        shapes.append(network(DIGITS.val.x[:3]).shape)  # bytes, which the bare network refuses
        return 1.0

    own = Metric("own", right, direction="max", trained=True)
    result = search(objectives=("accuracy", own, Metric("early", early)), budget=3, epochs=4, ladder=({"epochs": 1},))
    scored = result.history[result.history.state == "scored"]
    assert len(scored)
    assert scored.own.tolist() == pytest.approx(scored.accuracy.tolist())
    assert right(result.build(0)) == pytest.approx(result.front.own[0])
    assert set(shapes) == {(3, 10)}


@pytest.mark.slow
def test_a_metric_of_a_regression_is_in_the_targets_unit() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(50, 10, (200, 4)).astype(np.float32)
    data = searchkit.load_data((x, 1e5 + 1000 * x[:, 0]), task="regression")

    def rmse(network: nn.Module) -> float:
        with torch.no_grad():
            return float((network(data.val.x) - data.val.y).square().mean().sqrt())

    result = searchkit.run(
        "random", data=data, objectives=("r2", Metric("own", rmse, trained=True)), budget=3, epochs=5, storage="memory"
    )
    assert result.history.own.tolist() == pytest.approx(result.history.rmse.tolist(), rel=1e-4)


def test_a_metric_that_changes_the_network_changes_no_weights_and_no_other_metric(tmp_path: Path) -> None:
    def zeroed(network: torch.nn.Module) -> float:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        network.train()
        return 0.0

    def size(network: torch.nn.Module) -> float:
        assert not network.training
        return float(sum(parameter.abs().sum() for parameter in network.parameters()).detach())

    metrics = (Metric("zeroed", zeroed, trained=True), Metric("size", size, trained=True))
    result = search(objectives=("accuracy", *metrics), budget=2, storage=tmp_path)
    for row in range(len(result.front)):
        assert size(result.build(row)) == pytest.approx(result.front.iloc[row]["size"])
        assert result.front.iloc[row]["size"] > 0
