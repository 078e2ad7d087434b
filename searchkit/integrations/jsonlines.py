"""A search as lines of JSON, one per candidate: for ``tail -f``, jq, pandas, and whatever else reads text.

Every line is one object in strict JSON (values that are not finite are null) and is on disk when the next candidate
starts.
All have

* ``event``: "start", "candidate" or "end",
* ``study``: its name,
* ``time``: of the event, ISO 8601 in UTC; null for a candidate of an earlier session that was on record but not in
  the file.

"candidate", once for every candidate of a study, however often it is continued, in the order in which they ended:

* ``trial``: its number in the history, from 0,
* ``state``: "scored", "infeasible", "failed" or "dropped" (:class:`searchkit.problem.trial.State`),
* ``values``: metric -> number in its own unit; partial unless scored,
* ``choices``: choice -> option, as it is recorded,
* ``reason``: why it failed, was not trained, or not promoted; else null,
* ``seconds``: duration of its evaluation,
* ``elapsed``: seconds that the whole search had run when it ended, over all sessions.

"start", once a session: ``version`` of searchkit, ``done``: candidates on record by then, ``strategy``, ``seed``,
``budget``, ``objectives`` (name -> "min" or "max"), ``constraints``, ``space`` (its name, and choice -> options).

"end", once a session, unless the process was killed: ``stopped``: why, ``done``, and ``front``: the trials on it, best
first.

>>> lines = pandas.read_json("search.jsonl", lines=True)
>>> candidates = lines[lines.event == "candidate"]
>>> pandas.json_normalize(candidates.to_dict("records"))
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from searchkit.errors import SearchkitError
from searchkit.integrations.trackers.common import chosen, described, harmless, in_order
from searchkit.problem.trial import Trial, pareto_front
from searchkit.results.json_values import json_value
from searchkit.results.result import Result
from searchkit.surroundings import settled


class JSONLines:
    """A callback that appends every finished candidate to a file, in the format described in the module.

    A continued study goes on in its file, and what the file already has is not written again; a last line that a killed
    process left half-written is cut off. Several studies may share a file. A study that begins anew under a name that
    the file knows has its lines after its own "start", where ``done`` is 0.

    Args:
        path: of the file; it and its folder are created where they are missing.

    Raises:
        SearchkitError: the file cannot be written, or holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = settled(path)
        self._open: Result | None = None
        folder = next(parent for parent in self._path.absolute().parents if parent.exists())
        if self._path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise SearchkitError(
                f"JSON lines cannot be written to '{path}': give a file in a folder that can be written"
            )
        _check(self._path)

    @harmless
    def on_start(self, result: Result) -> None:
        """Write the session's first line, then the recorded candidates that the file lacks."""
        from searchkit.version import __version__

        self._open = None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _check(self._path)
        _repair(self._path)
        done = in_order(result.trials)
        known = _known(self._path, result.name) if done else set()
        self._open = result
        self._write("start", {"version": __version__, "done": len(done)} | described(result))
        for trial in done:
            if trial.number not in known:
                self._write("candidate", _line(result, trial), late=True)

    @harmless
    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Write a candidate's line."""
        if self._open is not None:
            self._write("candidate", _line(self._open, trial))

    @harmless
    def on_end(self, result: Result, error: BaseException | None) -> None:
        """Write the session's last line."""
        if self._open is not None:
            best = [trial.number for trial in pareto_front(result.trials, result.goals)]
            done = sum(trial.finished for trial in result.trials)
            self._write("end", {"stopped": result.stopped, "done": done, "front": best})
        self._open = None

    def _write(self, event: str, fields: dict[str, Any], late: bool = False) -> None:
        """Append one line in one write, and close the file, so that it may be moved or rotated."""
        assert self._open is not None
        time = None if late else datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json_value({"event": event, "study": self._open.name, "time": time} | fields)
        with self._path.open("ab") as file:
            file.write(f"{json.dumps(line, allow_nan=False)}\n".encode())


def _line(result: Result, trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": str(trial.state),
        "values": trial.values,
        "choices": chosen(result.space, trial),
        "reason": trial.reason,
        "seconds": trial.seconds,
        "elapsed": trial.elapsed,
    }


def _check(path: Path) -> None:
    """Refuse a file whose first line is neither one of this format nor the start of one; it is not changed."""
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            first = file.readline()
    except OSError as error:
        raise SearchkitError(f"'{path}' cannot be read: {error}") from error
    ours = first.startswith(b'{"event": "') or b'{"event": "'.startswith(first)
    if not ours or not os.access(path, os.W_OK):
        raise SearchkitError(
            f"'{path}' cannot be written" if ours else f"'{path}' holds something else than a search's JSON lines"
        )


def _repair(path: Path) -> None:
    """Cut off a last line without an end: the next one would be joined to it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        tail = b""
        while end and b"\n" not in tail:
            begin = max(0, end - 2**16)
            file.seek(begin)
            tail, end = file.read(end - begin) + tail, begin
        keep = end + tail.rfind(b"\n") + 1
        if keep < size:
            file.truncate(keep)


def _known(path: Path, study: str) -> set[int]:
    """The trials of a study that the file has, since it last began anew."""
    known: set[int] = set()
    if not path.exists():
        return known
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:  # not ours
                continue
            if not isinstance(line, dict) or line.get("study") != study:
                continue
            if line.get("event") == "start" and line.get("done") == 0:
                known.clear()
            elif line.get("event") == "candidate":
                known.add(line["trial"])
    return known
