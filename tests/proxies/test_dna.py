"""Block-wise ratings: all paths as if each ran alone, trainings that go on, and sentences for what cannot work."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import searchkit
from searchkit import Choice, NetworkSpace, Node
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.exact import k_best
from searchkit.blocks.solve import Limit
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import ProxyError, SpaceError
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_plus import dna_plus
from searchkit.proxies.dna_rating import rate, rating, recalibrated, relative_error
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.dna_teacher import PlainTeacher, TeacherMaps
from searchkit.proxies.dna_training import _fair
from searchkit.proxies.supernet import Supernet, parts_of, supernet
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.types import Codes, Floats

QUICK = DNASetting(epochs=2, steps=3, images=128, rated=32, recalibrated=32, teacher_epochs=1, teacher_width=1.0)
LAYERS = macro(width=4, layers=(2, 1))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


class Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2), nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x)).relu()
        return y


def build_own(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
    """A user's space: a first block of one or two layers of chosen width, and one layer more."""
    width, channels = choices["width"], int(input_shape[0])
    layers = [Block(channels, width, choices["kernel"])]
    layers += [Block(width, width, 3)] * 0 + [Block(width, width, 3) for _ in range(choices["depth"] - 1)]
    first = nn.Sequential(*layers)
    last = Block(width, 8, choices["last"])
    return nn.Sequential(first, last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, n_classes))


def own_nodes(space: NetworkSpace) -> tuple[Node, ...]:
    c, h, w = space.input_shape
    return (
        Node("a", ("kernel", "width"), (c, h, w), (4, h, w), "first", "0.0"),
        Node("b", ("width",), (4, h, w), (4, h, w), "first", "0.1", optional=("depth", 2)),
        Node("c", ("last",), (4, h, w), (8, h, w), module="1"),
    )


OWN = NetworkSpace(
    [
        Choice("kernel", (1, 3)), Choice("width", (4, 6), ordered=True), Choice("depth", (1, 2), ordered=True),
        Choice("last", (1, 3)),
    ],
    build_own, nodes=own_nodes,
)  # fmt: skip


def one_by_one(net: Supernet, taken: Codes, batch: tuple[Tensor, Tensor], wanted: Tensor) -> Floats:
    """The ratings by their definition: every path alone, from its beginning."""
    ratings = []
    with torch.no_grad(), rating(net):
        for path in taken:
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.training, module.momentum = True, None
                    module.reset_running_stats()
            net(batch[0], path)
            net.eval()
            y = net(batch[1], path)
            ratings.append(float((y - wanted).abs().mean() / wanted.std()))
    return np.array(ratings)


@pytest.mark.slow
@pytest.mark.parametrize("space", [macro(width=4), mobilenet(width=0.25), OWN], ids=lambda space: space.name)
def test_sharing_prefixes_rates_each_path_as_if_it_ran_alone(space: NetworkSpace) -> None:
    blocks = blocks_of(space)
    for part in parts_of(space, blocks)[:2]:
        torch.manual_seed(0)
        net = supernet(space, blocks, part, part.nodes[0].input_shape, lambda channels: nn.Conv2d(channels, 5, 1), 0)
        taken = part.taken[np.random.default_rng(0).permutation(len(part.taken))[:30]]
        batch = torch.randn(2, 8, *part.nodes[0].input_shape).unbind()
        wanted = torch.randn(8, 5, *part.nodes[-1].output_shape[1:])
        ratings = rate(net, taken, (batch[0], batch[1]), relative_error(wanted))
        assert np.allclose(ratings, one_by_one(net, taken, (batch[0], batch[1]), wanted), rtol=1e-4)


def test_ratings_leave_the_supernet_as_it_was() -> None:
    blocks = blocks_of(LAYERS)
    part = parts_of(LAYERS, blocks)[0]
    net = supernet(LAYERS, blocks, part, part.nodes[0].input_shape, lambda channels: nn.Identity(), 0).train()
    with torch.no_grad(), rating(net):
        recalibrated(net.module(0, 1), (torch.randn(4, 4, 32, 32), torch.randn(4, 4, 32, 32)))
    assert net.training
    assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_a_path_is_the_space_s_own_network_up_to_there(digits: Data) -> None:
    space = LAYERS.for_data(digits.input_shape, digits.n_classes)
    blocks = blocks_of(space)
    part = parts_of(space, blocks)[0]
    net = supernet(space, blocks, part, None, lambda channels: nn.Identity(), 0).eval()
    network = space.build(blocks.codes(np.array([[5, 0]]))[0]).eval()
    network.get_submodule("stem").load_state_dict(net.before.network.stem.state_dict())  # type: ignore[union-attr]
    for j, alternative in enumerate(part.taken[5]):
        network.get_submodule(part.nodes[j].module).load_state_dict(net.module(j, alternative).state_dict())
    x = torch.randn(3, *digits.input_shape)
    assert torch.allclose(net(x, part.taken[5]), network.features(x)[0], atol=1e-6)  # type: ignore[operator]


