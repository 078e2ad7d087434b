"""Which settings of a recipe shared weights take."""

from __future__ import annotations

from typing import Any

import pytest

import searchkit
from searchkit import Choice, NetworkSpace, Node, SharedWeights
from searchkit.errors import ProxyError, SearchFailedError, SearchkitError, SpaceError
from searchkit.spaces.macro import macro

SMALL = macro(width=2, layers=(1,), input_shape=(1, 8, 8))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"recipe": {"batch_size": 16}}, "batch_size of the recipe of shared weights is their argument batch="),
        ({"recipe": {"steps": 100}}, "steps of the recipe of shared weights is their argument epochs="),
        ({"recipe": {"epochs": 3}}, "epochs of the recipe of shared weights is their argument epochs="),
        ({"recipe": {"mixup": 0.2}}, "shared weights are trained without mixup"),
        ({"recipe": {"lr": 3.0}, "lr": 0.01}, "lr is 0.01, and 3.0 in recipe: leave one of them out"),
        ({"batch": 0}, "batch is a number above 0, not 0"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        SharedWeights(SMALL, "digits", **given)


def test_a_failed_training_of_the_weights_is_told_as_it_is_where_workers_would_get_them() -> None:
    def build(choices: dict[str, Any], input_shape: Any, n_classes: int) -> Any:
        raise TypeError("boom")

    space = NetworkSpace([Choice("w", (4, 8))], build, input_shape=(1, 8, 8), n_classes=10)
    with pytest.raises(SearchkitError, match="^none of 2 networks .*can be built; the first: TypeError: boom"):
        searchkit.run(
            space=space, data="digits", objectives=("accuracy", "macs"), evaluation={"epochs": 1}, budget=2,
            executor=1, baselines=False, storage="memory",
        )  # fmt: skip


@pytest.mark.slow
def test_a_candidate_without_a_score_is_a_sentence_and_no_traceback() -> None:
    with pytest.raises(SearchFailedError) as failed:
        searchkit.run(
            space=macro(width=2, input_shape=(1, 8, 8)), data=searchkit.load_data("digits", limit=100),
            evaluation={"epochs": 0.1}, budget=3, storage="memory", baselines=False, strategy="random",
        )  # fmt: skip
    assert "in no step" in str(failed.value)
    assert "Traceback" not in str(failed.value)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (Node("a", "width", (1,), (1,)), "the choices of node 'a' are a tuple of names, not 'width'"),
        (Node("a", ("width",), (1,), (1,), optional=("depth", 3)), "node 'a' is of choices .* not 'depth'"),
    ],
)
def test_a_node_says_its_choices_by_names(node: Node, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        NetworkSpace([Choice("width", (2, 4))], lambda *given: None, nodes=[node])  # type: ignore[arg-type]
