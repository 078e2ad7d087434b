"""A search in MLflow: a run for the study, nested runs for its candidates, and the results as artefacts."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from searchkit.errors import SearchkitError
from searchkit.integrations.mlflow_compat import keep_artefacts_in
from searchkit.integrations.trackers.background import Background
from searchkit.integrations.trackers.common import complain, harmless, in_order, recorded, required
from searchkit.integrations.trackers.curves import Curves
from searchkit.integrations.trackers.runs import Runs
from searchkit.problem.trial import Trial
from searchkit.results.result import Result
from searchkit.storage.database import settled_url
from searchkit.storage.urls import is_url
from searchkit.surroundings import settled

EXPERIMENT = "searchkit"  # the default
SERVICES = ("databricks", "databricks-uc", "uc")  # URIs that have no scheme and are no paths
ANSWER = 5.0  # seconds that a tracking server has to answer


class MLflowTracker:
    """A callback that logs a search to MLflow on a background thread; the search does not wait for the tracking server.

    The study's run has the arguments of the search as parameters, and over the number of evaluations the metrics
    ``best/<objective>``, ``hypervolume`` (:class:`~searchkit.integrations.trackers.curves.Curves` defines its unit; the
    tag ``hypervolume.to`` has its reference point), ``front`` and ``failed``. In the end it has the tag ``stopped``,
    and as artefacts ``front``, ``history`` and, where there are any, ``signals``, ``verified`` and ``baselines`` as
    .csv and .json, the picture ``front.png`` and ``report.html``; its status is FINISHED, KILLED after Ctrl-C, and
    FAILED where an error ended the search.

    A candidate's run has its choices as parameters, its values and ``seconds`` as metrics, and the tags ``trial``,
    ``state`` and ``reason``. Scores of proxies are not logged.

    Where the user's script has an active run, the study's is nested in it. A continued study goes on in its run, which
    is found by the tag ``searchkit.study``, and no candidate is logged twice.

    Args:
        experiment: its name; that of the active run, or of ``mlflow.set_experiment``, or else "searchkit" where not
            given.
        tracking_uri: as for ``mlflow.set_tracking_uri``; that which is set where not given.
        artefacts: False for none.
        reference: of the hypervolume: objective -> value, in its own unit.

    Raises:
        SearchkitError: MLflow is not installed.
    """

    def __init__(
        self,
        experiment: str | None = None,
        *,
        tracking_uri: str | None = None,
        artefacts: bool = True,
        reference: Mapping[str, float] | None = None,
    ) -> None:
        self._mlflow = required("mlflow", "MLflowTracker", "MLflow", "mlflow")
        self._experiment, self._given = experiment, tracking_uri
        self._uri = None if tracking_uri is None else _settled_uri(tracking_uri)
        self._folder = settled(".")  # where MLflow has artefacts by default
        self._artefacts, self._reference = artefacts, reference
        self._open: _Study | None = None

    def on_start(self, result: Result) -> None:
        """Find or start the study's run; for a continued study, log recorded candidates that it lacks.

        Raises:
            SearchkitError: the reference point is not one of this search's objectives.
        """
        self._open = None
        self._begin(result, Curves(result.goals, self._reference))

    @harmless
    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Log a candidate."""
        if self._open is not None:
            self._open.add(trial)

    @harmless
    def on_end(self, result: Result, error: BaseException | None) -> None:
        """Log the results, and wait until all is logged."""
        if self._open is not None:
            interrupted = isinstance(error, KeyboardInterrupt) or result.stopped == "interrupted"
            self._open.end("KILLED" if interrupted else "FINISHED" if error is None else "FAILED", self._artefacts)
        self._open = None

    @harmless
    def _begin(self, result: Result, course: Curves) -> None:
        current = self._mlflow.get_tracking_uri()
        uri = self._uri or _settled_uri(current)
        _check_answers(uri)
        active = self._mlflow.active_run() if self._uri is None or current in (self._uri, self._given) else None
        place = partial(_place, self._experiment, active, self._uri is None)
        connect = partial(_connect, self._mlflow, uri, self._folder)
        self._open = _Study(connect, place, result, course, partial(complain, self))


