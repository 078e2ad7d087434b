"""Tools that write networks into the server's folder: each call is made in a process of its own (``worker.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchkit.errors import SearchkitError
from searchkit.integrations.mcp.inputs import CompressInput, ExportInput
from searchkit.integrations.mcp.outputs import Exported, Shrunk, rows_of
from searchkit.integrations.mcp.said import Tell, heard
from searchkit.integrations.mcp.settings import Settings
from searchkit.problem.trial import Trial
from searchkit.results.formats.table import format_of

if TYPE_CHECKING:
    from searchkit.results.result import Result


def check_export(given: ExportInput, settings: Settings) -> None:
    """Refuse what the server does not allow, and formats that are not there.

    Raises:
        SearchkitError: of what.
    """
    settings.target(given.to)
    format_of(given.format)


def export(given: ExportInput, settings: Settings, tell: Tell) -> Exported:
    """Write a network of a front into the server's folder, checked against the measured one."""
    from searchkit.results.export import export as written
    from searchkit.results.studies import load

    result, target = load(given.study, settings.storage), settings.target(given.to)
    with heard() as said:
        trial = _row(result, given.row, given.trial)
        files = written(result, trial, target, given.precision, given.data, given.format)
    return {"files": [str(file) for file in files], "bytes": [file.stat().st_size for file in files], "said": said}


def check_compress(given: CompressInput, settings: Settings) -> None:
    """Refuse what the server does not allow: a function of the user's is imported and called.

    Raises:
        SearchkitError: of what.
    """
    if not settings.allow_code:
        raise SearchkitError(
            f"compress would import and call {given.model}, which this server does not: it has to be started with "
            "--allow-code"
        )
    settings.check_seconds(given.seconds)
    settings.workers(given.workers)
    if given.export_to is not None:
        settings.target(given.export_to)


def compress(given: CompressInput, settings: Settings, tell: Tell) -> Shrunk:
    """Make a trained network fit bounds on its cost, and write the best one where that is asked for."""
    from searchkit.compressing import compress as shrunk
    from searchkit.compressing.by_name import model_of

    check_compress(given, settings)
    workers = settings.workers(given.workers)
    with heard() as said:
        result = shrunk(
            model_of(given.model),
            given.data,
            constraints=given.constraints,
            epochs=given.epochs,
            seconds=given.seconds,
            networks=given.networks,
            recipe=given.recipe,
            executor=None if workers == 1 else workers,
            storage=settings.storage,
            name=given.name,
            seed=given.seed,
            device=given.device,
            progress=False,
        )
        wanted = given.export_to is not None and len(result.delivered)
        files = result.export(0, settings.target(given.export_to or "")) if wanted else []
    return {
        "study": result.name,
        "stopped": result.stopped,
        "original": dict(result.original),
        "bounds": dict(result.bounds),
        "networks": rows_of(result.delivered),
        "files": [str(file) for file in files],
        "said": said,
    }


def _row(result: Result, row: int, trial: int | None = None) -> Trial:
    """The candidate in a row of a front, or of a number; a SearchkitError where there is none."""
    if trial is not None:
        if trial >= len(result.trials):
            raise SearchkitError(f"'{result.name}' has candidates 0 to {len(result.trials) - 1}, not {trial}")
        return result.trials[trial]
    n = len(result.front)
    if not 0 <= row < n:
        there = f"has rows 0 to {n - 1}, not {row}" if n else f"is empty: {result.nothing}"
        raise SearchkitError(f"the front of '{result.name}' {there}")
    column = "trial (record)" if "trial (record)" in result.front else "trial"
    return result.trials[int(result.front[column][row])]
