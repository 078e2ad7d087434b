"""The command line does what its help says, with exit codes, and JSON where output is data."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import searchkit
from searchkit.cli import main
from searchkit.cli.values import read_constraints
from searchkit.costs.metrics import BUILT_IN
from searchkit.results.diagnosis import why_nothing

ROOT = Path(__file__).parents[2]
ALONE = ["--workers", "1", "--no-baselines"]
SMALL = ["--space", "nas-bench-201", "--space-option", "width=4", "--space-option", "cells=1"]
RUN = ["run", *SMALL, "--budget", "3", "--epochs", "1", *ALONE, "--name", "tiny", "--constraint", "params<=200000"]


@pytest.fixture
def run(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as ended:  # argparse
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.mark.slow
def test_a_search_is_run_shown_listed_resumed_and_exported(run, tmp_path: Path) -> None:
    code, out, _ = run(*RUN)
    assert code == 0
    assert "accuracy" in out
    assert "searchkit export tiny 0 best" in out
    assert (tmp_path / "searchkit-runs" / "tiny.png").stat().st_size > 10_000

    code, out, _ = run("show", "tiny", "--json")
    front = json.loads(out)
    assert code == 0
    assert front[0].keys() >= {"accuracy", "params", "test_accuracy", "trial"}
    assert all(row["params"] <= 200_000 for row in front)

    code, out, _ = run("show", "tiny", "--history", "--json", "--plot", "other.html")
    assert len(json.loads(out)) == 3
    assert "plotly" in (tmp_path / "other.html").read_text()[:5000].lower() or (tmp_path / "other.html").exists()

    code, out, _ = run("list", "--json")
    assert [(row["study"], row["candidates"]) for row in json.loads(out)] == [("tiny", 3)]

    code, out, _ = run("resume", "tiny", "--budget", "5", *ALONE, "--json")
    assert code == 0
    assert len(searchkit.load("tiny").history) == 5

    code, out, _ = run("export", "tiny", "0", "model", "--json")
    assert code == 0
    assert [Path(name).exists() for name in json.loads(out)] == [True] * 3


def test_help_names_every_command_and_what_is_registered(run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(command in out for command in ("run", "resume", "show", "export", "list", "exit codes"))
    code, out, _ = run("run", "--help")
    assert code == 0
    assert all(
        name in out for name in ("residual", "nas-bench-201", "macro", "nsga2", "tpe", "bo", "random", "--constraint")
    )


def test_every_metric_is_named_where_objectives_are_chosen(run) -> None:
    _, out, _ = run("run", "--help")
    in_help = out[out.index("--objectives") :]
    (in_readme,) = re.findall(r"^\| objectives \|(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    in_docstring = str(searchkit.run.__doc__).partition("objectives:")[2].partition("constraints:")[0]
    for name in BUILT_IN:
        assert all(name in text for text in (in_help, in_readme, in_docstring)), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--strategy", "nsga"], "unknown strategy 'nsga'"),
        (["run", "--constraint", "params<5"], "not of the form"),
        (["run", "--constraint", "params<=5"], "the lowest found is 6546"),
        (["run", "--space", "nas-bench-201", "--constraint", "params<=5"], "the lowest attainable is"),
        (["run", "--data", "nothere.npz"], "nothere.npz cannot be read"),
        (["run", "--space-option", "width=3"], "--space-option needs --space"),
        (["run", "--space", "macro", "--space-option", "with=3"], "cannot be made with {'with': 3}"),
        (["run", "--space", "macro", "--space-option", "input_shape=[1, 9, 9]"], "is what the data have: leave it out"),
        (["run", "--workers", "0"], "--workers must be at least 1"),
        (["run", "--storage", "memory"], "a search in memory ends with the command"),
        (["list", "--storage", "memory"], "a search in memory ends with the command"),
        (["run", "--plot", "front.xyz"], "a plot is written as .html or as .png"),
        (["run", "--plot", "/proc/1/front.png"], "the plot '/proc/1/front.png' cannot be written"),
        (["run", "--plot", "/"], "a plot is written as"),
        (["resume", "nothing", "--plot", "x.txt"], "a plot is written as"),
        (["run", "--objectives", "accuracy, parms"], "Did you mean 'params'"),
        (["export", "nothing", "0", "x"], "unknown study"),
        (["show", "nothing", "--plot", "x.png"], "unknown study"),
        (["show", "nothing"], "unknown study in searchkit-runs 'nothing'"),
        (["resume", "nothing"], "unknown study"),
        (["list", "--storage", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(run, arguments, words, tmp_path: Path) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("searchkit: ")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_or_none_is_exit_code_2(run) -> None:
    assert run("walk")[0] == 2
    assert run()[0] == 2


@pytest.mark.parametrize(
    ("arguments", "usage", "said"),
    [
        (
            ["run", "--bugdet", "3"],
            "usage: searchkit run ",
            "arguments: --bugdet 3. Did you mean '--budget'?",
        ),
        (["list", "--jsn=x"], "usage: searchkit list ", "unrecognized arguments: --jsn=x. Did you mean '--json'?"),
        (["list", "here"], "usage: searchkit list ", "unrecognized arguments: here"),
        (["rum"], "usage: searchkit ", "unknown command 'rum': choose from "),
        (["rum", "--budget", "3"], "usage: searchkit ", "Did you mean 'rm' or 'run'?"),
    ],
)
def test_what_was_mistyped_is_said_with_the_usage_of_its_command_and_the_nearest(run, arguments, usage, said) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(usage)
    assert said in err.splitlines()[-1]


def test_an_empty_folder_lists_nothing(run) -> None:
    assert run("list")[1] == "no studies in searchkit-runs/ yet\n"
    assert json.loads(run("list", "--json")[1]) == []


@pytest.mark.slow
def test_own_images_come_as_an_npz_file_and_are_found_again(run, tmp_path: Path, monkeypatch) -> None:
    digits = searchkit.load_data("digits", limit=300)
    np.savez(tmp_path / "mine.npz", X=digits.train.x.numpy(), y=digits.train.y.numpy())
    code, out, _ = run("run", *SMALL, "--data", "mine.npz", "--budget", "1", "--epochs", "1", *ALONE, "--json")
    assert code == 0
    study = json.loads(out)["study"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    storage = str(tmp_path / "searchkit-runs")
    assert run("resume", study, "--budget", "2", *ALONE, "--storage", storage)[0] == 0
    (tmp_path / "mine.npz").rename("mine.npz")
    code, _, err = run("resume", study, "--budget", "3", *ALONE, "--storage", storage)
    assert code == 2
    assert "mine.npz cannot be read" in err
    given = ("resume", study, "--budget", "3", *ALONE, "--storage", storage, "--data", "mine.npz")
    assert run(*given)[0] == 0
    assert len(searchkit.load(study, storage).history) == 3
    np.savez("mine.npz", X=digits.train.x.numpy(), y=digits.train.y.numpy()[::-1])
    code, _, err = run(*given)
    assert code == 2
    assert "differs in data" in err


def test_a_study_of_a_function_is_not_resumed_from_here(run, tmp_path: Path) -> None:
    space = searchkit.Space([searchkit.Choice("x", range(4))])
    searchkit.run("random", space=space, evaluate=lambda c: {"y": c["x"]}, objectives={"y": "min"}, budget=2, name="f")
    code, _, err = run("resume", "f")
    assert code == 2
    assert "its evaluate function" in err
    code, out, _ = run("show", "f")
    assert code == 0
    assert "2 scored" in out


QUICK = [*SMALL, "--budget", "2", "--epochs", "1", *ALONE]


@pytest.mark.slow
@pytest.mark.parametrize(
    "found",
    [pytest.param(True, marks=pytest.mark.thorough), False],
    ids=["on the path", "not on the path"],
)
def test_the_line_that_exports_is_complete(found: bool, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent) if found else str(tmp_path))
    code, out, _ = run(
        "run", *QUICK, "--storage", "my runs", "--name", "a b", "--objectives", "accuracy, params", "--plot", "x/y.png"
    )
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("network: "))
    called, arguments = line.removeprefix("network: ").split(" export ")
    assert arguments == "'a b' 0 best --storage 'my runs'"
    assert (called == "searchkit") == found
    assert (tmp_path / "x" / "y.png").exists()
    if not found:
        assert subprocess.run([*shlex.split(called), "--version"], capture_output=True).returncode == 0
    assert run("export", *shlex.split(arguments))[0] == 0
    assert (tmp_path / "best.onnx").exists()


@pytest.mark.slow
def test_the_table_is_printed_before_the_picture_is_drawn(run, monkeypatch) -> None:
    from matplotlib.figure import Figure

    def refuse(*given: object, **more: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", refuse)
    code, out, err = run("run", *QUICK, "--name", "s")
    assert code == 2
    assert "accuracy" in out
    assert "s.png' cannot be written: no space left" in err


def test_two_constraints_on_one_metric_are_a_range() -> None:
    texts = ["params>=10", "latency_ms<=5", "params<=1e6", "accuracy >= 0.9"]
    assert read_constraints(texts) == {"params": (10, 1e6), "latency_ms": (None, 5), "accuracy": (0.9, None)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (
            "accuracy>=0.9999",
            r"no candidate meets accuracy >= 0.9999: the nearest is 0.\d+ \(candidate \d+\); it excluded \d+ of .*\n",
        ),
        (
            "latency_ms<=1e-9",
            r"no candidate was scored; latency_ms <= 1e-09: the nearest is 0.\d+ \(candidate \d+\); it excluded .*\n",
        ),
    ],
)
def test_where_no_candidate_is_feasible_the_unmet_bound_is_named(run, constraint: str, words: str) -> None:
    code, out, err = run("run", *QUICK, "--name", "s", "--constraint", constraint)
    assert code == 1
    assert "0 on the front" in out
    assert "export" not in out
    assert re.search(words, err)
    code, out, err = run("run", *QUICK, "--name", "s", "--constraint", constraint, "--json")
    assert (code, json.loads(out)["front"]) == (1, [])
    assert re.search(words, err)


def test_why_nothing_was_found_is_told_of_every_kind() -> None:
    def told(evaluate, **given) -> str:
        space = searchkit.Space([searchkit.Choice("x", range(2))])
        return why_nothing(searchkit.run(
            "random", space=space, evaluate=evaluate, objectives={"y": "min", "z": "min"}, budget=2, storage="memory",
            **given,
        ))  # fmt: skip

    def both(choices: dict) -> dict:
        return {"y": choices["x"], "z": 1 - choices["x"]}

    assert told(both, constraints={"y": 0.5, "z": 0.5}).startswith(
        "no candidate meets y <= 0.5 and z <= 0.5 together: y <= 0.5 excluded "
    )
    assert told(both, constraints={"y": (3, 5)}).startswith(
        "no candidate meets 3 <= y <= 5: the nearest is 1 (candidate "
    )

    def one_fails(choices: dict) -> dict:
        return both(choices) if choices["x"] else {}

    assert told(one_fails, constraints={"y": 0.5}).startswith(
        "no candidate meets y <= 0.5: the nearest is 1 (candidate "
    )


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["searching", "beginning"])
def test_an_interrupted_search_says_how_to_go_on(run, moment: str, monkeypatch) -> None:
    from searchkit.search import space_setup as networks
    from searchkit.training import evaluator as evaluation

    def interrupt(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((evaluation, "course") if moment == "searching" else (networks, "load_data")), interrupt)
        code, _, err = run("run", *QUICK)
    assert code == 130
    assert err.rstrip().endswith("searchkit: interrupted; the same command continues")
    assert run("run", *QUICK)[0] == 0


def test_reading_commands_write_nothing(run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    for command in (["list"], ["show", "s"], ["export", "s", "0", "x"]):
        for storage in ([], ["--storage", url], ["--storage", "none.journal"]):
            run(*command, *storage)
    assert list(tmp_path.iterdir()) == []


def test_an_executor_that_is_not_known_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--executor", "rya", "--budget", "2"]) == 2
    assert "unknown executor 'rya': choose from interleaved, ray. Did you mean 'ray'?" in capsys.readouterr().err


class Layers:
    """A proxy of the user's own."""

    name = "layers of mine"

    def score(self, codes: np.ndarray) -> np.ndarray:
        return codes.sum(axis=1).astype(float)


