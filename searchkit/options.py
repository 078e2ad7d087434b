"""The checked arguments of :func:`searchkit.run`, and the identity of the study that they make."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from searchkit.costs.targets.target import Target
from searchkit.option_values import (
    SCREEN,
    call_of,
    chosen_by,
    identified,
    identity_of,
)  # fmt: skip
from searchkit.problem.budget import Budget
from searchkit.problem.problem import Problem, Strategy
from searchkit.proxy_layer.setup import name_of
from searchkit.proxy_layer.transfer import Earlier
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.registry import AnyProxy, Configured
from searchkit.search.accounting import Callback
from searchkit.search.task import Task
from searchkit.storage.header import FORMAT, plain
from searchkit.storage.paths import networks_folder
from searchkit.storage.places import named
from searchkit.types import Codes
from searchkit.version import __version__

DIGEST_BYTES = 3  # of the automatic name


@dataclass(frozen=True)
class Options:
    """The checked arguments of a call of :func:`searchkit.run`.

    Attributes:
        factory: makes the strategy; ``strategy`` is the argument as given.
        task: what is searched, and how a candidate is evaluated.
        start: ``(s, d)`` candidates to evaluate first.
        proxies: names and objects, followed by the predictors fitted to earlier studies.
        automatic: whether searchkit chooses proxies, which are then in ``judges`` (:mod:`searchkit.judged`); ``off``:
            whether it would, but for ``proxies=()``.
        device: as given; ``here`` is the device of this process.
        storage: with absolute paths, since a user's code may change the working folder.
        place: the same, but a database's URL as it was given. ``home``: folder of the files of studies in databases.
        plan: how the time is spent, as JSON values (:mod:`searchkit.search.plan`); None where time does not decide.
        baselines: seconds for simple models; 0: they are not fitted.
        targets: other devices on which costs are measured, by name.
        given_name: name of the study as given; ``name`` is this, or one made from the other arguments.
    """

    strategy: Any
    factory: Callable[[Problem], Strategy]
    task: Task
    start: Codes
    proxies: tuple[Any, ...]
    screen: int
    verify: int
    budget: Budget
    batch: int | None
    seed: int
    split_seed: int
    device: str
    here: str
    executor: Any
    workers: int | None
    storage: Any
    place: Any
    home: Path
    given_name: str | None
    epochs: int | None
    time_limit: float | None
    callbacks: Sequence[Callback]
    progress: bool | Literal["table"] | None
    baselines: float
    targets: Mapping[str, Target] = field(default_factory=dict)
    automatic: bool = False
    off: bool = False
    judges: tuple[str, ...] = ()
    plan: dict[str, Any] | None = None

    @property
    def in_memory(self) -> bool:
        """Whether the record is kept in memory only."""
        return isinstance(self.storage, str) and self.storage == "memory"

    @property
    def signals(self) -> tuple[str | AnyProxy, ...]:
        """The proxies that judge candidates."""
        return (*self.judges, *self.proxies)

    @property
    def networks(self) -> bool:
        """Whether candidates are networks that searchkit evaluates."""
        return bool(self.task.context["kind"] == "networks")

    @property
    def strategy_name(self) -> str:
        """The strategy's name in tables and study names."""
        if isinstance(self.strategy, str):
            return self.strategy
        inner = getattr(self.strategy, "func", self.strategy)  # functools.partial
        return str(getattr(inner, "__name__", type(inner).__name__)).lower()

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Everything that decides the outcome of the search, as JSON values by the argument.

        The budget, the executor and the device are not among them: a study may be continued with others.
        """
        task = self.task
        parts: dict[str, Any] = {
            "task": task.identity,
            "function": task.context.get("function"),
            "objectives": [(o.name, o.direction) for o in task.goals.objectives],
            "constraints": sorted(str(bound) for bound in task.goals.bounds),
            "space": task.space.describe(),
            "seed": self.seed,
            "strategy": self.strategy if isinstance(self.strategy, str) else fingerprint(self.strategy),
            "start": self.start.tolist(),
            "batch": self.batch,
            "time_limit": None if self.time_limit is None else float(self.time_limit),
            "verify": self.verify,
        }
        if self.proxies:
            parts |= {"proxies": [identity_of(proxy) for proxy in self.proxies], "screen": self.screen}
            parts |= {"images": None if task.images is None else task.images.fingerprint}
        parts |= {"proxies": []} if self.off else {}
        parts |= {"screen": self.screen} if self.automatic and self.screen != SCREEN else {}
        return parts | ({"targets": identified(self.targets)} if self.targets else {})

    @cached_property
    def name(self) -> str:
        """Name of the study: by default equal for equal calls, and different if any of :attr:`parts` differs."""
        if self.given_name is not None:
            return self.given_name
        said = json.dumps(plain(self.parts), sort_keys=True).encode()
        digest = hashlib.blake2b(said, digest_size=DIGEST_BYTES).hexdigest()
        return named(self.task.space.name, self.task.label, self.strategy_name, digest)

    @property
    def folder(self) -> Path | None:
        """Folder of the study's files, beside its record; None for a record in memory."""
        return None if self.in_memory else networks_folder(self.place, self.name, self.home)

    def problem(self) -> Problem:
        """The search as a strategy sees it."""
        return Problem(
            self.task.space,
            len(self.task.goals.objectives),
            len(self.task.goals.bounds),
            budget=self.budget.evaluations,
            known=self.task.known,
            listable=self.task.listable,
            proxies=bool(self.signals),
        )

    def batch_size(self, strategy: Strategy, workers: int) -> int | None:
        """Candidates asked for at once; None: one whenever a worker is free."""
        if self.batch or workers > 1:
            return self.batch
        own = 1 if self.networks else int(getattr(strategy, "batch", 1))
        if self.signals and self.budget.evaluations:  # the proxy layer learns after every batch
            own = min(own, max(1, self.budget.evaluations // 10))
        return own

    def header(self, strategy: Strategy | None) -> dict[str, Any]:
        """The header of the record: it is compared when a study is continued, and is enough to show or resume it."""
        task, goals, by_name = self.task, self.task.goals, isinstance(self.strategy, str)
        search = task.identity | {
            "objectives": {objective.name: objective.direction for objective in goals.objectives},
            "constraints": [str(bound) for bound in goals.bounds],
            "space": task.space.describe(),
            "seed": self.seed,
        }
        if self.proxies:
            search["proxies"] = [name_of(proxy) for proxy in self.proxies]
        context = task.context | {
            "strategy": self.strategy if by_name else None,
            "chosen": chosen_by(strategy) or self.strategy_name,
            "strategy_function": None if by_name else fingerprint(self.strategy),
            "seed": self.seed,
            "budget": {name: value for name, value in asdict(self.budget).items() if value or "more" not in name},
            "bounds": {b.name: [None if math.isinf(end) else end for end in (b.low, b.high)] for b in goals.bounds},
            "margins": {bound.name: bound.margin for bound in goals.bounds if bound.margin},
            "call": call_of(
                self.task,
                self.proxies,
                self.off,
                self.screen,
                self.verify,
                self.start,
                self.targets,
                batch=self.batch,
                device=self.device,
                epochs=self.epochs,
                time_limit=self.time_limit,
                split_seed=self.split_seed,
            ),
            "objects": [name_of(proxy) for proxy in self.proxies if not isinstance(proxy, str | Configured | Earlier)],
            "earlier": [proxy.study for proxy in self.proxies if isinstance(proxy, Earlier)],
            "plan": self.plan,
            "parts": {key: fingerprint(json.dumps(plain(part))) for key, part in self.parts.items()},
        }
        return dict(plain({"format": FORMAT, "version": __version__, "search": search, "context": context}))
