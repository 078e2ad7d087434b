"""Trackers log every candidate once, whatever becomes of it and however often a study continues; they break nothing."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import searchkit
from searchkit import Choice, Metric, Space
from searchkit.errors import ObjectiveError, SearchFailedError, SearchkitError, StopSearch, UnknownNameError
from searchkit.integrations.jsonlines import JSONLines
from searchkit.integrations.tensorboard import TensorBoardTracker
from searchkit.integrations.trackers.curves import FIRST, Curves
from searchkit.integrations.trackers.keys import Keys
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.trial import State, Trial

SPACE = Space(
    [
        Choice("width", (8, 16, 32, 64), ordered=True),
        Choice("kind", ("conv", "pool", "skip")),
        Choice("rate", (1e-3, 1e-2, 1e-1), ordered=True),
        Choice("last", (1, "linear", None)),
    ]
)
GOALS: dict[str, Any] = {"objectives": {"loss": "min", "size": "min"}, "constraints": {"size": 40}}


def evaluate(choices: dict) -> dict:
    if choices["kind"] == "skip" and choices["width"] == 64:
        raise ValueError("does not fit")
    return {"loss": 1 / choices["width"] + choices["rate"], "size": choices["width"]}


def search(*callbacks: Any, **given: Any) -> searchkit.Result:
    call = {"space": SPACE, "evaluate": evaluate, "budget": 24, "name": "a study", **GOALS}
    return searchkit.run("random", callbacks=callbacks, **(call | given))


def lines(path: Path, event: str | None = None) -> list[dict]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    read = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
    return [line for line in read if event in (None, line["event"])]


class Told:
    """A callback that keeps what it is told."""

    def __init__(self) -> None:
        self.start: list[tuple[str, int]] = []
        self.fronts: list[int] = []
        self.end: list[tuple[str, BaseException | None]] = []

    def on_start(self, result: searchkit.Result) -> None:
        self.result = result
        self.start.append((result.name, len(result.history)))

    def __call__(self, trial: Trial, trials: Any) -> None:
        self.fronts.append(len(self.result.front))
        assert len(self.result.history) == len(trials)

    def on_end(self, result: searchkit.Result, error: BaseException | None) -> None:
        self.end.append((result.stopped, error))


class TestCallbacks:
    def test_one_with_a_beginning_and_an_end_is_told_of_both_and_sees_tables_that_grow(self, tmp_path: Path) -> None:
        told = Told()
        result = search(told, storage=tmp_path)
        assert told.result is result
        assert told.fronts[-1] == len(result.front) > 1
        search(told, storage=tmp_path, budget=30)
        assert told.start == [("a study", 0), ("a study", 24)]
        assert told.end == [("the budget is spent", None)] * 2

    @pytest.mark.parametrize(
        ("error", "raised", "stopped"),
        [
            (StopSearch("enough"), None, "stopped by a callback: enough"),
            (KeyboardInterrupt(), None, "interrupted"),
            (ZeroDivisionError("mine"), ZeroDivisionError, "ZeroDivisionError: mine"),
        ],
    )
    def test_the_end_is_told_however_the_search_ends(self, error: BaseException, raised: Any, stopped: str) -> None:
        told = Told()

        def fail(trial: Trial, trials: Any) -> None:
            if trial.number == 3:
                raise error

        if raised is None:
            search(told, fail, storage="memory")
            assert told.end == [(stopped, None)]
        else:
            with pytest.raises(raised):
                search(told, fail, storage="memory")
            assert told.end == [(stopped, error)]

    def test_a_search_that_fails_tells_its_error(self) -> None:
        told = Told()
        with pytest.raises(SearchFailedError) as failed:
            search(told, storage="memory", evaluate=lambda choices: {}["nothing"])
        assert told.end[0][1] is failed.value
        assert told.end[0][0].startswith("SearchFailedError: the first 20 candidates all failed")

    def test_a_class_in_place_of_an_object_is_refused(self) -> None:
        with pytest.raises(SearchkitError, match=r"JSONLines is a class: write JSONLines\(\)"):
            search(JSONLines, storage="memory")


class TestJSONLines:
    def test_every_candidate_is_a_line_that_pandas_reads(self, tmp_path: Path) -> None:
        path = tmp_path / "new folder" / "search.jsonl"
        result = search(JSONLines(path), storage="memory")
        table = pd.read_json(path, lines=True)
        assert list(table.event) == ["start", *["candidate"] * 24, "end"]
        written = lines(path, "candidate")
        for line, trial in zip(written, result.trials, strict=True):
            assert line["trial"] == trial.number
            assert line["values"] == trial.values
            assert SPACE.encode(line["choices"]).tolist() == [trial.code.tolist()]
            assert (line["state"], line["reason"]) == (trial.state, trial.reason)
            assert line["elapsed"] == trial.elapsed
        failed = [line for line in written if line["state"] == "failed"]
        assert failed
        assert failed[0]["reason"] == "ValueError: does not fit"
        head, end = lines(path, "start")[0], lines(path, "end")[0]
        assert head["space"]["choices"]["last"] == [1, "linear", None]
        assert (head["strategy"], head["seed"], head["budget"]) == ("random", 0, {"evaluations": 24})
        assert (head["objectives"], head["constraints"]) == (GOALS["objectives"], ["size <= 40"])
        assert end["front"] == list(result.front["trial"])
        assert end["stopped"] == "the budget is spent"

    def test_a_continued_study_is_in_the_file_once(self, tmp_path: Path) -> None:
        path = tmp_path / "s.jsonl"
        search(JSONLines(path), storage=tmp_path, budget=9)
        search(storage=tmp_path, budget=12)  # nobody looks
        result = search(JSONLines(path), storage=tmp_path)
        written = lines(path, "candidate")
        assert [line["trial"] for line in written] == list(range(24))
        assert [line["values"] for line in written] == [trial.values for trial in result.trials]
        assert [line["trial"] for line in written if line["time"] is None] == [9, 10, 11]
        assert [line["done"] for line in lines(path, "start")] == [0, 12]

    def test_a_half_written_last_line_is_cut_off_and_written_again(self, tmp_path: Path) -> None:
        path = tmp_path / "s.jsonl"
        search(JSONLines(path), storage=tmp_path, budget=9)
        text = path.read_text()
        path.write_text(text[: text.index('"trial": 8') + 5])
        search(JSONLines(path), storage=tmp_path)
        assert [line["trial"] for line in lines(path, "candidate")] == list(range(24))

    def test_studies_share_a_file_and_one_begun_anew_is_written_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "s.jsonl"
        for name in ("one", "two", "one"):
            search(JSONLines(path), storage="memory", budget=5, name=name)
        counts = Counter((line["study"], line["trial"]) for line in lines(path, "candidate"))
        assert set(counts.values()) == {1, 2}
        assert counts["one", 0] == 2

    def test_a_study_begun_anew_is_continued_by_its_own_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "s.jsonl"
        search(JSONLines(path), storage="memory", budget=9)
        search(JSONLines(path), storage=tmp_path, budget=4)
        search(storage=tmp_path, budget=9)  # nobody looks
        search(JSONLines(path), storage=tmp_path, budget=12)
        assert [line["trial"] for line in lines(path, "candidate")] == [*range(9), *range(12)]

    def test_a_file_of_something_else_is_refused_and_left_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("my notes")
        with pytest.raises(SearchkitError, match="holds something else"):
            JSONLines(path)
        with pytest.raises(SearchkitError, match="cannot be written"):
            JSONLines(tmp_path)
        assert path.read_text() == "my notes"

    def test_what_is_not_finite_is_null(self, tmp_path: Path) -> None:
        path = tmp_path / "s.jsonl"

        def diverge(choices: dict) -> dict:
            return evaluate(choices | {"kind": "conv"}) | ({"loss": float("nan")} if choices["width"] == 8 else {})

        search(JSONLines(path), storage="memory", evaluate=diverge)
        states = {
            line["choices"]["width"]: (line["state"], line["values"].get("loss")) for line in lines(path, "candidate")
        }
        assert states[8] == ("failed", None)
        assert states[64][0] == "scored"

    @pytest.mark.slow
    def test_a_candidate_that_breaks_a_bound_before_training_has_its_line(self, tmp_path: Path) -> None:
        largest = Metric("largest", lambda network: max(p.numel() for p in network.parameters()))
        path = tmp_path / "s.jsonl"
        searchkit.run(
            "random", objectives=("params", "macs"), constraints={largest: 1500}, budget=12, storage="memory",
            callbacks=[JSONLines(path), TensorBoardTracker(tmp_path)], name="n",
        )  # fmt: skip
        infeasible = [line for line in lines(path, "candidate") if line["state"] == "infeasible"]
        assert infeasible
        assert infeasible[0]["reason"].startswith("breaks largest <= 1500")
        assert infeasible[0]["values"]["largest"] > 1500
        statuses = {group.name: group.sessions[0].status for group in session_groups(tmp_path)}
        assert [statuses[f"candidate {line['trial']:04d}"] for line in infeasible] == [2] * len(infeasible)

    @pytest.mark.slow
    def test_candidates_of_two_worker_processes_are_written_as_they_end(self, tmp_path: Path) -> None:
        path = tmp_path / "s.jsonl"
        result = search(JSONLines(path), TensorBoardTracker(tmp_path / "runs"), storage="memory", executor=2)
        written = lines(path, "candidate")
        assert sorted(line["trial"] for line in written) == list(range(24))
        elapsed = [line["elapsed"] for line in written]
        assert elapsed == sorted(elapsed)
        assert {line["trial"]: line["values"] for line in written} == {t.number: t.values for t in result.trials}
        assert [event.step for event in scalars(tmp_path / "runs" / "a study", "search/front")] == list(range(1, 25))


def accumulated(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    read.Reload()
    return read


def scalars(folder: Path, tag: str) -> list[Any]:
    found: list[Any] = accumulated(folder).Scalars(tag)
    return found


def session_groups(folder: Path) -> list[Any]:
    """The rows of the HPARAMS tab, asked for as TensorBoard's page asks."""
    from tensorboard import context
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(folder))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(folder))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(folder)))
    asked = context.RequestContext()
    shown = backend.experiment_from_metadata(
        asked, "", True, backend.hparams_metadata(asked, ""), backend.hparams_from_data_provider(asked, "", limit=100)
    )
    request = api_pb2.ListSessionGroupsRequest(slice_size=1000, allowed_statuses=api_pb2.Status.values())
    for info in shown.hparam_infos:
        request.col_params.add(hparam=info.name, include_in_result=True)
    for info in shown.metric_infos:
        request.col_params.add(metric=info.name, include_in_result=True)
    return list(list_session_groups.Handler(asked, backend, "", request).run().session_groups)