class _Study:
    """One session of a study: what is to be logged, handed to a thread that does it."""

    def __init__(self, connect: Any, place: Any, result: Result, course: Curves, failed: Any) -> None:
        self._result, self._course = result, course
        self._waiting: deque[tuple[Trial, float, int, dict[str, float]]] = deque()
        self._background = Background(failed)
        done = in_order(result.trials)
        self._background.do(partial(self._open, connect, place, bool(done)))
        for trial in done:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Have a candidate logged, unless it was."""
        reached = self._course.add(trial)
        reached.pop("seconds")  # its own run has them
        self._waiting.append((trial, time.time(), self._course.n, reached))
        self._background.do(self._log)

    def end(self, status: str, artefacts: bool) -> None:
        """Have the rest logged, and wait."""
        with tempfile.TemporaryDirectory(prefix="searchkit-") as folder:
            try:
                if artefacts:
                    _write_artefacts(self._result, Path(folder))
            finally:
                self._background.do(partial(self._close, status, folder))
                self._background.finish()

    def _open(self, connect: Any, place: Any, continued: bool) -> None:
        self._client = connect()  # which makes the tables of a new database, and that takes seconds
        experiment, above = place(self._client)
        self._runs = Runs(self._client, experiment, above, self._result, continued)

    def _log(self) -> None:
        """All that is waiting: a run each, and the study's metrics in one call."""
        steps = []
        while self._waiting:
            trial, when, step, reached = self._waiting.popleft()
            if trial.number not in self._runs.logged:
                self._runs.candidate(trial, when)
                steps.append((step, when, reached))
        self._runs.curves(steps)

    def _close(self, status: str, folder: str) -> None:
        reference = self._course.measured_to
        try:
            self._runs.tag({"stopped": self._result.stopped} | ({"hypervolume.to": reference} if reference else {}))
            if os.listdir(folder):
                self._client.log_artifacts(self._runs.run, folder)
        finally:
            self._runs.end(status)


def _settled_uri(uri: str) -> str:
    """A tracking URI as it was meant when it was given: the client is made later, in a thread."""
    if is_url(uri):
        return settled_url(uri)
    if uri.startswith("file:") and not uri.startswith("file:/"):
        uri = uri.removeprefix("file:")
    return uri if ":" in uri or uri in SERVICES else str(settled(uri))


def _connect(mlflow: Any, uri: str, folder: Path) -> Any:
    """A client, whose artefacts lie by default where they would have when the tracker was made."""
    client = mlflow.MlflowClient(uri)
    keep_artefacts_in(client, folder)
    return client


def _place(name: str | None, active: Any, default: bool, client: Any) -> tuple[str, str | None]:
    """The experiment's id, and the run that the study's is nested in."""
    if active is not None and name is None:
        return active.info.experiment_id, active.info.run_id
    if name is None and default:
        number, name = os.environ.get("MLFLOW_EXPERIMENT_ID"), os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if number:  # set_experiment leaves it there
            return number, None
    name = name or EXPERIMENT
    found = client.get_experiment_by_name(name)
    number = client.create_experiment(name) if found is None else found.experiment_id
    nested = active is not None and active.info.experiment_id == number
    return number, active.info.run_id if nested else None


def _check_answers(uri: str) -> None:
    """Fail at once where no server listens: MLflow itself would go on trying for minutes."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.hostname and parts.scheme not in getproxies():
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=ANSWER).close()


def _write_artefacts(result: Result, folder: Path) -> None:
    for name in ("front", "history", "signals", "verified", *(["baselines"] if result.simple else [])):
        table = getattr(result, name)
        if len(table) or name in ("front", "history"):
            table = recorded(table, result.space)
            table.to_csv(folder / f"{name}.csv", index=False)
            table.to_json(folder / f"{name}.json", orient="records", indent=2)
    for write in (lambda: result.plot(folder / "front.png"), lambda: result.report(folder / "report.html")):
        try:
            write()
        except SearchkitError:  # nothing that could be drawn
            continue
