"""The parts of benchmarks/gpu.py that score networks untrained: Eproxy, and jacov, naswot and AZ-NAS together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import plain_proxies as plain
import torch
from gpu_setting import Setting, seconds_of
from scipy.stats import spearmanr

from searchkit.passes_inputs import Inputs
from searchkit.proxies.eproxy import DEFAULT
from searchkit.proxies.eproxy_targets import target
from searchkit.scoring import Scorer
from searchkit.space import Floats

Score = Callable[[plain.PlainNetwork], float]


def eproxy_part(setting: Setting) -> None:
    """Print networks a second, plain and by a Scorer."""
    inputs = _inputs(setting)
    images = inputs.augmented(DEFAULT.batch).contiguous()
    targets = [target(b, i, DEFAULT, inputs).to(setting.device).contiguous() for i, b in enumerate(DEFAULT.branches)]
    _compare(setting, ["eproxy"], {"eproxy": lambda network: plain.eproxy(network, images, targets, lr=DEFAULT.lr)})


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


def _inputs(setting: Setting) -> Inputs:
    return Inputs(setting.data, setting.data.input_shape, setting.data.n_classes, setting.device, 0)


def _compare(setting: Setting, proxies: Sequence[str], scores: dict[str, Score]) -> None:
    """The same networks by both; each is warm from one network more."""
    codes = setting.codes(setting.networks + 1)
    codes, first = codes[:-1], codes[-1:]
    scorer = Scorer(setting.space, proxies, setting.data, device=str(setting.device))
    found: dict[str, Floats] = {}

    def one_at_a_time() -> None:
        found.update(
            {name: np.array([_plain(setting, code, score) for code in codes]) for name, score in scores.items()}
        )

    def at_once() -> None:
        table = scorer(codes)
        found.update({f"searchkit {name}": column for name, column in zip(scorer.names, table.T, strict=True)})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that a signal refuses
        for score in scores.values():
            _plain(setting, first[0], score)
        scorer(first)
        before = seconds_of(one_at_a_time, setting.device)
        after = seconds_of(at_once, setting.device)
    print(f"N = {len(codes)} networks of width {setting.width} and {setting.cells} cells a stage; images: ", end="")
    print(f"{setting.data.name}. Plain: one network and signal at a time, fp32 with torch's defaults, contiguous.\n")
    print("| | seconds | networks a second |\n|---|---|---|")
    for name, taken in (("plain", before), (f"searchkit, {' + '.join(proxies)}", after)):
        print(f"| {name} | {taken:.2f} | {len(codes) / taken:.2f} |")
    agreement = ", ".join(f"{name} {_rho(found[name], found[f'searchkit {name}']):.2f}" for name in scores)
    print(f"\n{before / after:.2f} times the networks a second. Spearman's rho of both: {agreement}.")


def _plain(setting: Setting, code: Sequence[int], score: Score) -> float:
    torch.manual_seed(0)
    network = plain.PlainNetwork(code, setting.width, setting.cells, setting.data.n_classes)
    return score(network.to(setting.device).train())


def _rho(a: Floats, b: Floats) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    return float(spearmanr(a[both], b[both]).statistic) if both.sum() > 2 else float("nan")