@pytest.mark.slow
def test_shallow_paths_are_trained_as_often_as_deep_ones() -> None:
    space = mobilenet(width=0.25)
    part = parts_of(space, blocks_of(space))[0]
    paths = _fair(part.absent, np.random.default_rng(0))
    depths = [int((~part.absent[next(paths)]).sum()) for _ in range(300)]
    assert np.bincount(depths)[2:].tolist() == [100, 100, 100]
    part = parts_of(LAYERS, blocks_of(LAYERS))[0]
    paths = _fair(part.absent, np.random.default_rng(0))
    assert sorted(next(paths) for _ in range(9)) == list(range(9))


@pytest.mark.parametrize("space", [LAYERS, OWN], ids=lambda space: space.name)
def test_all_networks_are_rated_by_the_sum_of_their_blocks(space: NetworkSpace, digits: Data) -> None:
    dna = DNA(space, digits, setting=QUICK)
    codes = dna.space.sample(20, np.random.default_rng(0))
    picked = dna.blocks.choose(codes)
    expected = sum(dna.weights[part.name] * dna.ratings[part.name][picked[:, part.index]] for part in dna.parts)
    assert np.allclose(dna.score(codes), -np.asarray(expected))
    assert all(np.isfinite(r).all() and (r > 0).all() for r in dna.ratings.values())
    assert all(weight > 0 for weight in dna.weights.values())
    assert {name: len(r) for name, r in dna.ratings.items()} == {p.name: len(p.taken) for p in dna.parts}
    best, values = k_best(dna.losses, 1)
    assert values[0] == pytest.approx(-dna.score(dna.blocks.codes(best))[0])


def test_widths_and_depths_of_a_block_are_alternatives_of_it() -> None:
    part = parts_of(OWN, blocks_of(OWN))[0]
    assert len(part.taken) == 8  # two kernels, two widths, one or two layers
    net = supernet(OWN, blocks_of(OWN), part, None, lambda channels: nn.Conv2d(channels, 3, 1), 0)
    for path in part.taken:
        assert net(torch.randn(2, 3, 32, 32), path).shape == (2, 3, 32, 32)
    assert list(net.after) == ["4", "6"]


@pytest.mark.thorough
def test_what_learns_better_is_rated_better(digits: Data) -> None:
    """Doing nothing at all is the worst path of a stage that has to change its input."""
    setting = DNASetting(epochs=6, steps=150, images=200, rated=64, recalibrated=64, teacher_epochs=4)
    ratings = DNA(LAYERS, digits, setting=setting).ratings["stage_1"]
    part = parts_of(LAYERS, blocks_of(LAYERS))[0]
    nothing = ratings[int(np.flatnonzero((part.taken == 0).all(axis=1))[0])]
    assert nothing > 1.05 * np.sort(ratings)[-2]


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_ratings_also_in_worker_processes(digits: Data) -> None:
    here = DNA(LAYERS, digits, setting=QUICK).ratings
    there = DNA(LAYERS, digits, setting=QUICK, executor=2).ratings
    other = DNA(LAYERS, digits, setting=QUICK, seed=1).ratings
    for name, ratings in here.items():
        assert np.array_equal(ratings, there[name])
        assert not np.array_equal(ratings, other[name])


@pytest.mark.slow
def test_training_leaves_the_caller_s_random_state_alone(digits: Data) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    DNA(LAYERS, digits, setting=QUICK).fit()
    assert torch.equal(torch.rand(1), expected)


