"""optuna-dashboard on studies of searchkit: names, values, states and reasons are those of the result."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults

import optuna
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.integrations.optuna import write_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:bottle"),
]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SPACE = Space(
    [
        Choice("width", (8, 16, 32, 64), ordered=True),
        Choice("depth", (1, 2, 3), ordered=True),
        Choice("op", ("conv3x3", "conv5x5", "skip")),
    ]
)


def evaluate(choices: dict[str, Any]) -> dict[str, float]:
    if choices["op"] == "skip" and choices["depth"] == 3:
        raise RuntimeError("out of memory: 2 GiB were asked for")
    if choices["op"] == "skip" and choices["width"] == 64:
        return {"accuracy": float("nan"), "params": 1.0}
    size = choices["width"] ** 2 * choices["depth"]
    return {"accuracy": 1 - size**-0.5 - 0.02 * (choices["op"] == "skip"), "params": float(size)}


def searched(storage: Any) -> searchkit.Result:
    return searchkit.run(
        "random", space=SPACE, evaluate=evaluate, objectives={"accuracy": "max", "params": "min"}, batch=6,
        constraints={"params": 9_000}, budget=30, storage=storage, name="toy", progress=False,
    )  # fmt: skip


@pytest.fixture(params=["journal", "sqlite", "written"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[searchkit.Result, str]:
    """A result, and what `optuna-dashboard` is given to show it."""
    where = {"journal": tmp_path / "toy.journal"}.get(request.param, f"sqlite:///{tmp_path}/toy.db")
    result = searched("memory" if request.param == "written" else where)
    if request.param == "written":
        write_study(result, where)
    return result, str(where)


@pytest.fixture
def app(study: tuple[searchkit.Result, str]) -> Any:
    dashboard = pytest.importorskip("optuna_dashboard")
    where = study[1]
    if "://" in where:
        return dashboard.wsgi(optuna.storages.RDBStorage(where))
    backend = optuna.storages.journal.JournalFileBackend(where)
    return dashboard.wsgi(optuna.storages.JournalStorage(backend))


def get(app: Any, path: str, query: str = "") -> Any:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {"PATH_INFO": path, "QUERY_STRING": query, "wsgi.errors": io.StringIO()}
    status: list[str] = []
    body = b"".join(app(environ, lambda answer, headers, *_: status.append(answer)))
    assert status == ["200 OK"], (status, body)
    return json.loads(body)


@pytest.mark.slow
def test_the_dashboard_is_told_what_the_result_says(study: tuple[searchkit.Result, str], app: Any) -> None:
    result = study[0]
    (summary,) = get(app, "/api/studies")["study_summaries"]
    assert summary["study_name"] == "toy"
    assert summary["directions"] == ["maximize", "minimize"]
    shown = get(app, f"/api/studies/{summary['study_id']}", "after=0")
    assert shown["objective_names"] == ["accuracy", "params"]
    history = result.history
    assert [trial["number"] for trial in shown["trials"]] == list(history.trial)
    states = {"scored": "Complete", "failed": "Fail"}
    assert [trial["state"] for trial in shown["trials"]] == [states[state] for state in history.state]
    assert {"Complete", "Fail"} == {trial["state"] for trial in shown["trials"]}
    for trial, row, ours in zip(shown["trials"], history.to_dict("records"), result.trials, strict=True):
        values = [row["accuracy"], row["params"]] if row["state"] == "scored" else None
        assert trial.get("values") == values
        chosen = {param["name"]: param["param_external_value"] for param in trial["params"]}
        assert chosen == {name: str(row[name]) for name in SPACE.names}
        attributes = {entry["key"]: entry["value"] for entry in trial["user_attrs"]}
        assert attributes.get("reason") == ours.reason
    reasons = {trial.reason for trial in result.trials if trial.reason}
    assert "RuntimeError: out of memory: 2 GiB were asked for" in reasons
    assert len(reasons) > 1  # a NaN has another one


@pytest.mark.slow
def test_a_written_study_shows_what_is_infeasible(tmp_path: Path) -> None:
    """The form that the dashboard reads; whatever Optuna itself reads stands beside it."""
    dashboard = pytest.importorskip("optuna_dashboard")
    result = searched("memory")
    study = write_study(result, f"sqlite:///{tmp_path}/toy.db")
    shown = get(dashboard.wsgi(study._storage), f"/api/studies/{study._study_id}", "after=0")
    infeasible = {trial["number"] for trial in shown["trials"] if any(value > 0 for value in trial["constraints"])}
    assert infeasible == set(result.history.trial[result.history.params > 9_000]) != set()
    assert {trial.number for trial in study.best_trials} == set(result.front.trial)


class Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address(app: Any) -> Iterator[str]:
    with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("study", ["journal"], indirect=True)
def test_its_pages_show_the_front_the_states_and_the_reason(study: tuple[searchkit.Result, str], address: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    failed = int(study[0].history.query("reason == 'RuntimeError: out of memory: 2 GiB were asked for'").trial.iloc[0])
    wrong: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1200})
        page.set_default_timeout(60_000)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))

        page.goto(f"{address}/dashboard/")
        page.get_by_text("toy").first.wait_for()
        page.get_by_text("Direction: MAXIMIZE, MINIMIZE").wait_for()

        page.goto(f"{address}/dashboard/studies/0")
        page.get_by_text("Pareto Front").first.wait_for()
        page.get_by_text("accuracy").first.wait_for()
        page.get_by_text("params").first.wait_for()
        page.locator(".scatterlayer .point").first.wait_for(state="attached")

        page.goto(f"{address}/dashboard/studies/0/trials?numbers={failed}")
        page.get_by_text("30 Trials").wait_for()
        page.get_by_role("heading", name=f"Trial {failed} ").wait_for()
        page.get_by_text("reason RuntimeError: out of memory: 2 GiB were asked for").wait_for()
        browser.close()
    assert wrong == []


@pytest.mark.slow
def test_its_command_opens_a_journal_by_its_path(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    searched(tmp_path / "toy.journal")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), str(tmp_path / "toy.journal")]
    with subprocess.Popen([*command, "--port", str(port), "--quiet"], stderr=subprocess.DEVNULL) as server:
        try:
            assert b'"study_name": "toy"' in _answer(port, server)
        finally:
            server.terminate()


def _answer(port: int, server: subprocess.Popen[bytes]) -> bytes:
    """What /api/studies says, once the server listens."""
    import urllib.request

    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server ended with {server.returncode}")
