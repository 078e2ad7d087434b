"""Candidates on a real Ray cluster of several nodes: one is killed in the middle; nothing is lost or counted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import searchkit
from searchkit import Choice, SearchkitError, Space

ray = pytest.importorskip("ray", reason="ray is not installed")

from searchkit.execution.executors import open_executor  # noqa: E402
from searchkit.integrations.ray import RayExecutor  # noqa: E402
from searchkit.training.evaluation import Evaluation  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own: open sockets, future defaults

SPACE = Space([Choice("a", range(6)), Choice("b", range(6)), Choice("c", (1, 2, 4, 8), ordered=True)], name="three")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and two nodes, with room for one candidate each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        quick = {"health_check_period_ms": 300, "health_check_failure_threshold": 3}  # a dead node is found in a second
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": quick}
        own = Cluster(initialize_head=True, head_node_args=head)
        own.nodes = [own.add_node(num_cpus=1) for _ in range(2)]
        own.wait_for_nodes()
        yield own
        ray.shutdown()
        own.shutdown()


@pytest.fixture
def executor(cluster: Any) -> Iterator[RayExecutor]:
    own = RayExecutor(cluster.address, retries=1)
    yield own
    own.shutdown()


def _loss() -> Any:
    """A function that travels by value: this module is not there for the workers."""

    def loss(choices: dict) -> dict:
        if choices["a"] == 5:
            raise ValueError("hidden")
        return {"loss": float(choices["a"] - choices["c"])}

    return loss


loss = _loss()


def search(function: Any, executor: Any, **given: Any) -> searchkit.Result:
    given = {"objectives": {"loss": "min"}, "budget": 30, "storage": "memory", "strategy": "random"} | given
    return searchkit.run(space=SPACE, evaluate=function, executor=executor, **given)


def test_candidates_run_on_every_node_and_the_history_is_that_of_this_process(executor: RayExecutor) -> None:
    def located(choices: dict) -> dict:
        import ray

        time.sleep(0.05)
        return loss(choices) | {"node": float(int(ray.get_runtime_context().get_node_id()[:8], 16))}

    history = search(located, executor, batch=6).history
    assert history.node.nunique() == 3
    there = history.drop(columns=["seconds", "node"])
    assert there.equals(search(loss, None, batch=6).history.drop(columns="seconds"))


@pytest.mark.thorough
def test_a_candidate_that_kills_its_worker_is_tried_again_and_then_fails_alone(executor: RayExecutor) -> None:
    def deadly(choices: dict) -> dict:
        if choices["a"] == 5 and choices["b"] == 5:
            os._exit(1)
        return loss(choices | {"a": 0})

    history = search(deadly, executor, budget=SPACE.size).history
    assert (history.state == "failed").equals((history.a == 5) & (history.b == 5))
    assert history.reason.dropna().str.startswith("its worker on the Ray cluster died 2 times: ").all()


DRIVER = """
import sys, time, searchkit
from searchkit import Choice, Space
from searchkit.execution.executors import open_executor  # noqa: E402
from searchkit.integrations.ray import RayExecutor

def slow(choices):
    time.sleep(0.1)
    return {"loss": float(choices["a"])}

searchkit.run(
    "nsga2", space=Space([Choice("a", range(6)), Choice("b", range(6))]), evaluate=slow, objectives={"loss": "min"},
    budget=24, name="s", executor=RayExecutor(sys.argv[1]), storage=sys.argv[2], progress=False,
    callbacks=[lambda trial, trials: print(trial.number, flush=True)],
)
"""


@pytest.mark.thorough
def test_a_driver_that_is_killed_is_continued(cluster: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", DRIVER, cluster.address, str(tmp_path)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    before = [int(driver.stdout.readline()) for _ in range(8)]
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    recorded = searchkit.load("s", tmp_path).history
    assert set(before) <= set(recorded.trial[recorded.state == "scored"])
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    history = searchkit.load("s", tmp_path).history
    assert (history.state == "scored").all()
    assert len(history.drop_duplicates(["a", "b"])) == 24
    done = recorded[recorded.state == "scored"]
    assert history.iloc[done.index].drop(columns="reason").equals(done.drop(columns="reason"))
    assert not set(map(int, ended.stdout.split())) & set(done.trial), "what was on record is not evaluated again"


def test_a_node_that_is_killed_in_the_middle_loses_and_repeats_nothing(cluster: Any, executor: RayExecutor) -> None:
    killed = []

    def kill(trial: Any, trials: Any) -> None:
        if not killed and sum(trial.finished for trial in trials) == 10:
            killed.append(cluster.nodes.pop())
            cluster.remove_node(killed[0], allow_graceful=False)

    def slow(choices: dict) -> dict:
        time.sleep(0.15)
        return {"loss": float(choices["a"] - choices["c"])}

    result = search(slow, executor, callbacks=[kill])
    assert killed
    assert result.history.state.tolist() == ["scored"] * 30
    assert len(result.history.drop_duplicates(["a", "b", "c"])) == 30
    assert (result.history.loss == result.history.a - result.history.c).all()


def test_by_name_the_search_uses_the_cluster_that_there_is(executor: RayExecutor) -> None:
    result = search(lambda choices: {"loss": float(choices["a"])}, "ray", budget=6)
    assert len(result.history) == 6
    assert ray.is_initialized(), "a search does not end a cluster that it did not begin"


def test_what_no_node_has_is_said_before_any_work(executor: RayExecutor) -> None:
    with pytest.raises(SearchkitError, match=r"a candidate takes CPU 1, GPU 1, which no node .* CPU 1, GPU 0"):
        RayExecutor(gpus=1)
    with pytest.raises(SearchkitError, match=r"takes CPU 1, pixel3 2, which no node"):
        RayExecutor(resources={"pixel3": 2})

    class OnAGPU(Evaluation):
        device_name = "cuda"

        def __call__(self, code: Any, seed: int) -> dict[str, float]:
            raise AssertionError

    with pytest.raises(SearchkitError, match=r"a candidate takes CPU 1, GPU 1, which no node"):
        open_executor("ray", OnAGPU(), ())


@pytest.fixture
def _unconnected() -> None:
    ray.shutdown()


@pytest.mark.usefixtures("_unconnected")
def test_a_cluster_that_cannot_be_reached_is_said_at_once() -> None:
    with pytest.raises(SearchkitError, match=r"no Ray cluster answers at ray://127.0.0.1:9 .*ray start --head"):
        search(loss, "ray://127.0.0.1:9")
    with pytest.raises(SearchkitError, match=r"no Ray cluster answers at 127.0.0.1:9"):
        RayExecutor("127.0.0.1:9")
    with pytest.raises(SearchkitError, match=r"'somewhere' is no address of a Ray cluster: write"):
        RayExecutor("somewhere")


def test_without_ray_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SearchkitError, match=r'pip install "searchkit-nas\[ray\]"'):
        search(loss, "ray")


@pytest.mark.thorough
def test_networks_are_trained_on_the_cluster_and_built_here(executor: RayExecutor, tmp_path: Path) -> None:
    space = searchkit.load_space("nas-bench-201", width=4, cells=1)
    result = searchkit.run("random", space=space, epochs=1, budget=3, executor=executor, storage=tmp_path, name="s")
    assert result.history.state.tolist() == ["scored"] * 3
    assert result.build(0) is not None