def test_a_study_with_a_proxy_of_the_users_own_is_not_resumed_with_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searchkit.run(
        "random", space=searchkit.load_space("macro", width=4), objectives=("params", "macs"), proxies=[Layers()],
        budget=4, storage=tmp_path, name="mine",
    )  # fmt: skip
    assert main(["resume", "mine", "--storage", str(tmp_path), "--budget", "6"]) == 2
    assert "with its proxy layers of mine given as objects; call searchkit.run there again" in capsys.readouterr().err
    assert len(searchkit.load("mine", tmp_path).history) == 4


@pytest.mark.thorough
def test_a_study_that_learned_from_another_is_resumed_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    call = ["run", "--space", "macro", "--space-option", "width=4", "--objectives", "params,macs"]
    where = ["--storage", str(tmp_path)]
    assert main([*call, *where, "--budget", "6", "--name", "first", "--objectives", "naswot,params"]) == 0
    later = ["--name", "later", "--objectives", "naswot,params", "--earlier", "first", "--seed", "1"]
    assert main([*call, *where, *later, "--budget", "4"]) == 0
    caplog.clear()
    assert main(["resume", "later", *where, "--budget", "6"]) == 0
    assert len(searchkit.load("later", tmp_path).history) == 6
    assert "continued with" not in caplog.text
    assert "earlier:first" in set(searchkit.load("later", tmp_path).signals.proxy)


