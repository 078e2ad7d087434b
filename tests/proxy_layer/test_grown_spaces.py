"""A study teaches the next one also where options were added or left out since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Float, Int, Space
from searchkit.errors import SearchkitError
from searchkit.problem.ranks import rank_correlation
from searchkit.proxy_layer.transfer import Earlier

WIDTHS, KINDS = (8, 16, 32, 64), ("conv", "pool", "skip")


def grown(widths: tuple[int, ...] = WIDTHS, kinds: tuple[str, ...] = KINDS, high: float = 1.0) -> list[Any]:
    return [
        Choice("width", widths, ordered=True),
        Choice("kind", kinds),
        Float("rate", 0.0, high),
        Int("depth", 1, 4, when=("kind", "conv")),
    ]


def loss(choices: dict[str, Any]) -> dict[str, float]:
    return {"loss": choices["rate"] - np.log2(choices["width"]) / 2 + choices.get("depth", 0) / 4}


def studied(space: Space, **given: Any) -> searchkit.Result:
    fixed = {"evaluate": loss, "objectives": {"loss": "min"}, "storage": "memory", "name": "before"} | given
    return searchkit.run("random", space=space, **({"budget": 30} | fixed))


@pytest.fixture(scope="module")
def before() -> searchkit.Result:
    return studied(Space(grown()))


@pytest.mark.parametrize(
    "space",
    [
        Space(grown(widths=(4, *WIDTHS, 128))),
        Space(grown(kinds=("sep", *KINDS))),
        Space(grown(widths=WIDTHS[1:], kinds=KINDS[:2])),
        Space(grown(high=3.0)),
        Space(grown()[:2] + grown()[:1:-1]),
        Space([*grown(kinds=(*KINDS, "sep")), Int("groups", 1, 8, when=("kind", "sep"))]),
    ],
    ids=["wider", "another kind", "narrower", "a longer range", "another order", "a parameter of the new kind"],
)
def test_candidates_of_both_spaces_count(space: Space, before: searchkit.Result) -> None:
    proxy = Earlier(before, space, before.goals)
    codes = space.sample(200, np.random.default_rng(1))
    codes = codes[[row.get("rate", 0) <= 1 and row["width"] in WIDTHS for row in space.decode(codes)]]
    gains = np.array([-loss(row)["loss"] for row in space.decode(codes)])
    assert proxy.name == "earlier:before"
    assert rank_correlation(proxy.score(codes), gains) > 0.7


def test_an_option_is_added_to_a_study_and_the_search_goes_on(tmp_path: Path) -> None:
    given = {"evaluate": loss, "objectives": {"loss": "min"}, "storage": tmp_path}
    old = searchkit.run("bo", space=Space(grown()), budget=8, name="old", **given)
    wider = Space(grown(widths=(*WIDTHS, 128)))

    new = searchkit.run("bo", space=wider, start=old, earlier=old, budget=14, name="new", **given)
    again = searchkit.run("bo", space=wider, start=old, earlier=old, budget=16, name="new", **given)

    assert list(new.signals.proxy) == ["earlier:old"]
    assert len(again.trials) == 16
    assert again.front.width.max() == 128


def test_the_space_that_is_left_learns_from_the_whole() -> None:
    whole = Space(grown()[:2])
    study = studied(whole, evaluate=lambda row: {"loss": float(row["width"])}, budget=10)
    part = whole.narrowed({"width": [16, 32]})
    proxy = Earlier(study, part, study.goals)
    assert proxy.name == "earlier:before"
    scores = proxy.score(part.encode([{"width": 16, "kind": "conv"}, {"width": 32, "kind": "conv"}]))
    assert scores[0] > scores[1]


def test_too_few_in_common_is_refused_with_their_number(before: searchkit.Result) -> None:
    few = Space(grown(widths=(64, 99), high=0.5))
    with pytest.raises(SearchkitError, match=r"'width' differs, only \d of its scored candidates (is|are) of this sp"):
        Earlier(before, few, before.goals)
