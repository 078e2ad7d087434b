"""The parts of ``python -m benchmarks.gpu`` that score untrained networks: Eproxy; jacov, naswot and AZ-NAS."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.gpu.setting import Setting, seconds_of
from benchmarks.proxies import plain
from searchkit.proxies.eproxy import DEFAULT, FULL, Eproxy
from searchkit.proxies.eproxy_targets import target
from searchkit.proxy_layer.setup import name_of
from searchkit.scoring import pool as scoring_pool
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.scorer import Scorer
from searchkit.types import Codes, Floats

_EACH = 8  # networks that a worker scores at least, on the average

Score = Callable[[plain.PlainNetwork], float]


def eproxy_part(setting: Setting) -> None:
    """Print networks a second: plain, by a Scorer, and by a Scorer with worker processes."""
    inputs = _inputs(setting)
    images = inputs.augmented(DEFAULT.batch).contiguous()
    targets = [target(b, i, DEFAULT, inputs).to(setting.device).contiguous() for i, b in enumerate(DEFAULT.branches)]
    _compare(setting, [FULL], {"eproxy": lambda network: plain.eproxy(network, images, targets, lr=DEFAULT.lr)})


def signals_part(setting: Setting) -> None:
    """The same of six signals."""
    x, _ = (part.contiguous() for part in _inputs(setting).images(32))
    scores: dict[str, Score] = {
        "jacov": lambda network: plain.jacov(network, x),
        "naswot": lambda network: plain.naswot(network, x),
        "az_expressivity": lambda network: plain.az_expressivity(network, x),
        "az_progressivity": lambda network: plain.az_progressivity(network, x),
        "az_trainability": lambda network: plain.az_trainability(network, x),
    }
    _compare(setting, ["jacov", "naswot", "az_nas"], scores)


def _inputs(setting: Setting) -> ProxyInputs:
    return ProxyInputs(setting.data, setting.data.input_shape, setting.data.n_classes, setting.device, 0)


def _compare(setting: Setting, proxies: Sequence[str | Eproxy], scores: dict[str, Score]) -> None:
    """The same networks by all; each is warm from one network more. Workers score more of them, for all to be busy."""
    each = _EACH if setting.device.type == "cuda" else 1
    n, n_busy = setting.networks, max(setting.networks, each * setting.workers)
    n_warm = 2 + 2 * setting.workers
    codes = setting.codes(n_busy + n_warm)
    codes, warm = codes[:n_busy], codes[n_busy:]
    found: dict[str, Floats] = {}

    def one_at_a_time() -> None:
        for name, score in scores.items():
            found[name] = np.array([_plain(setting, code, score) for code in codes[:n]])

    def at_once() -> None:
        table = scorer(codes[:n])
        found.update({f"searchkit {name}": column for name, column in zip(scorer.names, table.T, strict=True)})

    print(f"Networks of width {setting.width} and {setting.cells} cells a stage; images: {setting.data.name}. ", end="")
    print("Plain: one network and signal at a time, fp32 with torch's defaults, contiguous.\n")
    print("| | networks | seconds | networks a second | times plain |\n|---|---|---|---|---|")
    rates: list[float] = []

    def row(name: str, count: int, taken: float) -> None:
        rates.append(count / taken)
        print(f"| {name} | {count} | {taken:.2f} | {rates[-1]:.2f} | {rates[-1] / rates[0]:.2f} |", flush=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that a signal refuses
        for score in scores.values():
            _plain(setting, warm[0], score)
        row("plain", n, seconds_of(one_at_a_time, setting.device))
        scorer = _scorer(setting, proxies, 1)
        scorer(warm[:1])
        row(f"searchkit, {' + '.join(name_of(proxy) for proxy in proxies)}", n, seconds_of(at_once, setting.device))
        apart = ""
        if setting.workers > 1:
            taken, table = _by_workers(setting, proxies, codes, warm)
            row(f"searchkit, {setting.workers} workers", n_busy, taken)
            here = np.column_stack([found[f"searchkit {name}"] for name in scorer.names])
            most = np.nanmax(np.abs(table[:n] - here) / np.maximum(np.abs(here), 1e-12))
            apart = f" Scores of the workers are apart from this process's by {most:.1e} of them at most."
    agreement = ", ".join(f"{name} {_rho(found[name], found[f'searchkit {name}']):.2f}" for name in scores)
    print(f"\nSpearman's rho of plain and searchkit: {agreement}.{apart}")


def _scorer(setting: Setting, proxies: Sequence[str | Eproxy], workers: int) -> Scorer:
    return Scorer(setting.space, proxies, setting.data, device=str(setting.device), workers=workers)


def _by_workers(setting: Setting, proxies: Sequence[str | Eproxy], codes: Codes, warm: Codes) -> tuple[float, Floats]:
    """Seconds of processes that are there and warm, and their scores."""
    scoring_pool.PAYS = 0.0  # they begin with the third network, however few there are
    tables: list[Floats] = []
    with _scorer(setting, proxies, setting.workers) as scorer:
        scorer(warm)
        return seconds_of(lambda: tables.append(scorer(codes)), setting.device), tables[0]


def _plain(setting: Setting, code: Sequence[int], score: Score) -> float:
    torch.manual_seed(0)
    network = plain.PlainNetwork(code, setting.width, setting.cells, setting.data.n_classes)
    return score(network.to(setting.device).train())


def _rho(a: Floats, b: Floats) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    return float(spearmanr(a[both], b[both]).statistic) if both.sum() > 2 else float("nan")