@pytest.mark.slow
def test_a_study_is_resumed_with_what_it_was_begun_with(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    space = searchkit.load_space("macro", width=4)
    start = space.sample(2, np.random.default_rng(5))
    searchkit.run(
        "random", space=space, objectives=("params", "macs"), start=start, budget=1, storage=tmp_path, name="s",
        split_seed=4, batch=1,
    )  # fmt: skip
    assert main(["resume", "s", "--storage", str(tmp_path), "--budget", "3"]) == 0
    trials = searchkit.load("s", tmp_path).trials
    np.testing.assert_array_equal([trial.code for trial in trials[:2]], start)
    assert "continued with" not in caplog.text


@pytest.mark.slow
def test_a_part_of_the_budget_that_is_not_given_stays_as_recorded(tmp_path: Path) -> None:
    where = ("--storage", str(tmp_path))
    searchkit.run(
        "random", data="digits", objectives=("params",), budget={"evaluations": 2, "seconds": 3600}, storage=tmp_path,
        name="s",
    )  # fmt: skip
    assert main(["resume", "s", *where, "--budget", "3"]) == 0
    assert searchkit.load("s", storage=tmp_path).context["budget"] == {"evaluations": 3, "seconds": 3600.0}
    assert main(["resume", "s", *where, "--seconds", "7200"]) == 0
    assert searchkit.load("s", storage=tmp_path).context["budget"] == {"evaluations": 3, "seconds": 7200.0}


@pytest.mark.slow
def test_simple_models_stand_below_the_front_unless_they_are_not_wanted(run, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(120, 5))
    np.savez(tmp_path / "mine.npz", X=x, y=np.arange(120) % 2)
    call = ["run", "--data", "mine.npz", "--budget", "1", "--epochs", "1", "--workers", "1", "--name", "t"]
    code, out, _ = run(*call, "--no-baselines")
    assert code == 0
    assert "random forest" not in out
    code, out, err = run(*call)
    assert code == 0
    head, scores, tests = next(
        [head, *rows] for head, *rows in zip(out.splitlines(), out.splitlines()[1:], out.splitlines()[2:], strict=False)
        if head.split()[:1] == ["front"]
    )  # fmt: skip
    table = searchkit.load("t").baselines
    best = searchkit.load("t").front.iloc[0]
    assert head.split() == ["front", "majority", "class", "logistic", "regression", "random", "forest", "MLP"]
    assert scores.split() == ["accuracy", *(f"{x:.4g}" for x in (best.accuracy, *table.accuracy))]
    assert tests.split() == ["test_accuracy", *(f"{x:.4g}" for x in (best.test_accuracy, *table.test_accuracy))]
    assert "no better" not in err
    above = best.accuracy > table.accuracy.max()
    assert above or "The best of the front of 't' is no better" in out
    assert head in run("show", "t")[1]
    resumed = ["resume", "t", "--budget", "2", "--workers", "1"]
    assert head in run(*resumed)[1]
    code, out, _ = run(*resumed, "--no-baselines", "--json")
    assert [row["model"] for row in json.loads(out)["baselines"]] == table.model.tolist()


@pytest.mark.slow
def test_what_is_no_better_than_a_simple_model_is_said_beside_json(run, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(200, 5))
    np.savez(tmp_path / "mine.npz", X=x, y=(x[:, 0] > 0).astype(int))
    call = ["--data", "mine.npz", "--budget", "1", "--epochs", "1", "--workers", "1", "--name", "t", "--json"]
    code, out, err = run("run", *call)
    assert code == 0
    assert max(row["validation"]["accuracy"] for row in json.loads(out)["baselines"]) > 0.9
    assert err.count("the best of the front of 't' is no better") == 1


MODEL = """
import torch
from torch import nn


def model():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def number():
    return 3


def broken():
    raise ValueError("no weights")
"""


@pytest.mark.thorough
def test_a_network_of_the_users_is_compressed_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "made_here.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    bound = ["--data", "digits", "--constraint", "params<=60%", "--epochs", "0", "--workers", "1"]
    assert main(["compress", "made_here:model", *bound, "--export", "small", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["networks"][0]["params"] <= 0.6 * told["original"]["params"]
    assert all(Path(file).exists() for file in told["files"])
    assert main(["compress", "made_here:model", *bound]) == 0
    assert "the network that was given: params 1,434" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "bound", "said"),
    [
        ("made_here", "params<=60%", "the network is MODULE:FUNCTION"),
        ("made_here:nothing", "params<=60%", "made_here:nothing gives no network: AttributeError"),
        ("not_here:model", "params<=60%", "not_here:model gives no network: ModuleNotFoundError"),
        ("made_here:broken", "params<=60%", "made_here:broken gives no network: ValueError: no weights"),
        ("made_here:number", "params<=60%", "made_here:number returned 3, not a torch.nn.Module"),
        ("made_here:model", "params=60%", "constraint 'params=60%' is not of the form"),
        ("made_here:model", "prams<=60%", "Did you mean 'params'"),
        ("made_here:model", "params<=x%", "the bound on params is a number above 0"),
    ],
)
def test_bad_input_of_compress(
    model: str,
    bound: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "made_here.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    assert main(["compress", model, "--data", "digits", "--constraint", bound]) == 2
    assert said in capsys.readouterr().err


NOISY = """
import os, sys
from searchkit.cli import commands

def noisy(given):
    os.write(1, b"a line of a library\\n")
    print("ours")
    os.write(1, b"and another\\n")
    return 0

commands.COMMANDS["list"] = noisy
code = commands.main(["list"])
print("after")
sys.exit(code)
"""


@pytest.mark.slow
def test_what_a_library_in_c_prints_is_not_on_standard_output() -> None:
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=True)
    assert done.stdout == "ours\nafter\n"
    assert done.stderr == "a line of a library\nand another\n"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"set -o pipefail; {shlex.quote(sys.executable)} -m searchkit.cli list --storage . | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