def test_ratings_are_saved_and_read_without_training(tmp_path: Path, digits: Data) -> None:
    dna = DNA(LAYERS, digits, setting=QUICK).fit()
    dna.save(tmp_path / "ratings")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ratings.json", "ratings.safetensors"]
    again = DNA(LAYERS, digits, setting=QUICK).load(tmp_path / "ratings")
    codes = dna.space.sample(20, np.random.default_rng(0))
    assert np.array_equal(again.score(codes), dna.score(codes))
    assert json.loads((tmp_path / "ratings.json").read_text())["space"]["name"] == "macro"
    with pytest.raises(ProxyError, match="holds ratings with another setting"):
        DNA(LAYERS, digits, setting=DNASetting(epochs=9)).load(tmp_path / "ratings")
    with pytest.raises(ProxyError, match="another space"):
        DNA(macro(width=5, layers=(2, 1)), digits, setting=QUICK).load(tmp_path / "ratings")
    with pytest.raises(ProxyError, match="holds no ratings"):
        DNA(LAYERS, digits, setting=QUICK).load(tmp_path / "elsewhere")


def test_a_table_of_another_shape_or_with_nan_is_refused(tmp_path: Path, digits: Data) -> None:
    from safetensors.numpy import load_file, save_file

    dna = DNA(LAYERS, digits, setting=QUICK).fit()
    dna.save(tmp_path / "ratings")
    held = load_file(tmp_path / "ratings.safetensors")
    for stage, words in (
        (held["stage_1"][:-1], r"ratings of shape \(8,\) for block 'stage_1', not \(9,\)"),
        (np.where(np.arange(9) == 2, np.nan, held["stage_1"]), "block 'stage_1' that are NaN or infinite"),
    ):
        save_file(held | {"stage_1": np.ascontiguousarray(stage)}, tmp_path / "ratings.safetensors")
        with pytest.raises(ProxyError, match=words):
            DNA(LAYERS, digits, setting=QUICK).load(tmp_path / "ratings")


@pytest.mark.slow
def test_a_pickled_dna_is_not_trained_again(digits: Data, monkeypatch) -> None:
    dna = pickle.loads(pickle.dumps(DNA(LAYERS, digits, setting=QUICK)))
    monkeypatch.setattr(DNA, "_rated", lambda self: pytest.fail("trained again"))
    assert np.isfinite(dna.score(dna.space.sample(5, np.random.default_rng(0)))).all()


SCRIPT = """
import sys, time
from searchkit.data import load_data
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_setting import DNASetting
from searchkit.spaces.macro import macro
dna = DNA(macro(width=4, layers=(2, 1)), load_data("digits", limit=400), folder=sys.argv[1],
          setting=DNASetting(epochs=6, steps=3, images=128, rated=32, recalibrated=32, teacher_epochs=1,
                             teacher_width=1.0),
          on_epoch=lambda *a: (print(*a[:2], flush=True), time.sleep(60 * (f"{a[0]} {a[1]}" == sys.argv[2]))))
dna.fit()
"""


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_ratings(tmp_path: Path, digits: Data) -> None:
    told: list[tuple[str, int]] = []

    def count(block: str, done: int, total: int, loss: float) -> None:
        told.append((block, done))

    setting = DNASetting(epochs=6, steps=3, images=128, rated=32, recalibrated=32, teacher_epochs=1, teacher_width=1.0)
    expected = DNA(LAYERS, digits, setting=setting).ratings
    for killed_at in ("stage_1 2", "stage_2 3"):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), killed_at],
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == killed_at:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        process.stdout.close()
        time.sleep(0.1)
    ratings = DNA(LAYERS, digits, setting=setting, folder=tmp_path, on_epoch=count).ratings
    assert all(np.array_equal(ratings[name], expected[name]) for name in expected)
    assert ("stage_1", 6) not in told  # it was complete
    assert told[0] == ("stage_2", 4)
    told.clear()
    assert DNA(LAYERS, digits, setting=setting, folder=tmp_path, on_epoch=count).fit().ratings.keys() == ratings.keys()
    assert not told


@pytest.mark.slow
def test_a_given_teacher_may_have_other_channels_and_is_left_as_it_is(digits: Data) -> None:
    torch.manual_seed(0)
    teacher = PlainTeacher(digits.input_shape, [(8, 8), (4, 4), (4, 4)], [5, 7, 6], 2, digits.n_classes)
    for i, module in enumerate(teacher.modules()):
        module.training = i % 2 == 0
    for i, parameter in enumerate(teacher.parameters()):
        parameter.requires_grad_(i % 3 > 0)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    modes, learned = [m.training for m in teacher.modules()], [p.requires_grad for p in teacher.parameters()]
    dna = DNA(LAYERS, digits, teacher=teacher, setting=QUICK).fit()
    assert [m.training for m in teacher.modules()] == modes
    assert [p.requires_grad for p in teacher.parameters()] == learned
    assert np.isfinite(np.concatenate(list(dna.ratings.values()))).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())


