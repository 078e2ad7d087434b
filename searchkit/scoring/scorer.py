"""Scores candidates with several proxies at the price of the union of their passes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from searchkit.data.data import Data
from searchkit.errors import PASSED_ON, ProxyError, SearchkitError, plural
from searchkit.execution.at_work import SCORING, ended, noted, suspicion
from searchkit.execution.outcome import Job
from searchkit.problem.numbers import numbers_of
from searchkit.runtime.devices import resolve_device
from searchkit.scoring.apart import score_code_apart, score_network_apart
from searchkit.scoring.network import NOT_FINITE, NetworkScores, Scores, asked, reason, score_network
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.pool import ScoringPool, read_workers
from searchkit.scoring.protocols import Learner, NetworkProxy, Proxy, Setting
from searchkit.scoring.registry import AnyProxy, Configured, made, names_of
from searchkit.space import NetworkSpace, Space, keys
from searchkit.training.starts import Start
from searchkit.types import Bools, Codes, Floats

OnScored = Callable[[Codes, Mapping[str, float]], None]


class Scorer:
    """A function from codes ``(n, d)`` to scores ``(n, p)``, higher is better, NaN where a proxy cannot score.

    A score depends on the seed and on the canonical candidate alone, never on order, on neighbours or on the
    caller's random state.

    Args:
        space: of the candidates.
        proxies: registered names, or objects; one with several signals gives several columns.
        data: what proxies that look at images see (its train part); noise and random labels where None.
        device: "cpu", "cuda", "auto", ...
        seed: of weights and inputs.
        on_scored: called with a candidate ``(d,)`` and its new scores, once each, to keep a record of them.
        executor, folder: for proxies that train something; see :class:`searchkit.scoring.protocols.Setting`.
        workers: processes that score networks at the same time, with the same scores; 1, which is this process, where
            not given. They start when there is enough to score to pay for the start (:mod:`searchkit.scoring.pool`) and
            end with the scorer, with :meth:`close` or with a ``with`` block. A candidate that kills its process has no
            scores. Proxies that score codes, not networks, stay in this process.
        warns: whether a warning says which proxy has no score for some candidates, and why.
        weights: that networks are scored with; None: random ones.

    Attributes:
        names: of the columns.
        learners: column -> proxy that learns from what is evaluated.
        cache: ``{candidate's bytes (searchkit.space.keys): {name: score}}``; may be filled from a record.

    Raises:
        UnknownNameError: a name that nothing is registered under.
        SearchkitError: proxies that need networks, and a space that has none; with workers, a space or proxies that
            cannot be sent to another process.
    """

    def __init__(
        self,
        space: Space,
        proxies: Sequence[str | AnyProxy | Configured],
        data: Data | None = None,
        *,
        device: str = "cpu",
        seed: int = 0,
        on_scored: OnScored | None = None,
        executor: object = None,
        folder: Path | None = None,
        workers: int | None = None,
        warns: bool = True,
        weights: Start | None = None,
    ) -> None:
        n = read_workers(workers)
        if isinstance(space, NetworkSpace) and data is not None:
            space = space.for_data(data.input_shape, data.output_shape)
        self.space = space
        self.device = resolve_device(device)
        self.seed = seed
        self.weights = weights
        self.on_scored = on_scored
        self.cache: MutableMapping[bytes, Scores] = {}
        self._plain: list[Proxy] = []
        self._networks: list[NetworkProxy] = []
        columns: list[str] = []
        self.learners: dict[int, Learner] = {}
        any_card = self.device.type == "cuda" and str(device) in ("auto", "cuda")
        trained_on = "cuda" if any_card else str(self.device)
        setting = None if data is None else Setting(data, trained_on, seed, executor, folder)
        for proxy in made(proxies, space, setting):
            if getattr(proxy, "learns", False):
                assert isinstance(proxy, Learner)
                self.learners[len(columns)] = proxy
            columns.extend(names_of(proxy))
            if isinstance(proxy, NetworkProxy):
                self._networks.append(proxy)
            else:
                self._plain.append(proxy)
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise SearchkitError(f"two proxies are called '{twice[0]}'; ask for each once")
        self.names = tuple(columns)
        self._given = (tuple(proxies), data, device, executor, workers)
        self._warned: set[tuple[str, str]] = set()
        self._warns = warns
        self._reasons: dict[bytes, dict[str, str]] = {}
        self._inputs: ProxyInputs | None = None
        self._data = data
        if isinstance(space, NetworkSpace):
            self._inputs = ProxyInputs(data, space.input_shape, space.output_shape, self.device, seed)
        self._pool: ScoringPool | None = None
        if n > 1 and self._networks:
            assert isinstance(space, NetworkSpace)
            self._pool = ScoringPool(n, space, self._networks, data, self.device, seed, any_card, weights)

    def __call__(self, codes: Codes) -> Floats:
        """``(n, p)`` float64, columns as in ``names``; candidates that the cache knows cost nothing."""
        rows = self.space.check(codes)
        scores = np.full((len(rows), len(self.names)), np.nan)
        self._score_networks(rows)
        for proxy in self._plain:
            columns = [self.names.index(name) for name in names_of(proxy)]
            scores[:, columns] = self._score_plain(proxy, rows)
        columns = [i for i, name in enumerate(self.names) if any(name in p.names for p in self._networks)]
        for i, key in enumerate(keys(rows) if columns else []):
            known = self.cache[key]
            scores[i, columns] = [known[self.names[column]] for column in columns]
        return scores

    def known(self, codes: Codes) -> Bools:
        """``(n,)`` bool: whether a candidate's scores cost nothing, as they were computed or recorded before."""
        kept = [name for proxy in self._plain if getattr(proxy, "cached", True) for name in names_of(proxy)]
        wanted = set(kept).union(*(proxy.names for proxy in self._networks))
        return np.array([wanted <= self.cache.get(key, {}).keys() for key in keys(self.space.check(codes))], dtype=bool)

    @property
    def network_proxies(self) -> tuple[NetworkProxy, ...]:
        """Those that score networks, as they were made: with their settings, also where a name was given."""
        return tuple(self._networks)

    def reason(self, code: Codes, name: str) -> str | None:
        """Why a candidate ``(d,)`` that was scored here has no score of a signal; None where it has one."""
        return self._reasons.get(keys(self.space.check(code))[0], {}).get(name)

    @property
    def trains(self) -> bool:
        """Whether a proxy trains something, which it may keep."""
        return any(getattr(proxy, "needs_data", False) for proxy in self._plain)

    def train_until(self, until: float) -> None:
        """Have proxies that were made here, by name, end what they train at a time, where they can.

        Args:
            until: by :func:`time.perf_counter`.
        """
        for proxy in self._plain:
            keep_time = getattr(proxy, "train_until", None)
            if keep_time is not None and not any(proxy is given for given in self._given[0]):
                keep_time(until)

    def in_folder(self, folder: Path) -> Scorer:
        """The same scorer, whose proxies that train something keep it in a folder; for one that has scored nothing."""
        proxies, data, device, executor, workers = self._given
        return Scorer(
            self.space, proxies, data, device=device, seed=self.seed, executor=executor, folder=folder, workers=workers,
            warns=self._warns, weights=self.weights,
        )  # fmt: skip

    def close(self) -> None:
        """End the worker processes, if there are any."""
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _score_plain(self, proxy: Proxy, rows: Codes) -> Floats:
        names = names_of(proxy)
        if not getattr(proxy, "cached", True):
            return self._from_codes(proxy, names, rows)
        wanted = dict(zip(keys(rows), rows, strict=True))
        new = {key: row for key, row in wanted.items() if not set(names) <= self.cache.get(key, {}).keys()}
        if new:
            fresh = self._from_codes(proxy, names, np.stack(list(new.values())))
            for (key, row), values in zip(new.items(), fresh.tolist(), strict=True):
                self._keep(key, row, dict(zip(names, values, strict=True)))
        return np.array([[self.cache[key][name] for name in names] for key in keys(rows)]).reshape(-1, len(names))

    def _from_codes(self, proxy: Proxy, names: Sequence[str], rows: Codes) -> Floats:
        several = f"several candidates by proxy {names[0]}"
        if len(rows) > 1 and (ended(several) or any(suspicion(row) is not None for row in rows)):
            return self._one_by_one(proxy, names, rows)
        why = suspicion(rows[0]) if len(rows) == 1 else None
        if why is not None:
            return self._apart(proxy, names, rows, why)
        try:
            with noted(rows[0] if len(rows) == 1 else several, SCORING):
                found = numbers_of(proxy.score(rows))
            if found.size != len(rows) * len(names):
                raise ValueError(f"it returned an array of shape {found.shape} for {plural(len(rows), 'candidate')}")
        except (*PASSED_ON, ProxyError):  # the proxy itself is at fault, and with all candidates
            raise
        except BaseException as error:
            if len(rows) > 1:  # one of them may be at fault
                return self._one_by_one(proxy, names, rows)
            for name in names:
                self._refused(rows, name, reason(error))
            return np.full((len(rows), len(names)), np.nan)
        values = found.reshape(len(rows), len(names)).copy()
        for name, column in zip(names, values.T, strict=True):
            if not np.isfinite(column).all():
                self._refused_plain(proxy, rows[~np.isfinite(column)], name)
                column[~np.isfinite(column)] = np.nan
        return values

    def _refused_plain(self, proxy: Proxy, rows: Codes, name: str) -> None:
        """Keep why each of several candidates has no score, as far as the proxy says it; one warning for all."""
        own = getattr(proxy, "why_none", None)
        for row in rows:
            why = own(row) if own is not None else None
            kind = None if why is None else "each its own"
            self._refused(row[None], name, why or getattr(proxy, "no_score", None) or NOT_FINITE, kind)

    def _one_by_one(self, proxy: Proxy, names: Sequence[str], rows: Codes) -> Floats:
        return np.concatenate([self._from_codes(proxy, names, row[None]) for row in rows])

    def _apart(self, proxy: Proxy, names: Sequence[str], rows: Codes, why: str) -> Floats:
        values, failed = score_code_apart(proxy, names, rows[0], why)
        for name in names if failed is not None else ():
            self._refused(rows, name, str(failed))
        return np.array([[values[name] for name in names]])

    def _score_networks(self, rows: Codes) -> None:
        jobs: dict[bytes, Job] = {}
        for key, row in zip(keys(rows), rows, strict=True):
            known = self.cache.get(key, {}).keys()
            number = sum(1 << i for i, proxy in enumerate(self._networks) if not set(proxy.names) <= known)
            if number:
                jobs[key] = Job(row, number)
        with contextlib.closing(self._scored(list(jobs.values()))) as scored:
            waiting = list(jobs)
            for i, scores in scored:
                for name, why in scores.reasons.items():
                    self._refused(jobs[waiting[i]].code[None], name, why)
                self._keep(waiting[i], jobs[waiting[i]].code, scores.values)

    def _scored(self, jobs: Sequence[Job]) -> Generator[tuple[int, NetworkScores], None, None]:
        if self._pool is not None:
            yield from self._pool.score(jobs, self._scored_here)
        else:
            for i, job in enumerate(jobs):
                yield i, self._scored_here(job)

    def _scored_here(self, job: Job) -> NetworkScores:
        assert isinstance(self.space, NetworkSpace)
        assert self._inputs is not None
        why = suspicion(job.code)
        if why is not None:
            given = (self.space, tuple(self._networks), self._data, self.device, self.seed, self.weights)
            return score_network_apart(given, job, why)
        with noted(job.code, SCORING):
            wanted = asked(self._networks, job.seed)
            return score_network(self.space, wanted, job.code, self._inputs, self.seed, self.weights)

    def _keep(self, key: bytes, row: Codes, scores: Scores) -> None:
        self.cache.setdefault(key, {}).update(scores)
        if self.on_scored is not None:
            self.on_scored(row, scores)

    def _refused(self, rows: Codes, name: str, why: str, kind: str | None = None) -> None:
        """Keep the reason for each candidate, and warn once for each proxy and reason, or kind of reasons."""
        for key in keys(rows):
            self._reasons.setdefault(key, {})[name] = why
        if self._warns and (name, kind or why) not in self._warned:
            self._warned.add((name, kind or why))
            warnings.warn(f"proxy '{name}' has no score for some candidates: {why}", stacklevel=2)
