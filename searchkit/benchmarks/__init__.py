"""Problems with known answers, to measure strategies against: published tables, a surrogate, and closed forms.

After ``b = load("nas-bench-201")``, a search of it is ``searchkit.run("bo", space=b.space, evaluate=b.evaluate,
objectives=b.objectives)``. Tables are not shipped: :mod:`searchkit.benchmarks.files` says where they are looked for.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping, Sequence

from searchkit.benchmarks.benchmark import Benchmark
from searchkit.errors import UnknownNameError
from searchkit.surroundings import settled

__all__ = ["Benchmark", "load", "names"]

_MAKERS = {
    "additive": "searchkit.benchmarks.closed_form:additive",
    "hidden-failure": "searchkit.benchmarks.closed_form:hidden_failure",
    "nas-bench-201": "searchkit.benchmarks.tables:cells",
    "nas-bench-macro": "searchkit.benchmarks.tables:layers",
    "ofa-mobilenet": "searchkit.benchmarks.ofa:ofa_mobilenet",
}


def names() -> list[str]:
    """Sorted names of the benchmarks."""
    return sorted(_MAKERS)


def load(
    name: str,
    *,
    objectives: str | Sequence[str] | Mapping[str, str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    **options: object,
) -> Benchmark:
    """A benchmark by name.

    ================= =============================================== ==================================================
    name              objectives, the default ones first              options
    ================= =============================================== ==================================================
    nas-bench-201     accuracy | params, macs, and of nine devices    merge=True: equal cells are one candidate
                      latencies and energies (raspi4_latency_ms, ...)
    nas-bench-macro   accuracy | params, macs
    ofa-mobilenet     accuracy, note10_latency_ms                     resolution=224
    additive          loss_1, loss_2, ...                             n_choices=20, n_options=6, n_objectives=2, seed=0
    hidden-failure    loss                                            n_choices=5, values=(0, 1, 9), limit=9
    ================= =============================================== ==================================================

    Args:
        objectives: which of the benchmark's objectives are searched, as names or as a mapping name -> "min" or "max".
        folder: where the tables are; $SEARCHKIT_DATA where not given.
        options: of the benchmark.

    Raises:
        UnknownNameError: a benchmark, an objective or an option that there is not.
        ObjectiveError: no objective, or one twice.
        DataError: a table that is not found, or is another than expected.
    """
    if name not in _MAKERS:
        raise UnknownNameError.of("benchmark", name, _MAKERS)
    module, function = _MAKERS[name].split(":")
    maker = getattr(importlib.import_module(module), function)
    known = [p.name for p in inspect.signature(maker).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise UnknownNameError.of(f"option of benchmark '{name}'", option, known)
    made: Benchmark = maker(objectives, None if folder is None else settled(folder), **options)
    return made
