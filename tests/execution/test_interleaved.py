"""Candidates that are trained in turns come to what they come to alone; memory bounds how many; one harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import searchkit
from searchkit.data.loading import load_data
from searchkit.errors import CandidateError, DeviceGoneError, OutOfMemoryError, SearchkitError
from searchkit.execution.executors import open_executor
from searchkit.execution.interleaved import CAUTION, KNOWN, LATELY, MARGIN, Interleaved, MemoryBudget, Place
from searchkit.execution.outcome import Job, Outcome
from searchkit.runtime.devices import device_errors
from searchkit.space import Choice, NetworkSpace, Space
from searchkit.training.evaluation import Evaluation
from searchkit.training.evaluator import Training
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, course, train
from searchkit.training.turns import Course, Waiting

RECIPE = Recipe(epochs=2, batch_size=16)


def network(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
    """With batch norm, and with random numbers of its own."""
    width = choices["width"]
    return nn.Sequential(
        nn.Conv2d(input_shape[0], width, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.LazyLinear(n_classes) if choices["lazy"] else nn.Linear(width * 36, n_classes),
    )


SPACE = NetworkSpace(
    [Choice("width", (2, 3, 4, 6)), Choice("lazy", (False,))], network, input_shape=(1, 8, 8), n_classes=3
)
Y = np.arange(120) % 3
X = np.random.default_rng(0).integers(0, 120, (120, 8, 8), dtype=np.uint8) + (50 * Y[:, None, None]).astype(np.uint8)
DATA = load_data((X, Y))


@pytest.fixture
def single_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn is one step, so that there are many of them."""
    monkeypatch.setattr("searchkit.training.turns.SECONDS", 0.0)


@pytest.mark.slow
@pytest.mark.usefixtures("single_steps")
@settings(max_examples=15, deadline=None)
@given(order=st.lists(st.integers(0, 2), min_size=0, max_size=40), noise=st.integers(0, 9))
def test_whatever_the_order_of_turns_each_network_is_as_trained_alone(order: list[int], noise: int) -> None:
    torch.manual_seed(noise)
    networks = [build_seeded(SPACE, [i, 0], i) for i in range(3)]
    courses = [course(one, DATA, recipe=RECIPE, seed=i, device="cpu") for i, one in enumerate(networks)]
    state, losses = torch.get_rng_state(), {}
    for i in [*order, *(i for _ in range(100) for i in range(3))]:
        try:
            next(courses[i])
        except StopIteration as end:
            losses.setdefault(i, end.value and end.value.train_loss)
        assert torch.equal(torch.get_rng_state(), state), "the caller's random state is the caller's"
    for i, one in enumerate(networks):
        alone, loss = trained_alone(i)
        assert losses[i] == loss
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, alone[name]), name
        assert not one.training


def trained_alone(i: int, known: dict[int, Any] = {}) -> tuple[dict[str, torch.Tensor], float]:  # noqa: B006 - a cache
    if i not in known:
        one = build_seeded(SPACE, [i, 0], i)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("searchkit.training.turns.SECONDS", 1000.0)  # all in few turns
            loss = train(one, DATA, recipe=RECIPE, seed=i, device="cpu").train_loss
            known[i] = one.state_dict(), loss
    found: tuple[dict[str, torch.Tensor], float] = known[i]
    return found


@pytest.mark.usefixtures("single_steps")
def test_a_large_validation_part_is_scored_in_turns_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []
    for size in (512, 5):
        monkeypatch.setattr("searchkit.training.scores.SCORE_BATCH", size)
        turns.append(sum(1 for _ in course(build_seeded(SPACE, [0, 0], 0), DATA, recipe=RECIPE, device="cpu")))
    assert turns[1] - turns[0] == len(DATA.val) // 5 + (len(DATA.val) % 5 > 0) - 1


def run(folder: Path, **changes: Any) -> searchkit.Result:
    wanted: dict[str, Any] = {
        "space": SPACE, "data": DATA, "objectives": ("accuracy", "params"), "budget": 4, "epochs": 2, "device": "cpu",
        "storage": folder, "progress": False,
    }  # fmt: skip
    return searchkit.run("random", **(wanted | changes))


