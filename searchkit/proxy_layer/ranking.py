"""A table of the scores that proxies give some candidates, without a search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SearchkitError, plural
from searchkit.problem.numbers import seed_of
from searchkit.proxy_layer.aggregation import Reference, log_rank, trusts
from searchkit.proxy_layer.setup import read_proxies
from searchkit.proxy_layer.votes import votes_of
from searchkit.scoring.pool import read_workers
from searchkit.scoring.scorer import Scorer
from searchkit.search.space_setup import space_and_data
from searchkit.search.start_weights import read_weights, say_taken, shares_taken
from searchkit.sharing.parts import proxy_of_part
from searchkit.space import NetworkSpace, Space, distinct_rows, keys
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.scoring.protocols import NetworkProxy, Proxy
    from searchkit.scoring.registry import Configured

FEWEST = 5  # candidates that are ranked against each other
RANKED = ("rho", "low", "high", "top", "ndcg")  # of the table that says how well signals rank known values


def score(
    space: str | Space | None = None,
    candidates: int | Mapping[str, object] | Iterable[Mapping[str, object]] = 10,
    *,
    proxies: str | Proxy | NetworkProxy | Sequence[str | Proxy | NetworkProxy | Configured] | None = "default",
    data: object = None,
    device: str = "auto",
    seed: int = 0,
    split_seed: int = 0,
    workers: int | None = None,
    values: Sequence[float] | None = None,
    weights: object = None,
) -> pd.DataFrame:
    """Score candidates with proxies; nothing is trained and nothing recorded.

    Args:
        space: a name, a :class:`Space` or a :class:`NetworkSpace`; as for :func:`searchkit.run`.
        candidates: how many random ones, or dictionaries of choices.
        proxies: names or objects; see :func:`searchkit.run`.
        data: whose images the proxies look at; scikit-learn's digits for networks where not given.
        device: where networks are scored.
        seed: of random candidates, weights and noise.
        split_seed: of the split of the data.
        workers: processes that score networks at the same time, with the same scores; here where not given. They take
            seconds to start, and are used only where there is more to score than that.
        values: of the given candidates, one each, such as accuracies; higher is better.
        weights: that networks are scored with in place of random ones, as for :func:`searchkit.run`.

    Returns:
        One row per distinct candidate: a column per signal (higher is better), ``judgement``, the aggregate of
        their ranks among these candidates (NaN with fewer than five), and the choices. The best come first.
        With ``values``, these are a column, and ``attrs["trust"]`` of the table is a table of how well each signal and
        the judgement rank them: ``rho``, Spearman's, with its 95 % interval ``low`` and ``high``; ``top``, the same
        with the best counting most; ``ndcg`` of the tenth that it says is best, from 0 to 1.

    Raises:
        SearchkitError: one of its kinds, where something given cannot be used.
    """
    import pandas as pd

    read_workers(workers)
    seed, split_seed = seed_of("seed", seed), seed_of("split_seed", split_seed)
    if isinstance(space, Space) and not isinstance(space, NetworkSpace):
        chosen, images = space, None
    else:
        chosen, loaded = space_and_data(space, data, split_seed)
        images = loaded.without_test()
    begin = read_weights(weights, chosen) if isinstance(chosen, NetworkSpace) else None
    asked = [proxy_of_part(proxy, chosen, images) for proxy in read_proxies(proxies)]
    with Scorer(chosen, asked, images, device=device, seed=seed, workers=workers, weights=begin) as scorer:
        if not scorer.names:
            raise SearchkitError("no proxies were given: name at least one")
        known = _known(candidates, values)
        given, n = _codes(scorer.space, candidates, seed)
        codes = distinct_rows(given)[:n]
        if known is not None:  # equal candidates have the mean of their values
            places = {key: i for i, key in enumerate(keys(codes))}
            of_each = np.array([places[key] for key in keys(given)])
            known = np.bincount(of_each, known) / np.bincount(of_each)
        scores = scorer(codes)
    if begin is not None and isinstance(scorer.space, NetworkSpace):
        say_taken(shares_taken(scorer.space, begin, codes))
    quantiles = Reference(scores).quantiles(scores)
    enough = len(codes) >= FEWEST
    judged = np.full(len(codes), np.nan)
    if enough:
        judged = log_rank(quantiles, votes_of(scorer.names, quantiles, scorer.space, scores).free)
    columns: dict[str, Any] = {name: scores[:, j] for j, name in enumerate(scorer.names)} | {"judgement": judged}
    if known is not None:
        columns = {"value": known} | columns
    rows = scorer.space.decode(codes)
    for name in scorer.space.names:
        columns[name if name not in columns else f"{name} (choice)"] = [row[name] for row in rows]
    by = "judgement" if enough else scorer.names[0]
    table = pd.DataFrame(columns).sort_values(by, ascending=False, kind="stable", ignore_index=True)
    if known is not None:
        table.attrs["trust"] = _trust(scorer.names, quantiles, judged, known)
    return table


def _trust(names: Sequence[str], quantiles: Floats, judged: Floats, known: Floats) -> pd.DataFrame:
    """How well each signal, and what they say together, rank known values."""
    import pandas as pd

    columns = [*names, *([] if np.isnan(judged).any() else ["judgement"])]
    ranked = np.column_stack([quantiles, judged])[:, : len(columns)]
    found = trusts(ranked, known, np.ones(len(columns)))
    rows = [{"proxy": name} | {key: getattr(t, key) for key in RANKED} for name, t in zip(columns, found, strict=True)]
    return pd.DataFrame(rows, columns=["proxy", *RANKED])


def _known(candidates: object, values: object) -> Floats | None:
    """The given values, one for each given candidate."""
    if values is None:
        return None
    if isinstance(candidates, int | np.integer | Mapping) or not isinstance(candidates, Sequence | np.ndarray):
        raise SearchkitError("values are of candidates that are given: a list of as many dictionaries of choices")
    try:
        known = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise SearchkitError(f"values are numbers, one for each candidate, not {values!r}") from None
    if known.shape != (len(candidates),) or not np.isfinite(known).all():
        raise SearchkitError(f"values are finite numbers, one for each of {plural(len(candidates), 'candidate')}")
    return known


def _codes(space: Space, candidates: Any, seed: int) -> tuple[Codes, int]:
    """Rows of codes, and of how many of the distinct ones the table is."""
    if isinstance(candidates, int | np.integer) and not isinstance(candidates, bool):
        if candidates < 1:
            raise SearchkitError(f"candidates must be at least 1, not {candidates}")
        return space.sample(4 * int(candidates), np.random.default_rng(seed)), int(candidates)
    codes = space.encode(candidates)
    return codes, len(codes)
