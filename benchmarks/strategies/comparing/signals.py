"""The default proxies' scores of NAS-Bench-201 cells, looked up in the cache that ``_tables.scored`` keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from benchmarks.common.tables import CACHE, images
from searchkit.proxy_layer.setup import DEFAULT
from searchkit.scoring.scorer import Scorer
from searchkit.space import keys
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Codes, Floats

PATH = CACHE / "nas-bench-201.jsonl"


def count() -> int:
    """Cells that have scores in the cache."""
    lines = PATH.read_text().splitlines() if PATH.exists() else []
    return len({line.partition("]")[0] for line in lines})


class CachedSignals:
    """A proxy with all signals of "default"; a cell that the cache lacks is scored, and kept in it.

    Attributes:
        n_asked: distinct cells that were asked for, what a search would have scored; each search's are counted anew.
    """

    name = "cached"
    cached = False  # the proxy layer need not remember what is looked up

    def __init__(self) -> None:
        self.space = nas_bench_201()
        self._scorer = Scorer(self.space, DEFAULT, images(), on_scored=self._keep)
        self.names = self._scorer.names
        for line in PATH.read_text().splitlines() if PATH.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:  # half a line, of a process that is writing
                continue
            self._scorer.cache.setdefault(keys(np.array([entry["code"]]))[0], {}).update(entry["scores"])
        self._asked: set[bytes] = set()
        self._n_before = 0

    def score(self, codes: Codes) -> Floats:
        """``(n, p)``, higher is better."""
        self._asked.update(keys(self.space.check(codes)))
        return self._scorer(codes)

    @property
    def n_asked(self) -> int:
        """Distinct cells, searches counted one by one."""
        return self._n_before + len(self._asked)

    def forget(self) -> None:
        """The next search begins."""
        self._n_before, self._asked = self.n_asked, set()

    def _keep(self, code: Codes, scores: Mapping[str, float]) -> None:
        with PATH.open("a") as file:
            file.write(json.dumps({"code": code.tolist(), "scores": dict(scores)}) + "\n")
