"""A search in TensorBoard: curves of its progress, pictures of the front, candidates in the HPARAMS tab."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from searchkit.errors import SearchkitError, plural
from searchkit.integrations.trackers.common import described, harmless, in_order, required
from searchkit.integrations.trackers.curves import Curves
from searchkit.integrations.trackers.events import Events, picture, scalars, text
from searchkit.integrations.trackers.hparams import experiment, write_session
from searchkit.problem.trial import Trial
from searchkit.results.result import Result
from searchkit.surroundings import settled

EVERY = "search/front"  # the tag that every candidate has: its last step is what was logged
FIRST_PICTURE = 10  # evaluations; the next after twice as many each time, the last at the end


class TensorBoardTracker:
    """A callback that writes TensorBoard's event files; ``tensorboard --logdir runs`` shows them while the search runs.

    Over the number of evaluations: ``best/<objective>``, ``search/hypervolume``
    (:class:`~searchkit.integrations.trackers.curves.Curves` defines its unit), ``search/front`` (candidates on it),
    ``search/failed``, ``search/seconds``; as pictures, now and then and at the end, the front. The arguments of
    the search and why it stopped are in the TEXT tab. Every candidate is a session of the HPARAMS tab, with its choices
    and its metrics; one that failed or broke a bound has the status "failure".

    A study has a folder of its name. Continued, it goes on there; one that begins anew under the same name has the
    folder ``<name>-2``.

    Args:
        folder: where the studies' folders are.
        hparams: False for no HPARAMS tab, which takes a small folder per candidate.
        reference: of the hypervolume: objective -> value, in its own unit.

    Raises:
        SearchkitError: TensorBoard is not installed.
    """

    def __init__(
        self, folder: str | Path = "runs", *, hparams: bool = True, reference: Mapping[str, float] | None = None
    ) -> None:
        required("tensorboard", "TensorBoardTracker", "TensorBoard", "tensorboard")
        self._folder, self._hparams, self._reference = settled(folder), hparams, reference
        self._open: _Study | None = None

    def on_start(self, result: Result) -> None:
        """Start a new event file; for a continued study, add recorded candidates that no file has.

        Raises:
            SearchkitError: the reference point is not one of this search's objectives.
        """
        self._open = None
        self._begin(result, Curves(result.goals, self._reference))

    @harmless
    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Add a candidate."""
        if self._open is not None:
            self._open.add(trial)

    @harmless
    def on_end(self, result: Result, error: BaseException | None) -> None:
        """Add the last picture, and why the search ended."""
        if self._open is not None:
            self._open.end()
        self._open = None

    @harmless
    def _begin(self, result: Result, course: Curves) -> None:
        self._open = _Study(result, self._folder, self._hparams, course)


class _Study:
    """The event files of one session of a study."""

    def __init__(self, result: Result, folder: Path, hparams: bool, course: Curves) -> None:
        done = in_order(result.trials)
        self._folder = _folder(folder, result.name, bool(done))
        self._result, self._hparams, self._course = result, hparams, course
        self._logged = _last_step(self._folder) if self._folder.exists() else 0
        self._next_picture = FIRST_PICTURE
        self._events = Events(self._folder)
        self._events.add(text("search", f"```json\n{json.dumps(described(result), indent=2)}\n```"), self._logged)
        if hparams:
            self._events.add(experiment(result.space, result.goals), 0)
        for trial in done:
            self._count(trial)
        while self._next_picture <= len(done):
            self._next_picture *= 2
        self._events.flush()

    def add(self, trial: Trial) -> None:
        """Log a candidate."""
        self._count(trial)
        if self._course.n >= self._next_picture:
            self._next_picture *= 2
            self._picture()
        self._events.flush()

    def end(self) -> None:
        """The last picture, and the reason."""
        step = self._course.n
        if step > self._logged:
            self._picture()
        told = f"{plural(step, 'candidate')}; {self._result.stopped}"
        if self._course.measured_to:
            told += f"; the hypervolume is measured to {self._course.measured_to}"
        self._events.add(text("stopped", told), step)
        self._events.close()

    def _count(self, trial: Trial) -> None:
        """Add a candidate to the curves, and log it unless an earlier session did."""
        reached = self._course.add(trial)
        step = self._course.n
        if step <= self._logged:
            return
        named = {name if name.startswith("best/") else f"search/{name}": value for name, value in reached.items()}
        self._events.add(scalars(named), step)
        if self._hparams:
            write_session(
                self._folder / f"candidate-{trial.number:04d}", self._result.space, self._result.goals, trial, step
            )

    def _picture(self) -> None:
        try:
            figure = self._result.plot()
        except SearchkitError:  # nothing to draw yet
            return
        self._events.add(picture("front", figure), self._course.n)


def _folder(parent: Path, name: str, continued: bool) -> Path:
    """The study's folder: the newest of its name if it continues, else a new one."""
    n = 1
    while _numbered(parent, name, n).exists():
        n += 1
    return _numbered(parent, name, max(1, n - 1) if continued else n)


def _numbered(parent: Path, name: str, n: int) -> Path:
    return parent / (name if n == 1 else f"{name}-{n}")


def _last_step(folder: Path) -> int:
    """The step of the last candidate in the event files of a folder; 0: none."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={SCALARS: 1})
    read.Reload()
    return int(read.Scalars(EVERY)[-1].step) if EVERY in read.Tags()[SCALARS] else 0
