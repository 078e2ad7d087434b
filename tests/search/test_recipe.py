"""The user's recipe: fixed settings hold in every training, and those of which there are options are searched."""

from __future__ import annotations

import json
import logging
from dataclasses import fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from helpers.marks import slow_if

import searchkit
from searchkit import Choice, NetworkSpace, Recipe, SearchkitError, Training, plugins
from searchkit.cli.commands import main
from searchkit.data.loading import load_data
from searchkit.errors import StudyMismatchError
from searchkit.search.estimate import Estimate
from searchkit.search.plan import Plan
from searchkit.space.recipe_space import RecipeSpace
from searchkit.training.own_recipe import OwnRecipe, read_recipe
from searchkit.training.recipe import LEAST_STEPS, RecipeError, rate_of, recipe_for, recipe_of_passes
from tests.helpers.recipes import recipes_made

TINY = searchkit.load_space("nas-bench-201", width=[4], cells=1)
DATA = load_data("digits", limit=120)
OPTIONS = {
    "epochs": [1, 2], "steps": [2, 3], "batch_size": [8, 16], "lr": [0.02, 0.05], "loss": ["cross-entropy", "focal"],
}  # fmt: skip


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes of the trainings that were made in this process, in their order."""
    return recipes_made(monkeypatch)


# distillation needs a space that was made of a trained network: tests/compression
ANY_SPACE = [field.name for field in fields(Recipe) if field.name != "distillation"]


def options_of(name: str) -> list[Any]:
    """Two or more values of a setting, from its type where nothing is said above."""
    if name in OPTIONS:
        return OPTIONS[name]
    kind = get_type_hints(Recipe)[name]
    while isinstance(kind, UnionType) or (get_origin(kind) not in (None, Literal)):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    usual = getattr(Recipe(), name)
    other = kind(usual / 2) if usual else {int: 1, float: 0.5}.get(kind)
    return [False, True] if kind is bool else [usual, other]


def search(folder: Path | str = "memory", strategy: Any = "random", **given: Any) -> searchkit.Result:
    call: dict[str, Any] = {"space": TINY, "data": DATA, "budget": 1, "storage": folder, "progress": False}
    return searchkit.run(strategy, **(call | given))


def short(name: str) -> dict[str, Any]:
    return {} if name in ("epochs", "steps") else {"steps": 2}


@pytest.mark.parametrize("name", ANY_SPACE)
def test_a_value_of_any_setting_holds_in_a_training(name: str, made: list[Recipe]) -> None:
    for value in options_of(name):
        result = search(recipe={name: value, **short(name)})
        assert len(result.front) == 1, result.history.reason.tolist()
        own = recipe_for(DATA.kind, len(DATA.train), value if name == "epochs" else None, DATA.augment)
        changed: dict[str, Any] = {name: value, **short(name)}
        if name == "batch_size":
            changed["lr"] = rate_of(value)
        assert made[-1] == replace(own, **changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_if(lambda name: name not in ("epochs", "augment", "loss"), ANY_SPACE))
def test_options_of_any_setting_are_a_choice_of_the_search(name: str, made: list[Recipe], tmp_path: Path) -> None:
    options = options_of(name)
    result = search(tmp_path, budget=8, recipe={name: options, **short(name)})
    assert (result.history.state == "scored").all(), result.history.reason.tolist()
    assert [getattr(recipe, name) for recipe in made] == result.history[name].tolist()
    assert len(set(map(str, result.history[name]))) > 1
    loaded = searchkit.load(result.name, tmp_path)
    assert loaded.history[name].tolist() == result.history[name].tolist()
    assert loaded.space.describe() == result.space.describe()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", plugins.names("strategy"))
def test_every_strategy_searches_networks_and_settings(strategy: str, made: list[Recipe]) -> None:
    macro = searchkit.load_space("macro", width=4, layers=(1, 1))
    result = search(
        strategy=strategy, space=macro, budget=12, recipe={"lr": (0.02, 0.1), "optimiser": ["sgd", "adamw"], "steps": 1}
    )
    taken = [(recipe.lr, recipe.optimiser) for recipe in made]
    assert taken == list(zip(result.history.lr, result.history.optimiser, strict=True))
    assert len(set(taken)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("executor", [pytest.param(2, marks=pytest.mark.thorough), "interleaved"])
def test_other_executors_train_with_the_same_settings(executor: Any) -> None:
    recipe = {"lr": [0.02, 0.1], "steps": 2}
    here = search(budget=4, batch=2, recipe=recipe)
    there = search(budget=4, batch=2, recipe=recipe, executor=executor)
    columns = ["lr", "accuracy", "trial"]
    assert here.history[columns].equals(there.history.sort_values("trial")[columns])


@pytest.mark.slow
def test_proxies_and_other_costs_go_on_working(tmp_path: Path) -> None:
    result = search(
        tmp_path,
        space=searchkit.load_space("macro", width=4, layers=(1, 1)),
        budget=6,
        proxies=("synflow", "mathnas"),
        screen=2,
        recipe={"lr": [0.02, 0.1], "steps": 2},
        objectives=("accuracy", "macs"),
        constraints={"params": 1e6},
    )
    assert (result.history.state == "scored").all()
    assert set(result.signals.proxy) >= {"synflow"}


def test_tables_and_regressions_are_trained_with_it(made: list[Recipe]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    result = search(space=None, data=(x, x[:, 0]), objectives=("r2", "params"), recipe={"lr": [0.1, 0.2], "steps": 2})
    assert made[0].lr == result.history.lr[0]
    assert made[0].optimiser == "adamw"


def test_a_ladder_trains_with_it(made: list[Recipe]) -> None:
    result = search(budget=4, batch=4, ladder=({"epochs": 1, "width": 0.5},), recipe={"lr": [0.02, 0.1], "epochs": 2})
    assert {recipe.epochs for recipe in made} == {1, 2}
    assert [recipe.lr for recipe in made if recipe.epochs == 1] == result.history.lr.tolist()


def test_verify_trains_with_fixed_settings(made: list[Recipe]) -> None:
    result = search(budget=3, objectives=("naswot", "params"), verify=1, recipe={"lr": 0.03, "steps": 2})
    assert [(recipe.lr, recipe.steps) for recipe in made] == [(0.03, 2)]
    assert len(result.verified) == 1


# --- what it is over --------------------------------------------------------------------------------------------------


def test_batches_and_rates_follow_each_other() -> None:
    base = recipe_of_passes(DATA, 1000, 20.0)
    assert OwnRecipe((("lr", 0.3),)).applied(base, "images", 1000) == replace(base, lr=0.3)
    larger = OwnRecipe((("batch_size", 64),)).applied(base, "images", 1000)
    assert (larger.batch_size, larger.lr) == (64, rate_of(64))
    assert larger.steps is not None
    assert base.steps is not None
    assert abs(larger.steps * 64 - base.steps * base.batch_size) <= 64
    assert OwnRecipe((("batch_size", 64),)).applied(larger, "images", 1000) == larger
    assert OwnRecipe((("batch_size", 64),)).applied(base, "table", 1000).lr == base.lr
    huge = OwnRecipe((("batch_size", 1000),)).applied(base, "images", 1000)
    assert huge.steps == LEAST_STEPS
    fixed = OwnRecipe((("steps", 7), ("batch_size", 500)))
    assert fixed.applied(base, "images", 1000).steps == 7
    assert fixed.applied(base, "images", 1000, length=False).steps == LEAST_STEPS


@pytest.mark.parametrize(("before", "after", "steps"), [(32, 64, 80), (32, 500, 80), (500, 20, 200), (32, 40, 80)])
def test_batches_are_no_larger_than_the_data(before: int, after: int, steps: int) -> None:
    """100 steps over 40 examples: as many passes with batches of another size."""
    base = Recipe(steps=100, batch_size=before)
    recipe = OwnRecipe((("batch_size", after),)).applied(base, "images", 40)
    assert recipe.steps == steps
    assert recipe.batch_size == min(after, 40)
    assert recipe.lr == rate_of(min(after, 40))


def test_a_whole_recipe_sets_everything(made: list[Recipe]) -> None:
    whole = Recipe(epochs=2, batch_size=16, lr=0.07, momentum=0.5)
    search(recipe=whole)
    assert made == [whole]
    stepped = replace(whole, steps=3)
    search(training=Training(recipe=stepped))
    assert made[-1].steps == 3
    assert replace(made[-1], epochs=2) == stepped


def test_epochs_in_a_recipe_are_the_argument(tmp_path: Path) -> None:
    search(tmp_path, epochs=2)
    again = search(tmp_path, recipe={"epochs": 2})
    assert len(again.history) == 1
    assert len(list(tmp_path.glob("*.journal"))) == 1


@pytest.mark.slow
def test_a_planned_search_and_its_final_trainings_keep_to_it(made: list[Recipe]) -> None:
    result = search(budget={"seconds": 9}, recipe={"lr": [0.02, 0.1], "batch_size": 16, "label_smoothing": 0.0})
    assert result.finals
    assert all(recipe.batch_size == 16 and recipe.label_smoothing == 0.0 for recipe in made)
    trained = result.history[result.history.state == "scored"]  # the last may have come too late to begin
    assert [recipe.lr for recipe in made[: len(trained)]] == trained.lr.tolist()
    finals = made[len(trained) :]
    assert {recipe.lr for recipe in finals} <= set(result.front.lr)
    assert all(recipe.steps is not None and recipe.steps > LEAST_STEPS for recipe in finals)


@pytest.mark.thorough
def test_a_planned_study_goes_on_with_its_recipe(made: list[Recipe], tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, X=np.random.default_rng(0).integers(0, 255, (60, 8, 8)).astype(np.uint8), y=np.arange(60) % 3)
    recipe = {"lr": [0.02, 0.1], "momentum": 0.5}
    first = search(tmp_path, data=data, name="planned", budget={"seconds": 8}, recipe=recipe)
    before = len(made)
    storage = ["--storage", str(tmp_path), "--workers", "1", "--no-baselines"]
    assert main(["resume", "planned", "--seconds", "+6", *storage]) == 0
    result = searchkit.load("planned", tmp_path)
    assert len(result.history) > len(first.history)
    assert result.context["call"]["recipe"] == recipe
    assert {recipe.momentum for recipe in made} == {0.5}
    new = result.history.lr.tolist()[len(first.history) :]
    assert [one.lr for one in made[before : before + len(new)]] == new


@pytest.mark.slow
def test_a_refit_keeps_to_the_settings_of_the_network(made: list[Recipe], tmp_path: Path) -> None:
    recipe = {"lr": [0.02, 0.1], "momentum": 0.5, "steps": 2}
    result = search(tmp_path, budget=2, recipe=recipe)
    for one in (result, searchkit.load(result.name, tmp_path)):
        entry = one.refit(0, epochs=3, data=DATA)
        assert made[-1].lr == one.front.lr[0]
        assert made[-1].momentum == 0.5
        assert (made[-1].epochs, made[-1].steps) == (3, None)
        assert entry["steps"] == 3 * ((len(DATA.train) + len(DATA.val)) // made[-1].batch_size)
        one.refit(0, seconds=6, data=DATA)
        assert made[-1].lr == one.front.lr[0]
        assert (made[-1].steps or 0) > 2


# --- what is said of it -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_plan_says_what_really_holds() -> None:
    call: dict[str, Any] = {"space": TINY, "data": DATA, "budget": {"seconds": 30}}
    plan = searchkit.plan(**call, recipe={"batch_size": 16, "lr": 0.03})
    assert isinstance(plan, Plan)
    assert (plan.recipe.batch_size, plan.recipe.lr) == (16, 0.03)
    assert "steps of 16 examples" in plan.lines[1]
    assert "learning rate 0.03" in plan.lines[1]
    assert plan.lines[3] == "your recipe: batch_size 16; lr 0.03"
    assert plan.recipe.steps is not None
    assert abs(plan.recipe.steps * 16 - plan.passes * len(DATA.train)) <= 16
    assert Plan.from_record(json.loads(json.dumps(plan.described()))) == plan
    several = searchkit.plan(**call, recipe={"lr": [0.02, 0.05, 0.1], "batch_size": [16, 32]})
    assert several.lines[3] == "your recipe: batch_size 16 or 32; lr 0.02, 0.05 or 0.1"
    assert "learning rate" not in several.lines[1]
    assert "examples" not in several.lines[1]
    plain = searchkit.plan(**call, proxies=())
    assert len(plain.lines) == 3
    assert "options" not in plain.described()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"steps": 5}, "each 5 steps with batches of"),
        ({"steps": [5, 9]}, "each 5 or 9 steps with"),
        ({"epochs": 2}, "each 2 epochs with"),
        ({"epochs": [2, 3], "batch_size": [8, 16]}, "each 2 or 3 epochs with batches of 8 or 16"),
        (Recipe(epochs=4, batch_size=20), "each 4 epochs with batches of 20"),
    ],
)
def test_nothing_is_planned_with_a_length(recipe: Any, said: str) -> None:
    plan = searchkit.plan(space=TINY, data=DATA, recipe=recipe)
    assert isinstance(plan, Estimate)
    assert said in plan.lines[0]
    assert plan.candidates == 40
    assert plan.seconds > 0


@pytest.mark.slow
def test_adamw_at_the_rate_of_sgd_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "searchkit"):
        searchkit.plan(space=TINY, data=DATA, epochs=1, recipe={"optimiser": "adamw", "lr": 0.005})
    assert "adamw" not in caplog.text
    with caplog.at_level(logging.WARNING, "searchkit"):
        searchkit.plan(space=TINY, data=DATA, epochs=1, recipe={"optimiser": ["sgd", "adamw"]})
    assert "recipe= has the optimiser adamw and no lr" in caplog.text


# --- the record -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_another_recipe_is_another_study(tmp_path: Path) -> None:
    given: list[Any] = [
        None, {}, {"lr": 0.1}, {"lr": 0.2}, {"lr": [0.1, 0.2]}, {"lr": Choice("lr", (0.1, 0.2))}, {"lr": [0.2, 0.1]},
        {"lr": 0.1, "momentum": 0.5}, {"momentum": np.float64(0.5), "lr": np.float32(0.5)}, Recipe(epochs=1, lr=0.1),
    ]  # fmt: skip
    names = [
        search(tmp_path, epochs=None if isinstance(one, Recipe) else 1, objectives=("accuracy",), recipe=one).name
        for one in given
    ]
    assert names[0] == names[1]
    assert len(set(names)) == len(given) - 1
    same = search(tmp_path, epochs=1, objectives=("accuracy",), recipe={"momentum": 0.5, "lr": 0.1})
    assert same.name == names[7]
    assert len(same.history) == 1


@pytest.mark.slow
def test_a_study_continues_only_with_its_recipe(tmp_path: Path) -> None:
    call: dict[str, Any] = {"name": "one", "epochs": 1}
    search(tmp_path, recipe={"lr": 0.1}, **call)
    for other in ({"lr": 0.2}, {"lr": 0.1, "momentum": 0.5}, None):
        with pytest.raises(StudyMismatchError, match="recipe"):
            search(tmp_path, recipe=other, budget=2, **call)
    assert len(search(tmp_path, recipe={"lr": 0.1}, budget=2, **call).history) == 2


def test_a_study_continues_only_with_its_ladder(tmp_path: Path) -> None:
    call: dict[str, Any] = {"name": "one", "epochs": 2, "batch": 2}
    search(tmp_path, ladder=({"epochs": 1},), budget=2, **call)
    with pytest.raises(StudyMismatchError, match="ladder"):
        search(tmp_path, budget=4, **call)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    slow_if(
        lambda recipe: "epochs" in recipe or recipe["lr"] == 0.03,
        [{"lr": 0.03, "steps": 2}, {"lr": [0.03, 0.2, 0.1], "steps": 2, "augment": "none"}, {"epochs": [1, 2]}],
    ),
)
def test_the_command_line_resumes_it(
    recipe: dict[str, Any], made: list[Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, X=np.random.default_rng(0).integers(0, 255, (60, 8, 8)).astype(np.uint8), y=np.arange(60) % 3)
    search(tmp_path / "runs", data=data, name="mine", budget=2, recipe=recipe)
    storage = ["--storage", str(tmp_path / "runs")]
    assert main(["resume", "mine", "--budget", "5", "--workers", "1", "--no-baselines", *storage]) == 0
    result = searchkit.load("mine", tmp_path / "runs")
    assert len(made) == len(result.history) == 5
    for name, value in recipe.items():
        wanted = result.history[name].tolist() if isinstance(value, list) else [value] * 5
        assert [getattr(one, name) for one in made] == wanted
    assert main(["show", "mine", "--history", *storage]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name, value in recipe.items() if isinstance(value, list))
    report = result.report(tmp_path / "page.html").read_text()
    assert "recipe={" in report


def test_a_choice_on_no_scale_stays_one(tmp_path: Path) -> None:
    recipe = {"lr": Choice("lr", (0.1, 0.2)), "steps": 2}
    result = search(tmp_path, recipe=recipe)
    loaded = searchkit.load(result.name, tmp_path)
    assert [choice.ordered for choice in loaded.space.choices if choice.name == "lr"] == [False]
    page = loaded.report(tmp_path / "page.html").read_text()
    assert "searchkit.Choice(&quot;lr&quot;, (0.1, 0.2))" in page


@pytest.mark.slow
def test_the_network_of_a_record_is_built_and_exported_without_its_settings(tmp_path: Path) -> None:
    result = search(tmp_path, recipe={"lr": [0.02, 0.1], "steps": 2})
    loaded = searchkit.load(result.name, tmp_path)
    here, there = (one.build(0).state_dict() for one in (result, loaded))
    assert all((here[key] == there[key]).all() for key in here)
    files = loaded.export(0, tmp_path / "best")
    described = json.loads(files[-1].read_text())
    assert described["recipe"] == {"lr": result.front.lr[0]}
    assert TINY.encode(described["choices"]).tolist() == [result.trials[0].code.tolist()[:-1]]


def build_own(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> Any:
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"]), nn.Linear(choices["width"], n_classes))


def test_a_space_of_the_users_is_given_again_without_the_settings(tmp_path: Path) -> None:
    space = NetworkSpace([Choice("width", (2, 3))], build_own, name="own")
    result = search(tmp_path, space=space, recipe={"lr": [0.02, 0.1], "steps": 2})
    assert searchkit.load(result.name, tmp_path).space.names == ("width", "lr")
    loaded = searchkit.load(result.name, tmp_path, space=space)
    assert isinstance(loaded.space, RecipeSpace)
    assert loaded.build(0) is not None
    assert searchkit.load(result.name, tmp_path, space=loaded.space).build(0) is not None
    with pytest.raises(StudyMismatchError, match="choice 'width'.options"):
        searchkit.load(result.name, tmp_path, space=NetworkSpace([Choice("width", (2, 4))], build_own, name="own"))


@pytest.mark.slow
def test_the_space_of_a_result_can_be_searched_again(made: list[Recipe]) -> None:
    first = search(recipe={"lr": [0.02, 0.1], "steps": 2})
    again = search(space=first.space, recipe={"steps": 3}, budget=3, start=first)
    assert [recipe.lr for recipe in made[1:]] == again.history.lr.tolist()
    assert {recipe.steps for recipe in made[1:]} == {3}
    fixed = search(recipe={"lr": 0.3, "steps": 2}, start=first)
    assert fixed.space.names == TINY.names
    assert fixed.trials[0].code.tolist() == first.trials[0].code.tolist()[:-1]
    other = search(recipe={"lr": [0.1, 0.2], "steps": 2}, start=[{name: first.front[name][0] for name in TINY.names}])
    assert other.history.lr[0] == 0.1


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"recipe": {"optimizer": "sgd"}}, "a recipe has no setting 'optimizer': .*Did you mean 'optimiser'"),
        ({"recipe": {"learning_rate": 0.1}}, "Did you mean 'lr'"),
        ({"recipe": {3: 0.1}}, "a recipe has no setting 3: its settings are epochs, steps"),
        ({"recipe": {"lr": -1}}, "lr is above 0 and finite, not -1"),
        ({"recipe": {"lr": "fast"}}, "lr is a number, not 'fast'"),
        ({"recipe": {"lr": [0.1, 0]}}, "lr is above 0 and finite, not 0"),
        ({"recipe": {"lr": {"low": 0.1}}}, "lr is a number, not"),
        ({"recipe": {"optimiser": "adam"}}, "optimiser is one of sgd, adamw, not 'adam'"),
        ({"recipe": {"optimiser": ("sgd", "adam")}}, "optimiser is one of sgd, adamw, not 'adam'"),
        ({"recipe": {"augment": "mirror"}}, "augment is one of"),
        ({"recipe": {"batch_size": 1}}, "batch_size is a whole number of at least 2, not 1"),
        ({"recipe": {"steps": [None, 2]}}, "steps is a whole number in each of its options"),
        ({"recipe": {"lr": []}}, "choice 'lr' has no options"),
        ({"recipe": {"lr": {0.1, 0.2}}}, "choice 'lr' got the set"),
        ({"recipe": {"lr": [0.1, 0.1]}}, "0.1"),
        ({"recipe": {"lr": Choice("rate", (0.1, 0.2))}}, "the choice of setting 'lr' is named 'rate'"),
        ({"recipe": [0.1]}, "recipe is a mapping of settings, such as .*, or a Recipe, not"),
        ({"recipe": {"epochs": 2, "steps": 3}}, "recipe sets epochs and steps"),
        ({"recipe": {"epochs": 2}, "epochs": 2}, "epochs was given twice, as epochs= and in recipe="),
        ({"recipe": {"epochs": [2, 3]}, "epochs": 2}, "epochs=2 was given, and recipe sets epochs"),
        ({"recipe": {"steps": 5}, "epochs": 2}, "epochs=2 was given, and recipe sets steps"),
        ({"recipe": Recipe(), "epochs": 2}, "epochs was given twice"),
        ({"recipe": {"lr": 1}, "training": Training(recipe={"lr": 1})}, "recipe was given twice"),
        ({"recipe": {"steps": 5}, "ladder": "default"}, "recipe sets steps, and the rungs of a ladder"),
        ({"recipe": {"epochs": [5, 9]}, "ladder": "default"}, "recipe sets several options for epochs, and the rungs"),
        ({"recipe": {"lr": 0.1}, "objectives": ("params", "macs")}, "this search trains none: its .* params, macs"),
        ({"recipe": {"epochs": 3}, "objectives": ("params",)}, "recipe sets how candidates are trained, but this"),
        ({"recipe": {"lr": [0.1, 0.2]}, "objectives": ("naswot",), "verify": 2}, "several options for 'lr', which the"),
        ({"recipe": {"momentum": [0.5, 0.9], "optimiser": "adamw", "lr": 0.01}}, "momentum is of sgd, and no"),
        (
            {"space": NetworkSpace([Choice("lr", (1, 2))], build_own, name="own"), "recipe": {"lr": [0.1, 0.2]}},
            "recipe has options for 'lr', and space 'own' has a choice of that name",
        ),
        (
            {"space": RecipeSpace(TINY, [Choice("lr", (0.1, 0.2))]), "recipe": {"lr": 0.1}},
            "recipe sets 'lr', and space 'nas-bench-201' has the recipe's choice of that name",
        ),
        ({"space": RecipeSpace(TINY, [Choice("speed", (1, 2))])}, "a recipe has no setting 'speed'"),
        (
            {"evaluate": lambda choices: {"loss": 0.0}, "objectives": {"loss": "min"}, "recipe": {"lr": 0.1}},
            "recipe set how networks are trained, but evaluate= was given",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_recipe_is_refused_before_any_work(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SearchkitError, match=said):
        search(tmp_path / "runs", **given)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("recipe", "objectives", "said"),
    [
        ({"augment": ["none", "flip"]}, ("r2",), "augment is of images, and data 'custom' are a table"),
        ({"label_smoothing": 0.2}, ("r2",), "label_smoothing is of classes, and data 'custom' are a regression"),
        ({"momentum": 0.5}, ("r2",), "momentum is of sgd"),
    ],
)
def test_a_setting_without_effect_is_refused(recipe: Any, objectives: Any, said: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(RecipeError, match=said):
        search(space=None, data=(x, x[:, 0]), objectives=objectives, recipe=recipe)
    search(space=None, data=(x, x[:, 0]), objectives=objectives, recipe=replace(Recipe(epochs=1), optimiser="adamw"))


def test_numbers_of_numpy_are_taken() -> None:
    own = read_recipe({"lr": np.linspace(0.1, 0.3, 3), "batch_size": np.int64(16), "momentum": 0})
    assert own.described() == {"batch_size": 16, "momentum": 0.0, "lr": [0.1, 0.2, 0.3]}
    assert isinstance(own.described()["momentum"], float)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_line_takes_values_and_options(
    made: list[Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, X=np.random.default_rng(0).integers(0, 255, (60, 8, 8)).astype(np.uint8), y=np.arange(60) % 3)
    call = ["run", "--data", str(data), "--space", "macro", "--space-option", "width=4", "--storage", str(tmp_path)]
    call += ["--workers", "1", "--no-baselines", "--strategy", "random", "--budget", "4", "--json", "--name", "cli"]
    call += ["--recipe", "lr=0.02", "--recipe", "optimiser=sgd, adamw", "--recipe", "steps=2"]
    assert main(call) == 0
    capsys.readouterr()
    assert {(recipe.lr, recipe.steps) for recipe in made} == {(0.02, 2)}
    history = searchkit.load("cli", tmp_path).history
    assert [recipe.optimiser for recipe in made] == history.optimiser.tolist()
    assert main([*call, "--dry-run"]) == 0
    assert "your recipe: steps 2; lr 0.02; optimiser sgd or adamw" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["lr"], "--recipe is a setting and its value, such as lr=0.05"),
        (["lr="], "--recipe is a setting and its value"),
        (["lr=0.1,"], "--recipe is a setting and its value"),
        (["lr=0.1", "lr=0.2"], "--recipe sets lr twice: give its options in one, lr=A,B"),
        (["rl=0.1"], "a recipe has no setting 'rl'"),
        (["lr=fast"], "lr is a number, not 'fast'"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [part for one in given for part in ("--recipe", one)]
    assert main(["run", "--storage", str(tmp_path), *settings]) == 2
    assert said in capsys.readouterr().err
