"""Settings of shared weights on the command line and in configurations, and the export of a candidate by its number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import searchkit
from searchkit.cli import main
from searchkit.cli.argparse_compat import commands_of
from searchkit.cli.arguments import parser
from searchkit.cli.config import with_config
from searchkit.cli.shared_settings import read_shared
from searchkit.errors import SearchkitError
from searchkit.judged import UNKNOWN
from searchkit.scoring.registry import Configured

SMALL = ["--space", "macro", "--space-option", "width=2", "--space-option", "layers=[1, 1]", "--workers", "1"]
WHOLE = ["policy=fair", "epochs=0.2", "bounds.params=30000", "recipe.weight_decay=0", "share=slice"]
SAID = {
    "policy": "fair", "epochs": 0.2, "bounds": {"params": 30000}, "recipe": {"weight_decay": 0}, "share": "slice",
}  # fmt: skip


def test_settings_of_shared_weights_are_read_from_options() -> None:
    assert read_shared("one-shot", "auto", WHOLE) == (SAID, "auto")
    assert read_shared("one-shot", "none", []) == ("one-shot", "none")
    assert read_shared(None, "params,one-shot", []) == (None, ["params", "one-shot"])
    how, proxies = read_shared(None, "params,one-shot", WHOLE)
    assert (how, proxies[0]) == (None, "params")
    assert isinstance(proxies[1], Configured)
    assert proxies[1].settings == SAID
    assert read_shared("one-shot", "params,one-shot", WHOLE) == (SAID, ["params", "one-shot"])


def test_settings_of_shared_weights_may_stand_in_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(
        'evaluation = "one-shot"\n[shared]\npolicy = "fair"\nepochs = 0.2\nshare = "slice"\nbounds.params = 30000\n'
        "recipe.weight_decay = 0\n"
    )
    given = parser().parse_args(with_config(["run", "--config", "study.toml"], commands_of(parser())))
    assert read_shared(given.evaluation, given.proxies, given.shared) == (SAID, "auto")


@pytest.mark.parametrize(
    ("how", "texts", "said"),
    [
        ("one-shot", ["policy"], "--shared is NAME=VALUE"),
        ("one-shot", ["bounds.=3"], "--shared is NAME=VALUE"),
        ("one-shot", ["policy=fair", "policy=tree"], "--shared sets policy twice"),
        ("one-shot", ["bounds=3", "bounds.params=3"], "--shared sets bounds.params twice"),
        (None, ["policy=fair"], "of --evaluation one-shot, or of --proxies one-shot, are trained: give both"),
    ],
)
def test_settings_that_are_not_of_their_form_are_refused(how: str | None, texts: list[str], said: str) -> None:
    with pytest.raises(SearchkitError, match=said):
        read_shared(how, "auto", texts)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"polcy": "fair"}, "unknown setting of shared weights 'polcy'.*Did you mean 'policy'"),
        ({"policy": "unifrom"}, "is 'uniform' meant"),
        ({"policy": lambda paths: None}, "plain values, and policy is a function"),
        ({"bounds": 3}, "bounds of shared weights is a mapping"),
        ({"lr": 1j}, "are plain values, not"),
        ({"epochs": 0}, "epochs is a number above 0"),
    ],
)
def test_wrong_settings_of_an_evaluation_are_refused_before_the_search(given: Any, said: str) -> None:
    space = searchkit.load_space("macro", width=2, layers=(1, 1))
    with pytest.raises(SearchkitError, match=said):
        searchkit.run(space=space, data="digits", evaluation=given, storage="memory")


@pytest.mark.slow
def test_a_search_by_settings_is_resumed_and_a_verified_network_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shared = [part for text in WHOLE for part in ("--shared", text)]
    options = ["--evaluation", "one-shot", *shared, "--epochs", "1", "--data-option", "limit=200", "--no-baselines"]
    run = ["run", *SMALL, *options, "--verify", "1", "--name", "study"]
    assert main([*run, "--strategy", "random", "--budget", "2"]) == 0
    said = capsys.readouterr().out
    result = searchkit.load("study")
    trial = int(result.verified["trial"][0])
    assert f"export study trial={trial} best" in said
    assert result.context["call"]["evaluation"] == SAID
    assert main(["resume", "study", "--budget", "3", "--workers", "1", "--no-baselines"]) == 0
    assert len(list(Path("searchkit-runs").rglob("shared-*.pt"))) == 1
    assert "evaluation={" in result.report(tmp_path / "page.html").read_text().replace("&quot;", '"')
    assert main(["export", "study", f"trial={trial}", "best"]) == 0
    assert Path("best.onnx").exists()
    capsys.readouterr()
    assert main(["export", "study", "trial=9", "best"]) == 2
    assert "has candidates 0 to 2, not 9" in capsys.readouterr().err


def test_a_row_that_is_no_number_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "study", "first", "best"])
    assert "a row is a number, or the number of a candidate, such as trial=12, not 'first'" in capsys.readouterr().err


def test_candidates_are_scored_by_shared_weights_with_settings(capsys: pytest.CaptureFixture[str]) -> None:
    score = ["score", *SMALL, "--data-option", "limit=200", "--n", "2", "--json", "--shared", "epochs=12"]
    assert main([*score, "--proxies", "params,one-shot", "--shared", "share=slice"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 2
    assert all(row["one-shot"] is not None for row in rows)
    assert main([*score, "--proxies", "params"]) == 2
    assert "of --proxies one-shot are trained: give both" in capsys.readouterr().err
    assert main([*score, "--proxies", "one-shot", "--shared", "polcy=fair"]) == 2
    assert "Did you mean 'policy'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_screened_by_shared_weights_with_settings_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shared = ["--proxies", "params,one-shot", "--shared", "epochs=1", "--shared", "policy=fair", "--screen", "2"]
    few = ["--epochs", "1", "--data-option", "limit=200", "--no-baselines", "--strategy", "random", "--name", "study"]
    assert main(["run", *SMALL, *shared, *few, "--budget", "2"]) == 0
    result = searchkit.load("study")
    assert result.context["call"]["proxies"] == ["params", "one-shot"]
    assert result.context["call"]["proxy_settings"] == {"one-shot": {"epochs": 1, "policy": "fair"}}
    assert result.context["objects"] == []
    page = result.report(tmp_path / "page.html").read_text().replace("&quot;", '"')
    assert 'one-shot had the settings {"epochs": 1, "policy": "fair"}' in page
    assert main(["resume", "study", "--budget", "3", "--workers", "1", "--no-baselines"]) == 0
    assert len(searchkit.load("study").history) == 3


@pytest.mark.slow
def test_a_plan_trains_no_shared_weights_of_a_proxy_with_settings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "searchkit")
    space, data = searchkit.load_space("macro", width=2, layers=(1, 1)), searchkit.load_data("digits", limit=120)
    said = []
    for proxy in ("one-shot", Configured("one-shot", {"epochs": 1})):
        made = searchkit.plan("random", space=space, data=data, proxies=[proxy], budget=2, epochs=1, storage="memory")
        said.append(made.judged)
    assert said[0] == said[1] == "proxies: one-shot judge networks before they are trained, " + UNKNOWN
    assert not [line for line in caplog.messages if line.startswith("shared weights")]