class TestTensorBoard:
    @pytest.mark.slow
    def test_the_course_is_in_curves_and_pictures(self, tmp_path: Path) -> None:
        result = search(TensorBoardTracker(tmp_path), storage="memory")
        read = accumulated(tmp_path / "a study")
        best = [event.value for event in read.Scalars("best/loss")]
        assert best == sorted(best, reverse=True)
        assert best[-1] == pytest.approx(result.front["loss"].min())
        assert read.Scalars("best/size")[-1].value == 8
        assert read.Scalars("search/failed")[-1].value == sum(t.state is State.FAILED for t in result.trials) > 0
        assert len(read.Scalars("search/seconds")) == 24
        volumes = [event.value for event in read.Scalars("search/hypervolume")]
        assert volumes == sorted(volumes)
        assert volumes[-1] > 0
        assert [image.step for image in read.Images("front")] == [10, 20, 24]
        assert read.Images("front")[0].encoded_image_string.startswith(b"\x89PNG")
        told = read.Tensors("stopped")[0].tensor_proto.string_val[0].decode()
        assert told.startswith("24 candidates; the budget is spent; the hypervolume is measured to loss ")

    @pytest.mark.slow
    def test_the_hparams_tab_has_every_candidate_with_its_choices_and_metrics(self, tmp_path: Path) -> None:
        result = search(TensorBoardTracker(tmp_path), storage="memory")
        groups = session_groups(tmp_path)
        assert [group.name for group in groups] == [f"candidate {i:04d}" for i in range(24)]
        for group, trial in zip(groups, result.trials, strict=True):
            choices = SPACE.decode(trial.code)[0]
            assert group.hparams["width"].number_value == choices["width"]
            assert group.hparams["kind"].string_value == choices["kind"]
            assert group.hparams["last"].string_value == str(choices["last"])
            metrics = {value.name.tag: value.value for value in group.metric_values}
            assert metrics.keys() - {"candidate/seconds"} == {f"candidate/{name}" for name in trial.values}
            assert group.sessions[0].status == (1 if trial.state is State.SCORED else 2)

    @pytest.mark.slow
    def test_the_steps_of_a_continued_study_continue(self, tmp_path: Path) -> None:
        study, runs = tmp_path / "record", tmp_path / "runs"
        search(TensorBoardTracker(runs), storage=study, budget=9)
        files = list((runs / "a study").glob("events*"))
        with files[0].open("rb+") as file:  # killed in the middle of a write
            file.truncate(files[0].stat().st_size - 11)
        _, _, _, second, *rest = files[0].name.split(".")
        files[0].rename(
            files[0].with_name(f"events.out.tfevents.{int(second) + 3600}.{'.'.join(rest)}")
        )  # clocks change
        search(storage=study, budget=12)  # nobody looks
        search(TensorBoardTracker(runs), storage=study)
        assert [event.step for event in scalars(runs / "a study", "search/front")] == list(range(1, 25))
        assert len(session_groups(runs)) == 24
        search(TensorBoardTracker(tmp_path / "afterwards"), storage=study)
        curves = [
            [event.value for event in scalars(folder / "a study", "search/hypervolume")]
            for folder in (runs, tmp_path / "afterwards")
        ]
        assert curves[0] == curves[1]

    @pytest.mark.slow
    def test_a_study_begun_anew_has_a_folder_of_its_own(self, tmp_path: Path) -> None:
        for _ in range(3):
            search(TensorBoardTracker(tmp_path, hparams=False), storage="memory", budget=3)
        assert sorted(folder.name for folder in tmp_path.iterdir()) == ["a study", "a study-2", "a study-3"]
        assert not [path for path in tmp_path.rglob("*") if path.is_dir() and path.parent != tmp_path]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_trackers import *

