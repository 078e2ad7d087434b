"""The methods that are compared: searchkit's strategies, and peers as their documentations say."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder
from benchmarks.strategies.comparing.store import sources
from searchkit import plugins
from searchkit.errors import UnknownNameError

Search = Callable[[Problem, Recorder, int], None]
"""``(problem, evaluate, seed)``; goes on until evaluate ends it, or until it has nothing more to propose."""


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        function: "module:function", of this package, that makes the :data:`Search`; imported before the clock starts.
        options: of that function.
        packages: distribution -> module that has to be there; the first is the peer, whose version is part of the key.
        objectives: "one", "several" or "any" number that it takes.
        scored: only for problems whose signals are in the cache.
        revision: to be raised where how it is called changes.
    """

    name: str
    function: str
    options: tuple[Any, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    objectives: str = "any"
    scored: bool = False
    revision: int = 1

    @property
    def ours(self) -> bool:
        """It is one of searchkit's strategies."""
        return not self.packages

    @property
    def missing(self) -> str:
        """The install line of what is not there; empty where nothing is missing."""
        absent = [name for name, module in self.packages if importlib.util.find_spec(module) is None]
        return f"pip install {' '.join(absent)}" if absent else ""

    @property
    def key(self) -> str:
        """What a result depends on beside problem, seed and budget."""
        if self.ours:
            return f"searchkit {sources()}"
        name = self.packages[0][0]
        version = importlib.metadata.version(name)
        return f"{name} {version}" + (f", revision {self.revision}" if self.revision > 1 else "")

    def fits(self, problem: Problem) -> bool:
        """The method can work on the problem."""
        several = len(problem.load().objectives) > 1
        return self.objectives in ("any", "several" if several else "one") and (problem.scored or not self.scored)

    def make(self) -> Search:
        """Import what it needs."""
        module, function = self.function.split(":")
        search: Search = getattr(importlib.import_module(f"{__package__}.{module}"), function)(*self.options)
        return search


def _ours() -> list[Method]:
    found = [Method(name, "ours:strategy", (name,)) for name in plugins.names("strategy")]
    screened = [name for name in ("auto", "bo", "evolution", "nsga2") if name in plugins.names("strategy")]
    return found + [Method(f"{name}+proxies", "ours:screened", (name,), scored=True) for name in screened]


_OPTUNA = (("optuna", "optuna"),)
_GP = (*_OPTUNA, ("torch", "torch"))
_PYMOO = (("pymoo", "pymoo"),)
_AX = (("ax-platform", "ax"),)
_SMAC = (("smac", "smac"),)
_SYNE = (("syne-tune", "syne_tune"),)
_SYNE_GP = (*_SYNE, ("botorch", "botorch"))
_SYNE_CQR = (*_SYNE, ("huggingface-hub", "huggingface_hub"))  # which it does not use, and imports
_NEVERGRAD = (("nevergrad", "nevergrad"),)

# NSGA-II's population: 20, and 8, which is what searchkit's takes for 100 evaluations; peers' defaults, 50 and 100,
# would be random search for most of them
PEERS = [
    Method("uniform", "peer_uniform:uniform", packages=(("numpy", "numpy"),)),
    Method("optuna-tpe", "peer_optuna:search", ("TPESampler",), _OPTUNA),
    Method("optuna-nsga2", "peer_optuna:search", ("NSGAIISampler", 20), _OPTUNA),
    Method("optuna-nsga2-8", "peer_optuna:search", ("NSGAIISampler", 8), _OPTUNA),
    Method("optuna-gp", "peer_optuna:search", ("GPSampler",), _GP),
    Method("pymoo-nsga2", "peer_pymoo:integers", (20,), _PYMOO),
    Method("pymoo-nsga2-8", "peer_pymoo:integers", (8,), _PYMOO),
    Method("pymoo-mixed", "peer_pymoo:choices", (20,), _PYMOO),
    Method("ax", "peer_ax:client", packages=_AX),
    Method("smac", "peer_smac:forest", packages=_SMAC),
    Method("smac-blackbox", "peer_smac:blackbox", packages=_SMAC, objectives="one"),
    Method("syne-tune-bore", "peer_syne_tune:single", ("BORE",), _SYNE, "one"),
    Method("syne-tune-cqr", "peer_syne_tune:single", ("CQR",), _SYNE_CQR, "one"),
    Method("syne-tune-kde", "peer_syne_tune:single", ("TPE",), _SYNE, "one"),
    Method("syne-tune-botorch", "peer_syne_tune:single", ("BOTorch",), _SYNE_GP, "one"),
    Method("syne-tune-evolution", "peer_syne_tune:evolution", packages=_SYNE, objectives="several"),
    Method("syne-tune-ehvi", "peer_syne_tune:ehvi", packages=_SYNE_GP, objectives="several"),
    Method("nevergrad", "peer_nevergrad:ngopt", packages=_NEVERGRAD),
]


def all_methods() -> dict[str, Method]:
    """Every method by name, installed or not; searchkit's first."""
    return {method.name: method for method in [*_ours(), *PEERS]}


def listed(text: str) -> list[Method]:
    """Methods from names with commas between them; "all", "searchkit" and "peers" are such too.

    Raises:
        UnknownNameError: a name that there is not.
    """
    known = all_methods()
    groups = {
        "all": list(known),
        "searchkit": [name for name, method in known.items() if method.ours],
        "peers": [name for name, method in known.items() if not method.ours],
    }
    names = [name for part in text.split(",") for name in groups.get(part, [part])]
    for name in names:
        if name not in known:
            raise UnknownNameError.of("method", name, [*known, *groups])
    return [known[name] for name in dict.fromkeys(names)]
