"""Between which ends metrics of searchkit and of scikit-learn lie.

So a bound that nothing can meet is refused before any work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from searchkit.costs.metrics import BUILT_IN, Metric, elsewhere
from searchkit.costs.scikit_scores import ends_of_scorer
from searchkit.costs.task_scores import OF_SKLEARN, in_float
from searchkit.errors import ConstraintError
from searchkit.problem.objectives import Bound

SHARES = ("accuracy", "balanced_accuracy", "f1_macro", "subset_accuracy", "miou", "pixel_accuracy")
REACH = dict.fromkeys(BUILT_IN, (0.0, math.inf)) | dict.fromkeys(SHARES, (0.0, 1.0))
REACH |= {"r2": (-math.inf, 1.0), "ssim": (-1.0, 1.0)}


def check_reach(bounds: Sequence[Bound], metrics: Mapping[str, Metric], own_training: bool) -> None:
    """Refuse a bound that no value of its metric can meet, such as an accuracy of 95, which is meant in percent.

    Args:
        metrics: by name; those that a function of the user's computes may have any value.
        own_training: whether a function of the user's trains, which may give scores of other units.

    Raises:
        ConstraintError: says the metric's ends, and the bound that may be meant.
    """
    for bound in bounds:
        metric = metrics[bound.name]
        low, high = _ends(metric)
        if (own_training and metric.stage == "trained") or (bound.low <= high and bound.high >= low):
            continue
        asked = bound.low if bound.low > high else bound.high
        ends = f"{'at least' if math.isinf(high) else 'from'} {low:g}{'' if math.isinf(high) else f' to {high:g}'}"
        ends = f"at most {high:g}" if math.isinf(low) else ends
        raise ConstraintError(f"no network can meet {bound}: {bound.name} is {ends}.{_hint(asked, high)}")


def _ends(metric: Metric) -> tuple[float, float]:
    """The least and the most that a metric can be; infinite for one that is not of searchkit or scikit-learn."""
    name = in_float(metric.name)
    if metric.function is not None or elsewhere(metric):
        return -math.inf, math.inf
    if name in REACH:
        return REACH[name]
    return ends_of_scorer(name) if metric.unit == OF_SKLEARN else (-math.inf, math.inf)


def _hint(asked: float, high: float) -> str:
    """What may be meant by an end that cannot be met: a share in percent, or an error without its sign."""
    if high == 1.0 and 2 <= asked <= 100:
        return f" Did you mean {asked / 100:g}?"
    return f" Did you mean {-asked:g}?" if high == 0.0 else ""
