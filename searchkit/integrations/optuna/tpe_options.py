"""Arguments of Optuna's TPESampler that SearchkitSampler is given: what they come to, or what to give instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searchkit.errors import SearchkitError, UnknownNameError

# values that say what the sampler does anyway, and the sentence for others
_DOES: Mapping[str, tuple[Sequence[Any], str]] = {
    "multivariate": ((True, None), "all parameters of a study are searched together"),
    "group": ((True, False), "parameters under a condition are searched where an earlier parameter decides them"),
    "constant_liar": ((True,), "the strategy knows which trials are running, so that workers do not repeat them"),
    "warn_independent_sampling": (
        (False, None),
        "parameters that no earlier one decides, or whose distribution keeps changing, are drawn at random without a "
        "warning",
    ),
}
_OF_TPE = (
    "n_ei_candidates", "gamma", "weights", "prior_weight", "consider_prior", "consider_magic_clip",
    "consider_endpoints", "categorical_distance_func",
)  # fmt: skip


def check_further(further: Mapping[str, Any], own: Sequence[str]) -> None:
    """Refuse arguments that SearchkitSampler does not have, but for values that say what it does anyway.

    Args:
        further: what was given beside its own arguments.
        own: names of these.

    Raises:
        SearchkitError: an argument of TPESampler; the message says what to use.
        UnknownNameError: any other.
    """
    for name, value in further.items():
        if name in _DOES:
            taken, sentence = _DOES[name]
            if not any(value is one for one in taken):
                raise SearchkitError(
                    f"SearchkitSampler has no {name}={value!r}: {sentence}. For Optuna's way of it, give its sampler "
                    f"as the strategy, SearchkitSampler(optuna.samplers.TPESampler({name}={value!r})), or alone"
                )
        elif name in _OF_TPE:
            raise SearchkitError(
                f"SearchkitSampler has no {name}, which is a setting of Optuna's TPE: give that sampler as the "
                f"strategy, SearchkitSampler(optuna.samplers.TPESampler({name}=...)), or alone"
            )
        else:
            raise UnknownNameError.of("argument of SearchkitSampler", name, [*own, *_DOES])