@pytest.mark.slow
@pytest.mark.usefixtures("single_steps")
@pytest.mark.parametrize("settings", [{}, {"ladder": [{"epochs": 1}]}], ids=["in full", "up a ladder"])
def test_a_search_finds_the_same_interleaved_as_one_after_another(tmp_path: Path, settings: Any) -> None:
    alone = run(tmp_path / "alone", batch=4, **settings)
    together = run(tmp_path / "together", batch=4, executor="interleaved", workers=3, **settings)
    columns = ["width", "accuracy", "params", "state"]
    assert alone.history[columns].equals(together.history[columns])
    assert alone.test_accuracy == together.test_accuracy


def test_without_a_batch_each_candidate_is_asked_for_when_one_is_done(tmp_path: Path) -> None:
    found = run(tmp_path, executor="interleaved")
    assert found.history.state.tolist() == ["scored"] * 4
    assert sorted(found.history.width) == [2, 3, 4, 6]
    assert found.history.batch.nunique() == 4


def test_networks_scored_by_proxies_first_are_trained_in_turns_as_well(tmp_path: Path) -> None:
    found = run(tmp_path, objectives=("accuracy", "naswot"), executor="interleaved", workers=2)
    assert np.isfinite(found.history[["accuracy", "naswot"]].to_numpy()).all()


# What is evaluated here takes memory of a made-up device, and turns that a test counts


class Device:
    """Memory of a made-up device with a limit, and who holds how much of it."""

    def __init__(self, limit: int) -> None:
        self.limit, self.holders, self.most_at_once = limit, {}, 0  # type: ignore[var-annotated]

    def take(self, who: int, n: int) -> None:
        if sum(self.holders.values()) + n > self.limit:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {n} bytes")
        self.holders[who] = n
        self.most_at_once = max(self.most_at_once, len(self.holders))

    def free(self) -> int:
        return self.limit - self.held()

    def held(self) -> int:
        return sum(self.holders.values())


class Work(Evaluation):
    """Job ``[n]`` takes what is said for it; how much that is may be told beforehand, right or wrong."""

    def __init__(self, device: Device, takes: list[int], told: list[int] | None = None, turns: int = 3) -> None:
        self.device, self.takes, self.told, self.turns = device, takes, told or takes, turns
        self.begun: list[int] = []

    def memory(self, code: Any, seed: int) -> int:
        return self.told[code[0]]

    def in_turns(self, code: Any, seed: int) -> Course[dict[str, float]]:
        n = int(code[0])
        self.begun.append(n)
        try:
            self.device.take(n, self.takes[n])
            for _ in range(self.turns):
                yield None
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError("out of memory on cuda:0") from error
        finally:
            self.device.holders.pop(n, None)
        return {"loss": float(n)}

    def pool(self, workers: int = 4, bounded: bool = True) -> Interleaved:
        place = Place(self, self.device if bounded else None, MemoryBudget(scratch=0))
        return Interleaved([place], ("loss",), None, workers)


def all_of(pool: Interleaved, n: int) -> dict[int, Outcome]:
    for i in range(n):
        pool.submit(i, Job(np.array([i]), 0))
    found: dict[int, Outcome] = {}
    while len(found) < n:
        found |= dict(pool.wait())
    return found


def test_no_more_are_begun_than_are_expected_to_fit() -> None:
    device = Device(100)
    work = Work(device, [int(30 / MARGIN)] * 9)
    assert all(outcome.reason is None for outcome in all_of(work.pool(workers=8), 9).values())
    assert device.most_at_once == 3


def test_no_more_are_begun_than_workers() -> None:
    device = Device(100)
    all_of(Work(device, [1] * 9).pool(workers=2), 9)
    assert device.most_at_once == 2


def test_a_large_one_waits_and_is_not_overtaken() -> None:
    device = Device(100)
    work = Work(device, [20, 20, 70, 1, 1])
    assert all(outcome.reason is None for outcome in all_of(work.pool(), 5).values())
    assert work.begun == [0, 1, 2, 3, 4]


def test_one_that_is_expected_not_to_fit_is_tried_alone() -> None:
    outcomes = all_of(Work(Device(100), [50, 50], told=[1000, 1000]).pool(), 2)
    assert [outcomes[i].values for i in range(2)] == [{"loss": 0.0}, {"loss": 1.0}]


