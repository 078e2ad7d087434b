"""Scores candidates with several proxies at the price of the union of their passes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from searchkit.data import Data
from searchkit.devices import device_errors, one_thread, resolve_device
from searchkit.errors import CandidateError, DeviceGoneError, ProxyError, SearchkitError, first_line_said
from searchkit.passes import Built, build, run
from searchkit.passes_inputs import Inputs
from searchkit.proxy import Learner, NetworkProxy, Pass, Proxy, Setting
from searchkit.proxy_objects import AnyProxy, made, names_of, registered_names
from searchkit.space import Codes, Floats, NetworkSpace, Space, keys

Scores = dict[str, float]
__all__ = ["Scorer", "reason", "registered_names"]

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
        executor, folder: for proxies that train something; see :class:`searchkit.proxy.Setting`.

    Attributes:
        names: of the columns.
        learners: column -> proxy that learns from what is evaluated.
        cache: ``{candidate's bytes (searchkit.space.keys): {name: score}}``; may be filled from a record.

    Raises:
        UnknownNameError: a name that nothing is registered under.
        SearchkitError: proxies that need networks, and a space that has none.
    """

    def __init__(
        self,
        space: Space,
        proxies: Sequence[str | AnyProxy],
        data: Data | None = None,
        *,
        device: str = "cpu",
        seed: int = 0,
        on_scored: OnScored | None = None,
        executor: Any = None,
        folder: Path | None = None,
    ) -> None:
        if isinstance(space, NetworkSpace) and data is not None:
            space = space.for_data(data.input_shape, data.n_classes)
        self.space = space
        self.device = resolve_device(device)
        self.seed = seed
        self.on_scored = on_scored
        self.cache: MutableMapping[bytes, Scores] = {}
        self._plain: list[Proxy] = []
        self._networks: list[NetworkProxy] = []
        columns: list[str] = []
        self.learners: dict[int, Learner] = {}
        setting = None if data is None else Setting(data, str(self.device), seed, executor, folder)
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
        self._warned: set[tuple[str, str]] = set()
        self._inputs: Inputs | None = None
        if isinstance(space, NetworkSpace):
            self._inputs = Inputs(data, space.input_shape, space.n_classes, self.device, seed)

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
        try:
            found = np.asarray(proxy.score(rows), dtype=np.float64)
            if found.size != len(rows) * len(names):
                raise ValueError(f"it returned an array of shape {found.shape} for {len(rows)} candidates")
        except (KeyboardInterrupt, SystemExit, ProxyError):  # the proxy itself is at fault, and with all candidates
            raise
        except Exception as error:
            for name in names:
                self._warn(name, reason(error))
            return np.full((len(rows), len(names)), np.nan)
        values = found.reshape(len(rows), len(names)).copy()
        for name, column in zip(names, values.T, strict=True):
            if not np.isfinite(column).all():
                column[~np.isfinite(column)] = np.nan
                self._warn(name, "its value is not a finite number")
        return values

    def _score_networks(self, rows: Codes) -> None:
        assert self._inputs is not None or not self._networks
        for key, row in zip(keys(rows), rows, strict=True):
            known = self.cache.get(key, {})
            missing = [proxy for proxy in self._networks if not set(proxy.names) <= known.keys()]
            if missing:
                self._keep(key, row, self._network_scores(missing, row))

    def _network_scores(self, proxies: Sequence[NetworkProxy], row: Codes) -> Scores:
        assert isinstance(self.space, NetworkSpace)
        assert self._inputs is not None
        with one_thread():
            try:
                with device_errors(self.device):
                    built = build(self.space, row, self._inputs, self.seed)
            except (KeyboardInterrupt, SystemExit, DeviceGoneError):
                raise
            except Exception as error:
                return self._refused([name for proxy in proxies for name in proxy.names], error)
            return self._from_network(proxies, built)

    def _from_network(self, proxies: Sequence[NetworkProxy], built: Built) -> Scores:
        scores: Scores = {}
        passes: list[Pass] = [one for proxy in proxies for one in proxy.passes]
        recorded = run(built, passes)
        for proxy in proxies:
            recordings = [recorded[one.key] for one in proxy.passes]
            failed = next((r for r in recordings if isinstance(r, Exception)), None)
            if failed is not None:
                scores |= self._refused(proxy.names, failed)
                continue
            try:
                with device_errors(self.device):
                    values = proxy.values(recordings)
                scores |= {name: self._finite(name, float(values[name])) for name in proxy.names}
            except (KeyboardInterrupt, SystemExit, DeviceGoneError):
                raise
            except Exception as error:
                scores |= self._refused(proxy.names, error)
        return scores

    def _finite(self, name: str, value: float) -> float:
        if math.isfinite(value):
            return value
        self._warn(name, "its value is not a finite number")
        return math.nan

    def _refused(self, names: Iterable[str], error: Exception) -> Scores:
        for name in names:
            self._warn(name, reason(error))
        return dict.fromkeys(names, math.nan)

    def _keep(self, key: bytes, row: Codes, scores: Scores) -> None:
        self.cache.setdefault(key, {}).update(scores)
        if self.on_scored is not None:
            self.on_scored(row, scores)

    def _warn(self, name: str, why: str) -> None:
        """Once for each proxy and reason, however many candidates it holds for."""
        if (name, why) not in self._warned:
            self._warned.add((name, why))
            warnings.warn(f"proxy '{name}' has no score for some candidates: {why}", stacklevel=2)


def reason(error: Exception) -> str:
    """Why a candidate has no score, in the words of whoever refused it."""
    if isinstance(error, CandidateError):
        return str(error)
    first_line = first_line_said(error)
    return f"{type(error).__name__}: {first_line}"
