"""Checks of single arguments of :func:`searchkit.run`, and groups of arguments as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SearchkitError
from searchkit.problem.budget import Budget
from searchkit.problem.numbers import SEEDS, is_whole, shown
from searchkit.proxy_layer.comparisons import Compared, Comparisons
from searchkit.proxy_layer.setup import name_of
from searchkit.proxy_layer.transfer import Earlier
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.registry import Configured

if TYPE_CHECKING:
    from searchkit.costs.targets.target import Target
    from searchkit.problem.problem import Strategy
    from searchkit.results.result import Result
    from searchkit.scoring.protocols import NetworkProxy, Proxy
    from searchkit.search.task import Task
    from searchkit.training.own_recipe import OwnRecipe
    from searchkit.training.recipe import Recipe
    from searchkit.types import Codes

SCREEN = 16  # candidates scored for each one evaluated
BASELINES = 10.0  # seconds for simple models at most
DEFAULT_BUDGET = 40  # evaluations, where time does not decide
BASELINES_SHARE = 0.025  # of a planned time, for simple models
LONGEST = 10**8  # seconds of a time limit, three years: what timers of all platforms can hold


@dataclass(frozen=True)
class Training:
    """How searchkit trains candidates, as one value: ``run(training=Training(epochs=10))``.

    See :func:`searchkit.run`.
    """

    epochs: int | None = None
    ladder: str | Mapping[str, float | bool] | Sequence[Mapping[str, float | bool]] | None = None
    time_limit: float | None = None
    recipe: Mapping[str, object] | Recipe | None = None


@dataclass(frozen=True)
class Proxies:
    """Proxies and how they are used, as one value: ``run(proxies=Proxies("default", screen=32))``.

    See :func:`searchkit.run`.
    """

    names: str | Proxy | NetworkProxy | Sequence[str | Proxy | NetworkProxy] | None = "auto"
    screen: int | None = None
    earlier: Result | Comparisons | Sequence[Result | Comparisons] | None = None


def grouped_training(
    training: object, epochs: object, recipe: object, ladder: object, time_limit: object
) -> tuple[Any, Any, Any, Any]:
    """Epochs, recipe, ladder and time limit, given separately or as a group; see :func:`once`."""
    if training is None or (callable(training) and not isinstance(training, type)):
        return epochs, recipe, ladder, time_limit
    if not isinstance(training, Training):
        raise SearchkitError(
            "training is a function (network, data, report) -> scores, or a searchkit.Training(epochs=, ladder=, "
            f"time_limit=, recipe=), not {training!r}"
        )
    return (
        once("epochs", epochs, training.epochs, "training=Training(...)"),
        once("recipe", recipe, training.recipe, "training=Training(...)"),
        once("ladder", ladder, training.ladder, "training=Training(...)"),
        once("time_limit", time_limit, training.time_limit, "training=Training(...)"),
    )


def grouped_proxies(proxies: object, screen: object, earlier: object) -> tuple[Any, Any, Any]:
    """Proxies, screen and earlier studies, given separately or as a group; see :func:`once`."""
    if not isinstance(proxies, Proxies):
        return proxies, screen, earlier
    return (
        proxies.names,
        once("screen", screen, proxies.screen, "proxies=Proxies(...)"),
        once("earlier", earlier, proxies.earlier, "proxies=Proxies(...)"),
    )


def once(name: str, flat: object, grouped: object, group: str) -> Any:
    """The value of an argument that may be given separately or in a group.

    Raises:
        SearchkitError: it was given both ways.
    """
    if flat is not None and grouped is not None:
        raise SearchkitError(f"{name} was given twice, as {name}= and in {group}: leave one of them out")
    return flat if grouped is None else grouped


def own_recipe(recipe: object, epochs: object, function: bool) -> tuple[OwnRecipe | None, Any]:
    """The recipe of the user, None where nothing is set, and the epochs, which it may set as well; see :func:`once`.

    Args:
        function: the search is over a user's function, which is refused with a recipe.
    """
    if recipe is None:
        return None, epochs
    if function:
        refuse_network_arguments(recipe=recipe)
    from searchkit.training.own_recipe import read_recipe

    own = read_recipe(recipe)
    epochs = once("epochs", epochs, own.epochs, "recipe=")
    if epochs is not None and any(name in own.options for name in ("epochs", "steps")):
        raise SearchkitError(
            f"epochs={epochs!r} was given, and recipe sets "
            f"{'steps' if 'steps' in own.options else 'epochs'}, which says how long a training is as well: leave one "
            "of them out"
        )
    return own, epochs


def whole(name: str, value: object, least: int) -> int | None:
    """Check for a whole number of at least ``least``; None is allowed too.

    Raises:
        SearchkitError: another value.
    """
    if value is None:
        return None
    if not is_whole(value) or not least <= value < SEEDS:
        raise SearchkitError(f"{name} must be a whole number of at least {least}, not {shown(value)}")
    return int(value)


def baseline_seconds(given: object, function: bool, budget: Budget) -> float:
    """How long simple models may be fitted at the end of a search; 0 where they are not. None is no for now.

    Args:
        given: ``baselines=`` of the search.
        function: it searches a user's function.

    Raises:
        SearchkitError: no boolean, or True of a function.
    """
    check_switch("baselines", given)
    if given and function:
        raise SearchkitError(
            "baselines=True fits simple models on the data beside the networks, but evaluate= was given, of whose data "
            "nothing is known: leave baselines out"
        )
    return min(BASELINES, (budget.seconds or 10 * BASELINES) / 10) if given else 0.0


def check_switch(name: str, given: object) -> None:
    """Raise SearchkitError unless it is True, False or None."""
    if given is not None and not isinstance(given, bool | np.bool_):
        raise SearchkitError(f"{name} must be True, False or None, not {shown(given)}")


def check_progress(given: object) -> None:
    """Raise SearchkitError unless it is True, False, None or "table"."""
    if given != "table" and given is not None and not isinstance(given, bool | np.bool_):
        raise SearchkitError(f'progress must be True, False, None or "table", not {shown(given)}')


def check_seconds(name: str, given: object) -> None:
    """Raise SearchkitError unless a time is None or a number of seconds above 0, at most :data:`LONGEST`.

    Args:
        name: of the argument, for the message.
    """
    if given is None:
        return
    number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    seconds: Any = given if number else -1
    if not 0 < seconds <= LONGEST:
        most = f", and at most {LONGEST:,}; leave it out for no limit" if seconds > 0 else ""
        raise SearchkitError(f"{name} must be a number of seconds above 0, not {shown(given)}{most}")


def refuse_network_arguments(**given: Any) -> None:
    """Raise SearchkitError where one of these was given with ``evaluate=``."""
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise SearchkitError(
            f"{' and '.join(named)} set how networks are trained, but evaluate= was given, which does all of that: "
            "leave one of them out"
        )


def chosen_by(strategy: Strategy | None) -> str:
    """The strategy that a strategy such as "auto" has chosen, with the reason; else an empty string."""
    why = getattr(strategy, "why", "")
    return f"{getattr(strategy, 'choice', '')}: {why}" if why else ""


def planned_baselines(budget: Budget) -> float:
    """Seconds for simple models at the end of a search whose time is planned."""
    return min(BASELINES, BASELINES_SHARE * (budget.seconds or budget.more_seconds or 0.0))


def identity_of(proxy: Any) -> Any:
    """Identity of a proxy: its name, and the fingerprint of an object's settings or of the study it learned from."""
    if isinstance(proxy, str):
        return proxy
    return [name_of(proxy), proxy.learned_from if isinstance(proxy, Earlier | Compared) else fingerprint(proxy)]


