"""Importances of parameters: against functions whose shares are known, in the report, and in Optuna's own plots."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

import searchkit
from searchkit import Choice, Float, Int, Space
from searchkit.integrations.optuna import Importances, write_study

SPACE = Space(
    [
        Float("strong", 0, 1),
        Float("weak", 0, 1),
        Int("idle", 1, 10**6, log=True),
        Choice("kind", ("x", "y", "z")),
        Float("inner", 1e-3, 1, log=True, when=("kind", "x")),
    ]
)


def _evaluate(row):
    bonus = {"x": row.get("inner", 0.0), "y": 0.5, "z": 0.0}[row["kind"]]
    return {"loss": 3 * (row["strong"] - 0.3) ** 2 + 0.3 * row["weak"] + bonus, "other": row["weak"]}


def _result(strategy="random", budget=60, **more):
    goals = {"loss": "min", "other": "max"}
    return searchkit.run(
        strategy, evaluate=_evaluate, space=SPACE, objectives=goals, budget=budget, seed=0, storage="memory", **more
    )


@pytest.mark.slow
def test_shares_are_those_of_the_function_and_the_most_important_goes_first():
    frame = _result(budget=150).importances()
    assert list(frame.columns) == ["loss", "other"]
    assert frame.index[0] == "strong"
    assert np.allclose(frame.sum(), 1)
    assert frame.loss["strong"] == pytest.approx(0.62, abs=0.15)  # by 40,000 evaluations of the function
    assert frame.loss["idle"] < 0.05
    assert frame.other["weak"] > 0.9


def test_they_need_some_candidates():
    with pytest.raises(searchkit.SearchkitError, match="learned from at least 8 scored candidates.*has 4 scored"):
        _result(budget=4).importances()


def test_an_objective_that_never_differs_has_no_important_parameter():
    result = searchkit.run(
        "random", evaluate=lambda row: {"loss": 1.0}, space=SPACE, objectives={"loss": "min"}, budget=12, seed=0,
        storage="memory",
    )  # fmt: skip
    assert (result.importances() == 0).all(axis=None)


def test_the_report_shows_them(tmp_path):
    page = _result(budget=20).report(tmp_path / "page.html").read_text()
    assert "Which parameters matter" in page
    assert page.index("<b>strong</b>") < page.index("<b>idle</b>")


@pytest.mark.slow
def test_optunas_own_importances_slices_and_contours_take_a_written_study():
    result = _result(budget=40)
    study = write_study(result)
    for evaluator in (optuna.importance.FanovaImportanceEvaluator(n_trees=8, seed=0), Importances()):
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, target=lambda t: t.values[0])
        assert set(found) <= set(SPACE.names)
        assert max(found, key=found.get) == "strong"
    assert list(found) == list(result.importances().index)
    pytest.importorskip("plotly")
    import optuna.visualization as plots

    for plot in (plots.plot_slice, plots.plot_contour):
        figure = plot(study, params=["strong", "weak", "inner"], target=lambda t: t.values[0], target_name="loss")
        assert len(figure.data) > 1