@pytest.mark.slow
def test_a_network_of_the_space_can_teach(digits: Data) -> None:
    space = macro(width=6, layers=(2, 1)).for_data(digits.input_shape, digits.n_classes)
    dna = DNA(LAYERS, digits, teacher=space.build([2, 2, 2]), setting=QUICK)
    assert set(dna.weights.values()) != {1.0}


def test_a_teacher_whose_stages_do_not_match_is_refused_with_both_shapes(digits: Data) -> None:
    def teacher(sizes: Sequence[tuple[int, int]]) -> nn.Module:
        return PlainTeacher(digits.input_shape, [(8, 8), *sizes], [4] * (len(sizes) + 1), 1, 10)

    with pytest.raises(
        ProxyError, match=r"map for block 'stage_2' has shape \(4, 2, 2\) and the block gives \(16, 4, 4\)"
    ):
        DNA(LAYERS, digits, teacher=teacher([(4, 4), (2, 2)]))
    with pytest.raises(ProxyError, match=r"gives 3 feature maps, of shapes .* but the space has 2 blocks"):
        DNA(LAYERS, digits, teacher=teacher([(4, 4), (4, 4), (2, 2)]))


def test_spaces_without_nodes_or_modules_are_refused(digits: Data) -> None:
    plain = NetworkSpace(OWN.choices, build_own)
    with pytest.raises(ProxyError, match="space 'custom' names no nodes, so that it cannot be rated block by block"):
        DNA(plain, digits)
    with pytest.raises(ProxyError, match="edge_0_to_1, .* are no modules of its networks"):
        DNA(searchkit.load_space("nas-bench-201"), digits)
    with pytest.raises(ProxyError, match="needs networks and space 'custom' has none"):
        DNA(searchkit.Space(OWN.choices), digits)


@pytest.mark.slow
def test_a_node_that_names_a_wrong_module_or_shape_is_refused(digits: Data) -> None:
    def space(**changed: Any) -> NetworkSpace:
        def nodes(space: NetworkSpace) -> tuple[Node, ...]:
            a, b, c = own_nodes(space)
            given = {"name": "c", "choices": ("last",), "input_shape": c.input_shape, "output_shape": c.output_shape}
            return a, b, Node(**(given | {"module": "1"} | changed))

        return NetworkSpace(OWN.choices, build_own, nodes=nodes)

    with pytest.raises(SpaceError, match="node 'c' of space 'custom' names the module '1.nothing'"):
        DNA(space(module="1.nothing"), digits, setting=QUICK).fit()
    with pytest.raises(SpaceError, match=r"is said to give \(8, 4, 4\) and its module '1' gives \(8, 8, 8\)"):
        DNA(space(output_shape=(8, 4, 4)), digits, setting=QUICK).fit()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": 0}, "epochs is a whole number above 0, not 0"),
        ({"epochs": 1.5}, "epochs is a whole number above 0, not 1.5"),
        ({"lr": -1}, "lr is a number above 0, not -1"),
        ({"decay": 2}, "decay is at most 1, not 2"),
        ({"batch": 1}, "batch is 2 or more, not 1"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ProxyError, match=words):
        DNASetting(**given)


def test_a_setting_takes_numbers_of_numpy_for_what_they_are() -> None:
    given = DNASetting(epochs=np.int64(3), batch=np.uint8(32), lr=np.float32(0.5))  # type: ignore[arg-type]
    assert given == DNASetting(epochs=3, batch=32, lr=0.5)
    assert (type(given.epochs), type(given.batch), type(given.lr)) == (int, int, float)


def test_a_training_that_diverges_says_so(digits: Data) -> None:
    with pytest.raises(ProxyError, match="block 'stage_1' diverged at epoch 1: give a lower lr than 1e"):
        DNA(LAYERS, digits, setting=DNASetting(epochs=1, steps=3, images=128, lr=1e30, teacher_epochs=1)).fit()