def identified(targets: Mapping[str, Target]) -> dict[str, dict[str, object]]:
    """What identifies the targets of a study, JSON values: how they are asked, and what their predictions are from."""
    found = {name: dict(target.described) for name, target in targets.items()}
    for name, target in targets.items():
        if target.first is not None:
            known = {device: fingerprint(_told_by(one)) for device, one in target.known.items()}
            found[name] |= {"first": target.first, "known": known, "families": dict(target.families)}
    return found


def _told_by(known: Any) -> object:
    """What is known of a device, as a fingerprint takes it: of a Result its name, of a table of latencies its model."""
    if isinstance(known, tuple | list):
        return [_told_by(one) for one in known]
    if hasattr(known, "to_csv"):
        return known.to_csv()
    return getattr(known, "name", known) if hasattr(known, "trials") else getattr(known, "model", known)


def call_of(
    task: Task,
    proxies: Sequence[object],
    off: bool,
    screen: int,
    verify: int,
    start: Codes,
    targets: Mapping[str, Target],
    **settings: object,
) -> dict[str, Any]:
    """Those arguments of a call that ``searchkit resume`` passes again; JSON values.

    Args:
        proxies: names, also with settings, and objects; objects are left out. ``off``: none were wanted.
        settings: arguments that are recorded as they are.
    """
    call: dict[str, Any] = dict(settings)
    if off or proxies:
        call |= {"proxies": [name_of(proxy) for proxy in proxies if isinstance(proxy, str | Configured)]}
    if told := {proxy.name: dict(proxy.settings) for proxy in proxies if isinstance(proxy, Configured)}:
        call |= {"proxy_settings": told}
    if proxies or (screen != SCREEN and not off):
        call |= {"screen": screen}
    if "weights_file" in task.context:
        call |= {"weights": task.context["weights_file"]}
    if "recipe" in task.identity:
        call |= {"recipe": task.identity["recipe"]}
    if isinstance(task.identity.get("evaluation"), Mapping):  # settings; weights that were given are not on record
        call |= {"evaluation": task.identity["evaluation"]}
    if verify:
        call |= {"verify": verify}
    if task.identity.get("early_stopping") is not None:
        call |= {"early_stopping": task.identity["early_stopping"]}
    if task.ladder is not None:
        call |= {"ladder": [rung.written for rung in task.ladder.rungs]}
    if len(start):
        call |= {"start": start.tolist()}
    if targets:
        call |= {"targets": {name: target.given for name, target in targets.items()}}
    return call
