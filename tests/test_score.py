"""A table of what proxies say, from Python and from the command line."""

from __future__ import annotations

import json

import pytest

import searchkit
from searchkit.cli import main
from searchkit.errors import SearchkitError


@pytest.mark.slow
def test_random_candidates_are_scored_and_the_best_judged_come_first() -> None:
    table = searchkit.score("macro", 6, proxies=("params", "naswot"), seed=1)
    assert len(table) == 6
    assert list(table.columns[:3]) == ["params", "naswot", "judgement"]
    assert table.judgement.is_monotonic_decreasing
    assert searchkit.score("macro", 6, proxies=("params", "naswot"), seed=1).equals(table)


def test_given_candidates_are_scored_like_the_random_ones() -> None:
    random = searchkit.score("macro", 5, proxies="params")
    choices = random.drop(columns=["params", "judgement"]).to_dict("records")
    assert searchkit.score("macro", choices[:2], proxies="params").params.tolist() == random.params[:2].tolist()


def test_a_space_without_networks_names_the_proxies_that_work_on_it() -> None:
    space = searchkit.Space([searchkit.Choice("a", (1, 2, 3))])
    with pytest.raises(SearchkitError, match="builds no networks.*Proxies that work on it"):
        searchkit.score(space, 2, proxies="naswot")


def test_the_command_line_prints_the_table(capsys) -> None:
    assert main(["score", "--space", "macro", "--proxies", "params,macs", "--n", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3
    candidate = {name: value for name, value in rows[0].items() if name not in ("params", "macs", "judgement")}
    arguments = [
        "score",
        "--space",
        "macro",
        "--proxies",
        "params,macs",
        "--candidate",
        json.dumps(candidate),
        "--json",
    ]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)[0]["params"] == rows[0]["params"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proxies", "parms"], "unknown proxy 'parms'"),
        (["--n", "0"], "candidates must be at least 1"),
        (["--candidate", "width"], "--candidate is an object such as"),
        (["--candidate", "{}"], "says nothing of choice"),
        (["--space", "marco"], "Did you mean 'macro'"),
    ],
)
def test_what_cannot_be_scored_is_said(arguments, words, capsys) -> None:
    assert main(["score", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_values_of_candidates_say_how_well_signals_rank_them(capsys) -> None:
    choices = searchkit.score("macro", 12, proxies="params").drop(columns=["params", "judgement"]).to_dict("records")
    sizes = searchkit.score("macro", choices, proxies="params").params.tolist()
    at = {json.dumps(row): size for row, size in zip(choices, sizes, strict=True)}  # both have the order of params
    given = choices[::-1]
    values = [at[json.dumps(row)] for row in given]
    table = searchkit.score("macro", given, proxies=("params", "macs"), values=values)
    assert table.value.tolist() == table.params.tolist()
    trust = table.attrs["trust"].set_index("proxy")
    assert list(trust.index) == ["params", "macs", "judgement"]
    assert list(trust.columns) == ["rho", "low", "high", "top", "ndcg"]
    assert trust.loc["params", ["rho", "top", "ndcg"]].tolist() == pytest.approx([1, 1, 1])
    assert trust.loc["macs", "rho"] == pytest.approx(table.macs.rank().corr(table.value.rank()))
    twice = searchkit.score("macro", [given[0], *given], proxies="params", values=[values[0] + 2, *values])
    assert len(twice) == 12
    assert twice.value.max() == pytest.approx(max(values)) or values[0] + 1 == pytest.approx(twice.value.max())

    candidates = [part for row in given[:5] for part in ("--candidate", json.dumps(row))]
    asked = ["score", "--space", "macro", "--proxies", "params", *candidates]
    assert main([*asked, *(part for value in values[:5] for part in ("--value", str(value)))]) == 0
    assert "ndcg" in capsys.readouterr().out
    assert main([*asked, *(part for value in values[:5] for part in ("--value", str(value))), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trust"][0]["rho"] == pytest.approx(1)
    assert len(told["candidates"]) == 5


@pytest.mark.parametrize(
    ("candidates", "values", "words"),
    [
        (5, [1.0] * 5, "values are of candidates that are given"),
        ([{}], [1.0, 2.0], "one for each of 1 candidate"),
        ([{}], [float("nan")], "values are finite numbers"),
        ([{}], ["good"], "values are numbers"),
    ],
)
def test_values_that_do_not_fit_are_refused(candidates, values, words) -> None:
    with pytest.raises(SearchkitError, match=words):
        searchkit.score("macro", candidates, proxies="params", values=values)