@pytest.mark.slow
def test_the_found_network_teaches_the_next_round(tmp_path: Path, digits: Data) -> None:
    space = LAYERS.for_data(digits.input_shape, digits.n_classes)
    rounds = dna_plus(space, digits, rounds=2, setting=QUICK, folder=tmp_path)
    first, second = rounds
    assert first.teacher is not None
    assert 0 <= first.accuracy <= 1
    assert second.teacher is None
    assert first.code.tolist() == first.dna.blocks.codes(k_best(first.dna.losses, 1)[0])[0].tolist()
    assert first.teacher.get_submodule("stem")[1].out_channels == 6  # type: ignore[index]  # 1.5 times 4
    assert second.dna.teacher is first.teacher
    again = dna_plus(space, digits, rounds=2, setting=QUICK, folder=tmp_path)
    assert np.array_equal(again[1].dna.losses.tables[0], second.dna.losses.tables[0])


def test_dna_plus_keeps_limits_and_says_which_cannot_be_met(digits: Data) -> None:
    space = LAYERS.for_data(digits.input_shape, digits.n_classes)
    from searchkit.blocks.cost_tables import count_tables

    params = count_tables(space)["params"]
    least = params.base + sum(float(table.min()) for table in params.tables)
    found = dna_plus(space, digits, rounds=1, setting=QUICK, limits=[Limit("params", params, high=1.2 * least)])
    assert params(found[0].dna.blocks.choose(found[0].code[None]))[0] <= 1.2 * least
    with pytest.raises(ProxyError, match="limit 'params' .*cannot be met"):
        dna_plus(space, digits, rounds=1, setting=QUICK, limits=[Limit("params", params, high=0.9 * least)])


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:proxy")
def test_all_three_block_methods_judge_a_search_together(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("searchkit.proxy_layer.signals.N_REFERENCE", 10)  # networks that are scored in any case
    calls: list[int] = []
    rated = DNA._rated

    def counted(self: DNA) -> Any:
        calls.append(1)
        return rated(self)

    monkeypatch.setattr(DNA, "_rated", counted)
    given = {"space": macro(width=4, layers=(1, 1)), "proxies": ("eproxy", "mathnas", "dna"), "epochs": 1, "name": "a"}
    result = searchkit.run("nsga2", budget=6, **given)
    assert set(result.signals["proxy"]) >= {"eproxy", "mathnas", "dna", "params", "macs"}
    result = searchkit.run("nsga2", budget=8, **given)
    assert len(result.trials) == 8
    assert len(calls) == 1  # what was trained is kept beside the record


def test_dna_on_a_search_without_data_says_what_is_missing() -> None:
    with pytest.raises(searchkit.SearchkitError, match="proxy 'dna' trains networks on images: give data="):
        searchkit.run(
            evaluate=lambda choices: {"loss": 0.0}, space=LAYERS, objectives={"loss": "min"}, proxies=("dna",),
            storage="memory",
        )  # fmt: skip


def test_lessons_are_the_teachers_maps_and_answers(digits: Data) -> None:
    torch.manual_seed(0)
    space = LAYERS.for_data(digits.input_shape, digits.n_classes)
    teacher = PlainTeacher(digits.input_shape, [(8, 8), (4, 4), (4, 4)], [4, 8, 16], 1, 10)
    lesson = TeacherMaps(teacher, parts_of(space, blocks_of(space)), space.input_shape)
    x = torch.randn(6, *digits.input_shape)
    stage = lesson.stage(0, x)
    assert stage is teacher.stages[0]
    maps = lesson.maps(x)
    assert torch.allclose(lesson.answers(x, stage, maps[0]), lesson.answers(x))
    assert not torch.allclose(lesson.answers(x, stage, torch.zeros_like(maps[0])), lesson.answers(x))


@pytest.mark.slow
def test_ratings_of_a_narrow_space_judge_a_wide_one(digits: Data) -> None:
    dna = DNA(macro(width=4, layers=(2, 1)), digits, setting=QUICK)
    wide = macro(width=12, layers=(2, 1))
    result = searchkit.run(
        "random", space=wide, data=digits, objectives=("params",), proxies=(dna,), budget=4, storage="memory",
        progress=False,
    )  # fmt: skip
    assert len(result.trials) == 4
    assert "dna" in set(result.signals["proxy"])