def kill(trial, trials):
    if trial.number == 7:
        os.kill(os.getpid(), signal.SIGKILL)

path = Path(sys.argv[1])
search(JSONLines(path / "s.jsonl"), TensorBoardTracker(path / "runs"), kill, storage=path)
"""


@pytest.mark.slow
def test_what_a_killed_process_logged_is_there_and_is_not_logged_again(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), here], capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr
    path, runs = tmp_path / "s.jsonl", tmp_path / "runs"
    assert [line["trial"] for line in lines(path, "candidate")] == list(range(8))
    assert len(scalars(runs / "a study", "search/front")) == 8
    search(JSONLines(path), TensorBoardTracker(runs), storage=tmp_path)
    assert [line["trial"] for line in lines(path, "candidate")] == list(range(24))
    assert [event.step for event in scalars(runs / "a study", "search/front")] == list(range(1, 25))


class TestTheCourse:
    goals = Goals((Objective("accuracy", "max"), Objective("params")))

    def scored(self, accuracy: float, params: float) -> Trial:
        trial = Trial(0, 0, 1, SPACE.encode({"width": 8, "kind": "conv", "rate": 1e-3, "last": 1})[0])
        trial.state, trial.values = State.SCORED, {"accuracy": accuracy, "params": params}
        return trial

    def test_the_hypervolume_to_a_given_reference_point_is_the_plain_one(self) -> None:
        course = Curves(self.goals, {"accuracy": 0.5, "params": 100})
        assert course.add(self.scored(0.4, 50))["hypervolume"] == 0
        assert course.add(self.scored(0.7, 50))["hypervolume"] == pytest.approx(0.2 * 50)
        assert course.add(self.scored(0.9, 80))["hypervolume"] == pytest.approx(0.2 * 50 + 0.2 * 20)
        assert course.reference == {"accuracy": 0.5, "params": 100}

    def test_without_one_units_do_not_matter(self) -> None:
        courses = [Curves(self.goals), Curves(self.goals)]
        for i in range(FIRST + 5):
            reached = [
                course.add(self.scored(0.5 + i / 50, scale * 100 * (1 + i)))
                for course, scale in zip(courses, (1, 1e6), strict=True)
            ]
            assert ("hypervolume" in reached[0]) == (i >= FIRST - 1)
        assert reached[0]["hypervolume"] == pytest.approx(reached[1]["hypervolume"])

    def test_a_reference_point_of_other_objectives_is_refused_before_the_search(self, tmp_path: Path) -> None:
        called: list[Trial] = []
        with pytest.raises(UnknownNameError, match="Did you mean 'loss'"):
            search(
                TensorBoardTracker(tmp_path, reference={"los": 1}), lambda trial, trials: called.append(trial),
                storage="memory",
            )  # fmt: skip
        with pytest.raises(ObjectiveError, match="no value for size"):
            search(TensorBoardTracker(tmp_path, reference={"loss": 1}), storage="memory")
        assert not called


class TestNothingBreaks:
    def test_a_tracker_that_cannot_write_any_more_warns_once_and_the_search_goes_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "s.jsonl"

        def obstruct(trial: Trial, trials: Any) -> None:
            if trial.number == 5:
                path.unlink()
                path.mkdir()

        with caplog.at_level(logging.WARNING, "searchkit"):
            result = search(obstruct, JSONLines(path), storage="memory")
        assert len(result.history) == 24
        assert result.stopped == "the budget is spent"
        warned = [record.getMessage() for record in caplog.records]
        assert len(warned) == 1
        assert warned[0].startswith("JSONLines logs no more of this search (IsADirectoryError")

    def test_one_tracker_follows_several_searches_also_after_an_error(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        tracker = JSONLines(tmp_path / "folder" / "s.jsonl")
        (tmp_path / "folder").write_text("in the way")
        with caplog.at_level(logging.WARNING, "searchkit"):
            search(tracker, storage="memory", budget=3)
        assert len(caplog.records) == 1
        (tmp_path / "folder").unlink()
        search(tracker, storage="memory", budget=3)
        assert len(lines(tmp_path / "folder" / "s.jsonl", "candidate")) == 3

    @pytest.mark.parametrize(("module", "name"), [("mlflow", "MLflowTracker"), ("tensorboard", "TensorBoardTracker")])
    def test_a_missing_library_is_named_with_the_line_that_installs_it(
        self, module: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tracker = getattr(__import__(f"searchkit.integrations.{module}", fromlist=[name]), name)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(SearchkitError, match=rf'pip install "searchkit-nas\[{module}\]"'):
            tracker()

    @pytest.mark.slow
    def test_importing_trackers_imports_no_library_of_theirs(self) -> None:
        code = (
            "import sys, searchkit.integrations.jsonlines, searchkit.integrations.mlflow, "
            "searchkit.integrations.tensorboard; print(sorted({'mlflow', 'tensorboard', 'torch'} & set(sys.modules)))"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == "[]"


def test_two_names_never_become_one_key_and_no_key_is_a_path_that_leads_elsewhere() -> None:
    names = ["a (b)", "a [b]", "a _b_", "../up", "/root", "a//b", "stage/1", ".", "x" * 300, "x" * 301, "é"]
    key = Keys()
    keys = [key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert [key(name) for name in names] == keys
    assert keys[6] == "stage/1"
    assert not [k for k in keys if k.startswith((".", "/")) or "//" in k or len(k) > 250]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.mark.slow  # a new database takes MLflow seven seconds
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # of MLflow, from SQLAlchemy
class TestMLflow:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # where artefacts go by default
        monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)

    def runs(self, uri: str, experiment: str) -> tuple[list[Any], list[Any]]:
        """The studies' runs and the candidates', these in order."""
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
        candidates = [run for run in found if "trial" in run.data.tags]
        studies = [run for run in found if "searchkit.study" in run.data.tags]
        assert len(candidates) + len(studies) == len(found)
        return studies, sorted(candidates, key=lambda run: int(run.data.tags["trial"]))

    @pytest.mark.parametrize("given", ["sqlite:///own.db", "file:own", "own"])
    def test_its_paths_mean_what_they_meant_when_it_was_made(
        self, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from searchkit.integrations.mlflow import MLflowTracker

        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        (tmp_path / "elsewhere").mkdir()
        tracker = MLflowTracker("moved", tracking_uri=given)

        def moving(choices: dict[str, Any]) -> dict[str, float]:
            os.chdir(tmp_path / "elsewhere")
            return evaluate(choices)

        os.chdir(tmp_path / "elsewhere")
        search(tracker, storage="memory", budget=3, evaluate=moving)
        assert list((tmp_path / "elsewhere").iterdir()) == []
        assert len(list(tmp_path.rglob("front.csv"))) == 1, "artefacts"
        assert {path.name for path in tmp_path.iterdir()} <= {"own", "own.db", "mlruns", "elsewhere"}

    def test_a_study_is_a_run_and_every_candidate_a_nested_one(self, uri: str) -> None:
        import mlflow
        from mlflow import MlflowClient

        from searchkit.integrations.mlflow import MLflowTracker

        result = search(MLflowTracker("content", tracking_uri=uri), storage="memory")
        (study,), candidates = self.runs(uri, "content")
        assert study.info.status == "FINISHED"
        assert study.data.params.items() >= {
            "strategy": "random", "seed": "0", "budget.evaluations": "24", "space.size": "108",
            "objectives": "loss min, size min", "constraints": "size <= 40",
        }.items()  # fmt: skip
        assert study.data.tags["stopped"] == "the budget is spent"
        for run, trial in zip(candidates, result.trials, strict=True):
            assert run.data.tags["mlflow.parentRunId"] == study.info.run_id
            assert run.data.params == {name: str(option) for name, option in SPACE.decode(trial.code)[0].items()}
            assert run.data.metrics == trial.values | {"seconds": trial.seconds}
            assert (run.data.tags["state"], run.data.tags.get("reason")) == (trial.state, trial.reason)
            assert run.info.status == ("FAILED" if trial.state is State.FAILED else "FINISHED")
        assert {run.info.status for run in candidates} == {"FAILED", "FINISHED"}
        client = MlflowClient(uri)
        history = client.get_metric_history(study.info.run_id, "best/loss")
        assert [m.step for m in history] == list(range(history[0].step, 25))
        assert history[-1].value == result.front["loss"].min()
        assert study.data.metrics["hypervolume"] > 0
        names = {file.path for file in client.list_artifacts(study.info.run_id)}
        assert names == {"front.csv", "front.json", "history.csv", "history.json", "front.png", "report.html"}
        table = pd.read_csv(client.download_artifacts(study.info.run_id, "front.csv"))
        assert list(table["trial"]) == list(result.front["trial"])
        assert mlflow.active_run() is None

    def test_a_continued_study_goes_on_in_its_run(self, uri: str, tmp_path: Path) -> None:
        from mlflow import MlflowClient

        from searchkit.integrations.mlflow import MLflowTracker

        tracker = MLflowTracker("continued", tracking_uri=uri, artefacts=False)
        search(tracker, storage=tmp_path, budget=5)
        _, candidates = self.runs(uri, "continued")
        MlflowClient(uri).update_run(candidates[4].info.run_id, status="RUNNING")  # killed while it was being logged
        search(storage=tmp_path, budget=7)  # nobody looks

        def interrupt(trial: Trial, trials: Any) -> None:
            if trial.number == 9:
                raise KeyboardInterrupt

        search(tracker, interrupt, storage=tmp_path, budget=12)
        (study,), candidates = self.runs(uri, "continued")
        assert [run.data.tags["trial"] for run in candidates] == [str(i) for i in range(10)]
        assert {run.data.tags["mlflow.parentRunId"] for run in candidates} == {study.info.run_id}
        assert "RUNNING" not in {run.info.status for run in candidates}
        assert study.info.status == "KILLED"
        assert study.data.params["budget.evaluations"] == "5"
        assert study.data.tags["latest.budget.evaluations"] == "12"
        search(tracker, storage="memory", budget=2)  # anew, under the same name
        studies, _ = self.runs(uri, "continued")
        assert len(studies) == 2

    def test_under_an_active_run_of_the_users_the_study_is_nested_and_the_run_stays_active(self, uri: str) -> None:
        import mlflow

        from searchkit.integrations.mlflow import MLflowTracker

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        try:
            mlflow.set_experiment("mine")
            with mlflow.start_run() as mine:
                search(MLflowTracker(artefacts=False), storage="memory", budget=3, executor=2)
                assert mlflow.active_run().info.run_id == mine.info.run_id
                mlflow.log_metric("after", 1.0)
            search(MLflowTracker(artefacts=False), storage="memory", budget=3, name="by itself")
            studies = {run.info.run_name: run for run in mlflow.search_runs(output_format="list")}
        finally:
            mlflow.set_tracking_uri(before)
            os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
        assert studies["a study"].data.tags["mlflow.parentRunId"] == mine.info.run_id
        assert "mlflow.parentRunId" not in studies["by itself"].data.tags

    def test_more_parameters_than_a_call_takes_and_names_that_mlflow_refuses(self, uri: str) -> None:
        from searchkit.integrations.mlflow import MLflowTracker

        space = Space([Choice(f"layer {i} (kind)", ("x" * 7000, "y")) for i in range(130)])
        call = {"space": space, "evaluate": lambda choices: {"seconds": 1.0}, "objectives": {"seconds": "min"}}
        search(MLflowTracker("wide", tracking_uri=uri), storage="memory", budget=2, constraints=None, **call)
        _, candidates = self.runs(uri, "wide")
        assert [len(run.data.params) for run in candidates] == [130, 130]
        assert set(candidates[0].data.metrics) == {"seconds", "seconds _record_"}

    def test_the_file_store_works_where_it_is_allowed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from searchkit.integrations.mlflow import MLflowTracker

        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        where = (tmp_path / "mlruns").as_uri()
        search(MLflowTracker(tracking_uri=where), storage="memory", budget=6)
        (study,), candidates = self.runs(where, "searchkit")
        assert study.info.status == "FINISHED"
        assert len(candidates) == 6

    def test_a_server_that_is_not_there_is_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        from searchkit.integrations.mlflow import MLflowTracker

        tracker = MLflowTracker(tracking_uri="http://127.0.0.1:9")
        with caplog.at_level(logging.WARNING, "searchkit"):
            assert len(search(tracker, storage="memory").history) == 24
        assert len(caplog.records) == 1
        assert "MLflowTracker logs no more of this search (ConnectionRefusedError" in caplog.text

    def test_an_error_behind_the_search_is_a_warning(self, uri: str, caplog: pytest.LogCaptureFixture) -> None:
        from mlflow import MlflowClient

        from searchkit.integrations.mlflow import MLflowTracker

        client = MlflowClient(uri)
        client.delete_experiment(client.create_experiment("deleted"))
        with caplog.at_level(logging.WARNING, "searchkit"):
            result = search(MLflowTracker("deleted", tracking_uri=uri), storage="memory")
        assert len(result.history) == 24
        warned = [record.getMessage() for record in caplog.records if record.name == "searchkit"]
        assert len(warned) == 1
        assert warned[0].startswith("MLflowTracker logs no more of this search (MlflowException")


@pytest.mark.slow
def test_the_folder_of_tensorboard_is_where_it_was_when_the_tracker_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from searchkit.integrations.tensorboard import TensorBoardTracker

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    tracker = TensorBoardTracker("logs")

    def moving(choices: dict[str, Any]) -> dict[str, float]:
        os.chdir(tmp_path / "elsewhere")
        return evaluate(choices)

    os.chdir(tmp_path / "elsewhere")
    search(tracker, storage="memory", budget=3, evaluate=moving)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert any((tmp_path / "logs").rglob("events.*"))