def test_what_candidates_took_corrects_what_others_are_expected_to_take() -> None:
    device = Device(100)
    work = Work(device, [40] * 6, told=[10] * 6)  # four times as much as is said
    assert all(outcome.reason is None for outcome in all_of(work.pool(workers=6), 6).values())
    assert device.most_at_once == 2


def test_expectations_grow_with_what_was_taken_and_with_every_failure() -> None:
    budget = MemoryBudget(scratch=0)
    assert budget.needed(100) == round(100 * MARGIN)
    budget.learn(100, 90)
    assert budget.needed(100) == round(100 * MARGIN)
    budget.learn(100, 300)
    assert budget.needed(100) == 300
    budget.too_little()
    assert budget.needed(100) == round(300 * CAUTION)


def test_expectations_follow_what_was_taken_lately_and_leave_the_smallest_some_scratch_memory() -> None:
    budget = MemoryBudget(scratch=1000)
    for _ in range(KNOWN):
        budget.learn(100, 1210)
    assert budget.needed(100) == 1210
    assert budget.needed(10_000) == 12_100
    budget.learn(100, 2200)
    assert budget.needed(100) == 2200
    for _ in range(LATELY):
        budget.learn(100, 550)
    assert budget.needed(100) == 550


def searched(work: Work, monkeypatch: pytest.MonkeyPatch, budget: int, batch: int | None) -> searchkit.Result:
    """A search that evaluates the work's jobs in order, in turns."""
    space = Space([Choice("n", tuple(range(budget)))])
    monkeypatch.setattr("searchkit.assembly.open_executor", lambda *_: work.pool())
    start = [{"n": n} for n in range(budget)]
    return searchkit.run(
        "random", space=space, evaluate=lambda choices: {"loss": 0.0}, objectives={"loss": "min"}, budget=budget,
        start=start, storage="memory", progress=False, batch=batch,
    )  # fmt: skip


