"""The runs of a study in MLflow: one for the study, and nested in it one for every candidate that was evaluated.

Written with MLflow's client, which does not change the active run of the user's script.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from searchkit.integrations.mlflow_compat import store_of
from searchkit.integrations.trackers.common import chosen, described, seconds_of
from searchkit.integrations.trackers.keys import LONGEST_PARAM, LONGEST_TAG, PER_BATCH, Keys, cut
from searchkit.problem.trial import State, Trial
from searchkit.results.result import Result

STUDY = "searchkit.study"  # tag of a study's run: its name
PARENT = "mlflow.parentRunId"  # what MLflow nests by
LATEST = "latest."  # prefix of tags: a parameter of the search in a later session, where it differs


class Runs:
    """The runs of one study.

    Args:
        client: an ``MlflowClient``.
        experiment: its id.
        above: the run in which the study's is nested, or None.
        result: of the search.
        continued: whether the study has candidates from earlier sessions.

    Attributes:
        run: the id of the study's run: the one of an earlier session where there is one.
        logged: numbers of the trials that have a run.
    """

    def __init__(self, client: Any, experiment: str, above: str | None, result: Result, continued: bool) -> None:
        self._client, self._experiment, self._result = client, experiment, result
        self._params, self._metrics, self._of_study = Keys(), Keys(), Keys()
        self.logged: set[int] = set()
        found = self._find(result.name)
        if found is not None:
            self._look_into(found.info.run_id)
        if found is None or (self.logged and not continued):  # none, or one of a record that is gone
            tags = {STUDY: result.name} | ({PARENT: above} if above else {})
            found = client.create_run(experiment, run_name=result.name, tags=tags)
            self.logged = set()
        else:
            client.update_run(found.info.run_id, status="RUNNING")
        self.run: str = found.info.run_id
        self._describe(found.data.params)

    def candidate(self, trial: Trial, ended: float) -> None:
        """A nested run for a finished candidate.

        Args:
            ended: when, in seconds since the epoch.
        """
        from mlflow.entities import Metric, Param

        stamp = round(1000 * ended)
        tags = {PARENT: self.run, "state": str(trial.state), "trial": str(trial.number)}
        tags |= {"reason": cut(trial.reason, LONGEST_TAG)} if trial.reason else {}
        name = f"{self._result.name} {trial.number}"
        began = stamp - round(1000 * trial.seconds)
        run = self._client.create_run(self._experiment, start_time=began, run_name=name, tags=tags).info.run_id
        values = trial.values | {seconds_of(self._result.goals): trial.seconds}
        metrics = [Metric(self._metrics(n), v, stamp, 0) for n, v in values.items() if math.isfinite(v)]
        options = chosen(self._result.space, trial).items()
        params = [Param(self._params(n), cut(option, LONGEST_PARAM)) for n, option in options]
        self._log(run, metrics, params)
        status = "FAILED" if trial.state is State.FAILED else "FINISHED"
        self._terminate(run, status, stamp)

    def curves(self, steps: list[tuple[int, float, dict[str, float]]]) -> None:
        """Log the study's metrics after some candidates: a tuple (number, time, name -> value) each."""
        from mlflow.entities import Metric

        rows = [
            Metric(self._of_study(name), value, round(1000 * when), step)
            for step, when, reached in steps
            for name, value in reached.items()
            if math.isfinite(value)
        ]
        for i in range(0, len(rows), 1000 - PER_BATCH):  # MLflow takes 1,000 entries a call
            self._client.log_batch(self.run, metrics=rows[i : i + 1000 - PER_BATCH])

    def tag(self, tags: Mapping[str, object]) -> None:
        """Tags of the study's run."""
        for name, value in tags.items():
            self._client.set_tag(self.run, name, cut(value, LONGEST_TAG))

    def end(self, status: str) -> None:
        """End the study's run: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(self.run, status)

    def _find(self, name: str) -> Any:
        """The newest run of a study of that name."""
        wanted = f"tags.`{STUDY}` = '{name}'"
        found = self._client.search_runs([self._experiment], wanted, max_results=1, order_by=["start_time DESC"])
        return found[0] if found else None

    def _look_into(self, run: str) -> None:
        """Find the trials that are logged; unfinished runs of a killed session are deleted, to be logged again."""
        for child in self._pages(f"tags.`{PARENT}` = '{run}'"):
            number = child.data.tags.get("trial", "")
            if number.isdecimal() and child.info.status == "RUNNING":
                self._client.delete_run(child.info.run_id)
            elif number.isdecimal():
                self.logged.add(int(number))

    def _pages(self, wanted: str) -> Iterator[Any]:
        page: Any = None
        while page is None or page.token:
            page = self._client.search_runs([self._experiment], wanted, page_token=page.token if page else None)
            yield from page

    def _describe(self, known: Mapping[str, str]) -> None:
        """The study's parameters; MLflow keeps the first value of each, so a later one becomes a tag."""
        from mlflow.entities import Param

        told = {self._of_study(name): cut(value, LONGEST_PARAM) for name, value in _flat(self._result).items()}
        self._log(self.run, [], [Param(key, value) for key, value in told.items() if key not in known])
        self.tag({f"{LATEST}{key}": value for key, value in told.items() if known.get(key, value) != value})

    def _terminate(self, run: str, status: str, stamp: int) -> None:
        """``set_terminated``, which prints a link where there is a server: one line per candidate."""
        store = store_of(self._client)
        if store is None:
            self._client.set_terminated(run, status, end_time=stamp)
            return
        from mlflow.entities import RunStatus

        store.update_run_info(run, RunStatus.from_string(status), stamp, None)

    def _log(self, run: str, metrics: list[Any], params: list[Any]) -> None:
        self._client.log_batch(run, metrics=metrics, params=params[:PER_BATCH])
        for i in range(PER_BATCH, len(params), PER_BATCH):
            self._client.log_batch(run, params=params[i : i + PER_BATCH])


def _flat(result: Result) -> dict[str, object]:
    """The arguments of a search, flattened to one value a name."""
    told = described(result)
    flat: dict[str, object] = {
        "strategy": told["strategy"],
        "seed": told["seed"],
        **{f"budget.{limit}": value for limit, value in told["budget"].items()},
        "objectives": ", ".join(f"{name} {direction}" for name, direction in told["objectives"].items()),
        "constraints": "; ".join(told["constraints"]),
        "space": result.space.name,
        "space.choices": result.space.n_choices,
        "space.size": result.space.size,
        "data": result.context.get("data", {}).get("name"),
        **result.context.get("call", {}),
    }
    return {name: value for name, value in flat.items() if value not in (None, "", [], ())}
