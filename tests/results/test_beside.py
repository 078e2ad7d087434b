"""The front beside simple models: what is compared, what is said, and where it is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Result
from searchkit.data.loading import load_data
from searchkit.results.baselines import Source, best_network, best_simple, shortfall

X = np.random.default_rng(0).normal(size=(100, 4))


@pytest.fixture(scope="module")
def found() -> Result:
    """A search for accuracy; tests give it scores of simple models."""
    return search("accuracy")


def search(score: str) -> Result:
    y = 10 * X[:, 0] if score in ("r2", "rmse") else X[:, 0] > 0
    return searchkit.run(
        "random", data=(X, y), objectives=(score, "params"), budget=2, epochs=1, storage="memory", name="s"
    )


def simple(name: str, score: str, validation: float, **test: float) -> dict[str, Any]:
    return {
        "model": name,
        "validation": {score: validation},
        "test": test,
        "seconds": 1.5,
        "rows": 60,
        "reason": "",
    }


@pytest.mark.slow
def test_the_best_of_the_front_is_compared_with_the_best_simple_model(found: Result) -> None:
    network = best_network(found)
    assert network is not None
    assert network.validation == found.front.accuracy[0] == found.front.accuracy.max()
    assert network.test == found.front.test_accuracy[0]
    found.simple = [
        simple("majority class", "accuracy", 0.0, accuracy=1.0),
        simple("MLP", "accuracy", 0.2, accuracy=0.1),
        {"model": "random forest", "validation": {}, "test": {}, "seconds": 0.0, "rows": 0, "reason": "failed"},
    ]
    best = best_simple(found)
    assert best is not None
    assert (best.name, best.validation, best.test) == ("MLP", 0.2, 0.1)


@pytest.mark.parametrize(
    ("validation", "test", "where"),
    [
        (-0.01, -0.01, None),
        (0.0, -0.01, " on the validation part"),
        (0.01, -0.01, " on the validation part"),
        (-0.01, 0.0, " on the test part"),
        (0.01, 0.01, ""),
        (-0.01, None, None),
        (0.0, None, ""),
    ],
)
def test_one_sentence_says_where_the_front_is_not_above(
    found: Result, validation: float, test: float | None, where: str | None
) -> None:
    network = best_network(found)
    assert network is not None
    assert network.test is not None
    of_test = {} if test is None else {"accuracy": network.test + test}
    found.simple = [simple("MLP", "accuracy", network.validation + validation, **of_test)]
    said = shortfall(found)
    if where is None:
        assert said == ""
        return
    assert said.startswith(f"the best of the front of 's' is no better{where} than a simple model (MLP, fitted in 1.5")
    assert f"accuracy {network.validation:.4g} against {network.validation + validation:.4g} on the validation" in said
    assert ("on the test part" in said) == (test is not None)
    assert "more than 2 evaluations" in said
    assert "more epochs than 1" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("score", "better", "worse"), [("log_loss", 1e-6, 99.0), ("rmse", 1e-6, 1e9), ("r2", 1.1, -9.0)]
)
def test_the_direction_is_that_of_the_score(score: str, better: float, worse: float) -> None:
    result = search(score)
    result.simple = [simple("good", score, better), simple("bad", score, worse)]
    best = best_simple(result)
    assert best is not None
    assert best.name == "good"
    assert f"{score} " in shortfall(result)
    result.simple = result.simple[1:]
    assert shortfall(result) == ""


@pytest.mark.parametrize("split_seed", [0, 3])
def test_the_data_are_read_again_in_the_same_parts(split_seed: int, caplog: pytest.LogCaptureFixture) -> None:
    y = X[:, 0] > 0
    loaded = load_data((X, y), seed=split_seed)
    again = Source((X, y), loaded, split_seed).data()
    assert again is not None
    for part, same in ((loaded.train, again.train), (loaded.val, again.val), (loaded.test, again.test)):
        assert part is not None
        assert same is not None
        assert part.x.tolist() == same.x.tolist()
    assert Source((X, y), loaded, split_seed + 1).data() is None
    assert "the data have changed since the search" in caplog.text


def test_a_search_keeps_how_its_data_were_split() -> None:
    result = searchkit.run(
        "random",
        data=(X, X[:, 0] > 0),
        objectives=("accuracy", "params"),
        budget=1,
        epochs=1,
        storage="memory",
        split_seed=3,
    )
    assert result.source is not None
    assert result.source.data() is not None


def test_without_a_network_or_a_simple_model_there_is_nothing_to_say(found: Result) -> None:
    found.simple = []
    assert shortfall(found) == ""
    untrained = searchkit.run("random", objectives=("params", "macs"), budget=1, storage="memory")
    untrained.simple = [simple("MLP", "accuracy", 1.0)]
    assert best_network(untrained) is None
    assert shortfall(untrained) == ""


def test_the_report_has_them_where_they_are_known_and_fits_none(found: Result, tmp_path: Path) -> None:
    found.simple = []
    text = found.report(tmp_path / "without.html").read_text()
    assert "Beside simple models" not in text
    assert found.simple == []
    network = best_network(found)
    assert network is not None
    found.simple = [
        simple("MLP", "accuracy", 1.5, accuracy=1.25),
        simple("a <b>", "accuracy", 0.125) | {"reason": "a <script>"},
    ]
    text = found.report(tmp_path / "with.html").read_text()
    section = text[text.index('<section id="beside">') :]
    section = section[: section.index("</section>")]
    for value in (network.validation, network.test, 1.5, 1.25, 0.125):
        assert f'data-value="{value!r}"' in section
    assert "The best of the front of &#x27;s&#x27; is no better than a simple model" in section
    assert "a &lt;b&gt;" in section
    assert "<script>" not in section
    found.simple = [simple("MLP", "accuracy", -1.0)]
    assert "is above the best of them" in found.report(tmp_path / "above.html").read_text()
    found.simple += [simple("forest", "accuracy", 0.0) | {"validation": {}, "test": {}, "reason": "no time was left"}]
    text = found.report(tmp_path / "unknown.html").read_text()
    assert "is above those that have scores. That says little: forest has none." in text
    assert "above the best of them" not in text


def test_the_notebook_table_has_none_of_them(found: Result) -> None:
    found.simple = [simple("MLP", "accuracy", 1.5)]
    assert not re.search("MLP|simple", re.sub(r"base64,[^\"]*", "", found._repr_html_()))