@pytest.mark.parametrize("batch", [None, 6])
def test_out_of_memory_is_tried_again_alone_and_the_neighbours_are_not_harmed(
    batch: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(Device(100), [30, 80, 30, 200, 10, 10], told=[100, 1, 1, 1, 1, 1])
    found = searched(work, monkeypatch, 6, batch)
    assert found.history.set_index("n").state.to_dict() == {n: "failed" if n == 3 else "scored" for n in range(6)}
    assert found.history.set_index("n").reason[3] == "out of memory on cuda:0"
    tries = {n: work.begun.count(n) for n in range(6)}
    assert tries[1] == tries[3] == 2, "one that fits alone, and one that does not, once more each"
    assert tries[0] == tries[2] == tries[4] == tries[5] == 1


def test_several_devices_take_so_many_each_and_each_learns_for_itself() -> None:
    small, large = Work(Device(40), [30] * 8, told=[10] * 8), Work(Device(1000), [30] * 8, told=[10] * 8)
    places = [Place(work, work.device, MemoryBudget(scratch=0)) for work in (small, large)]
    pool = Interleaved(places, ("loss",), None, each=3)
    assert pool.workers == 6
    assert all(outcome.reason is None for outcome in all_of(pool, 8).values())
    assert sorted(small.begun + large.begun) == list(range(8))
    assert (small.device.most_at_once, large.device.most_at_once) == (1, 3)


def test_what_is_prepared_before_counts_for_no_candidate() -> None:
    class Uploads(Work):
        def prepare(self, code: Any, seed: int) -> None:
            if 99 not in self.device.holders:
                self.device.take(99, 50)

    device = Device(100)
    all_of(Uploads(device, [12] * 6).pool(workers=8), 6)
    assert device.most_at_once == 1 + 3, "the data, and as many as the rest has room for"


class Marks(Work):
    """Work whose turns wait for a device."""

    class Event:
        """Done when it was asked so many times."""

        def __init__(self, queries: int) -> None:
            self.left = queries

        def query(self) -> bool:
            self.left -= 1
            return self.left < 0

        def synchronize(self) -> None:
            raise AssertionError("one that waits keeps nobody waiting")

    def in_turns(self, code: Any, seed: int) -> Course[dict[str, float]]:
        for turn in range(self.turns):
            self.begun.append(int(code[0]))
            event: Waiting = self.Event(queries=50 if code[0] == 0 and turn == 0 else 0)
            yield event
            assert event.left < 0  # type: ignore[attr-defined]
        return {"loss": 0.0}


def test_a_candidate_whose_work_is_not_done_keeps_no_other_waiting() -> None:
    work = Marks(Device(100), [1] * 3)
    all_of(work.pool(bounded=False), 3)
    assert work.begun == [0, 1, 2, 1, 2, 1, 2, 0, 0]


def test_a_failure_is_the_candidates_own() -> None:
    class Fails(Work):
        def in_turns(self, code: Any, seed: int) -> Course[dict[str, float]]:
            yield None
            if code[0] == 1:
                raise CandidateError("diverged")
            if code[0] == 2:
                raise SystemExit(3)
            return {"loss": 0.0} if code[0] else {}

    outcomes = all_of(Fails(Device(9), [1] * 4).pool(), 4)
    assert [outcomes[n].reason for n in range(4)] == [
        "evaluate returned no 'loss', only nothing", "diverged", "SystemExit: 3", None
    ]  # fmt: skip


class Lost(Work):
    """The device is lost in the second turn of the third job, while the first is done and the others are at work."""

    def in_turns(self, code: Any, seed: int) -> Course[dict[str, float]]:
        self.begun.append(int(code[0]))
        for turn in range(1 if code[0] == 0 else 3):
            with device_errors(torch.device("cuda", 0)):
                if code[0] == 2 and turn == 1:
                    raise RuntimeError("CUDA error: unspecified launch failure")
            yield None
        return {"loss": 0.0}


def test_a_lost_device_ends_it_after_what_is_done_was_returned() -> None:
    pool = Lost(Device(9), [1] * 4).pool(bounded=False)
    for i in range(4):
        pool.submit(i, Job(np.array([i]), 0))
    assert [number for number, _ in pool.wait()] == [0]
    with pytest.raises(DeviceGoneError, match="lost to this process"):
        pool.wait()
    pool.discard()


def test_what_is_dropped_in_the_middle_gives_back_what_it_holds() -> None:
    device = Device(100)
    pool = Work(device, [10] * 3, turns=1000).pool()
    for i in range(3):
        pool.submit(i, Job(np.array([i]), 0))
    for i in range(3):  # each is begun when the one before has taken what it takes
        pool._begin()
        pool._turn(pool._running[i])
    assert device.held() == 30
    pool.discard()
    assert device.held() == 0


def test_a_training_that_is_dropped_hands_its_network_back(single_steps: None) -> None:
    one = build_seeded(SPACE, [0, 0], 0)
    begun = course(one, DATA, recipe=RECIPE, device="cpu")
    next(begun)
    assert one.training
    begun.close()
    assert not one.training
    assert all(p.grad is None for p in one.parameters())


def test_on_several_cards_it_trains_on_all_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    training = Training(SPACE, DATA, RECIPE, "cuda:0", (), Path())
    training = replace(training, rungs=(training,))
    spread, one = (
        open_executor("interleaved", training, (), workers=2, any_card=any_card) for any_card in (True, False)
    )
    assert isinstance(spread, Interleaved)
    devices = [(place.evaluate.device, place.evaluate.rungs[0].device) for place in spread._places]  # type: ignore[attr-defined]
    assert devices == [(f"cuda:{i}", f"cuda:{i}") for i in range(3)]
    assert (spread.workers, one.workers) == (6, 2)


class Unlike:
    """An evaluation that is no course."""

    def __call__(self, code: Any, seed: int) -> dict[str, float]:
        raise AssertionError

    def __iter__(self) -> Iterator[Self]:
        raise AssertionError


def test_only_trainings_can_be_interleaved() -> None:
    with pytest.raises(SearchkitError, match="executor='interleaved' trains several networks in turns, but .* none"):
        open_executor("interleaved", Unlike(), ())
    with pytest.raises(SearchkitError, match="executor='interleaved' trains several networks in turns, but .* none"):
        searchkit.run(
            "random", space=Space([Choice("a", (1, 2))]), evaluate=lambda choices: {"loss": 0.0},
            objectives={"loss": "min"}, executor="interleaved", storage="memory",
        )  # fmt: skip


def test_a_misspelt_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SearchkitError, match=r"'interleave'.* interleaved, ray.*Did you mean 'interleaved'"):
        run(tmp_path, executor="interleave")
