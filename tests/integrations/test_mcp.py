"""The server of tools for assistants, asked by the protocol's own client; where no process matters, its functions."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcp")

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, CancelledNotification, CancelledNotificationParams, ClientNotification

import searchkit
from searchkit.cli import main
from searchkit.cli.arguments import parser
from searchkit.compression.learning import LearningSetting
from searchkit.errors import SearchkitError, StorageError, UnknownNameError
from searchkit.integrations.mcp import jobs, server
from searchkit.integrations.mcp.inputs import CompressInput, ExportInput, ScoreInput, SearchInput, read_input
from searchkit.integrations.mcp.server import Desk
from searchkit.integrations.mcp.settings import Settings, settings_of
from searchkit.integrations.mcp.tools import TOOLS
from searchkit.integrations.mcp.working import score, search
from searchkit.integrations.mcp.writing import compress

ROOT = Path(__file__).parents[2]
SPACE = {"space": "nas-bench-201", "space_options": {"width": 4, "cells": 1}}
SMALL = SPACE | {
    "data": "digits", "data_options": {"limit": 200}, "strategy": "random", "proxies": "none", "epochs": 1,
    "baselines": False,
}  # fmt: skip
NOWHERE = Settings(storage="nowhere", exports="nowhere")


def made(name: str, runs: Path, **given: Any) -> searchkit.Result:
    """The study that ``run`` makes of SMALL, made in this process."""
    space = searchkit.load_space("nas-bench-201", width=4, cells=1)
    data = searchkit.load_data("digits", limit=200)
    usual = {"proxies": "none", "epochs": 1, "budget": 2, "progress": False, "baselines": False}
    return searchkit.run("random", space=space, data=data, storage=runs, name=name, **(usual | given))


class Client:
    """A session with a server, called from this thread."""

    def __init__(self, portal: BlockingPortal, session: ClientSession) -> None:
        self.portal, self.session = portal, session

    def call(self, tool: str, **given: Any) -> CallToolResult:
        found: CallToolResult = self.portal.call(self.session.call_tool, tool, given)
        return found

    def found(self, tool: str, **given: Any) -> dict[str, Any]:
        answer = self.call(tool, **given)
        assert not answer.isError, answer.content
        assert answer.structuredContent is not None
        assert json.loads(answer.content[0].text) == answer.structuredContent  # type: ignore[union-attr]
        return answer.structuredContent


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[ClientSession]:
    arguments = ["-m", "searchkit.integrations.mcp", "--storage", "runs", "--exports", "out", "--max-workers", "1"]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ), cwd=folder)
    with open(folder / "errors.txt", "w") as errors:
        async with stdio_client(server, errors) as streams, ClientSession(*streams) as session:
            await session.initialize()
            yield session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served")
    made("a", path / "runs")
    made("b", path / "runs", seed=1, budget=3)
    made("other", path / "runs", objectives=("accuracy", "macs"), budget=1)
    return path


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected(folder)) as session:
        yield Client(portal, session)


@pytest.mark.slow
def test_every_tool_says_what_it_takes_and_returns(client: Client) -> None:
    tools = client.portal.call(client.session.list_tools).tools
    assert [tool.name for tool in tools] == list(TOOLS)
    assert {tool.name for tool in tools if tool.annotations.readOnlyHint} == {
        "describe", "list_studies", "front", "compare", "score",
    }  # fmt: skip
    for tool in tools:
        assert tool.description
        assert tool.inputSchema["additionalProperties"] is False
        assert all(said.get("description") for said in tool.inputSchema["properties"].values())
        assert tool.outputSchema["type"] == "object"


@pytest.mark.slow
def test_what_there_is_is_described_in_a_line_each(client: Client) -> None:
    names = client.found("describe")["names"]
    assert "naswot" in names["proxies"]
    spaces = {entry["name"]: entry for entry in client.found("describe", kind="spaces")["entries"]}
    assert spaces["nas-bench-201"]["options"]["cells"] is not None
    assert not {"input_shape", "n_classes"} & set(spaces["nas-bench-201"]["options"])  # which the data decide
    assert spaces["macro"]["about"].startswith("NAS-Bench-Macro: ")
    assert spaces["tabular"]["about"] == "Linear, plain and residual networks for tables."
    assert not [name for name, entry in spaces.items() if entry["about"].startswith("The space")]
    for kind in ("strategies", "objectives", "formats"):
        entries = client.found("describe", kind=kind)["entries"]
        assert [entry["name"] for entry in entries] == names[kind]
        assert all(entry["about"] and "`" not in entry["about"] for entry in entries)
    limits = {entry["name"]: entry["value"] for entry in client.found("describe", kind="server")["entries"]}
    assert (limits["max_workers"], limits["allow_code"]) == (1, False)


@pytest.mark.slow
def test_studies_are_listed_and_their_fronts_read(client: Client, folder: Path) -> None:
    rows = {row["study"]: row for row in client.found("list_studies")["studies"]}
    assert (rows["a"]["candidates"], rows["b"]["candidates"]) == (2, 3)
    assert rows["b"]["seconds"] == client.found("front", study="b")["seconds"]
    result, found = searchkit.load("b", folder / "runs"), client.found("front", study="b")
    assert [row["trial"] for row in found["rows"]] == result.front.trial.tolist()
    assert [row["accuracy"] for row in found["rows"]] == result.front.accuracy.tolist()
    assert (found["objectives"], found["states"]) == ({"accuracy": "max", "params": "min"}, {"scored": 3})
    history = client.found("front", study="b", history=True, rows=1)
    assert (len(history["rows"]), history["left_out"]) == (1, 2)


def test_fronts_are_compared_point_by_point(client: Client, folder: Path) -> None:
    found = {row["study"]: row for row in client.found("compare", studies=["a", "b"])["studies"]}
    fronts = {name: searchkit.load(name, folder / "runs").front for name in "ab"}
    for name, other in (("a", "b"), ("b", "a")):
        beaten = {
            int(one.trial)
            for one in fronts[name].itertuples()
            if any(
                its.accuracy >= one.accuracy
                and its.params <= one.params
                and (its.accuracy, its.params) != (one.accuracy, one.params)
                for its in fronts[other].itertuples()
            )
        }
        assert {row["trial"] for row in found[name]["dominated_by"]} == beaten
        assert found[name]["dominated"] == len(beaten)
        assert set(found[name]["undominated"]) == set(fronts[name].trial) - beaten
        assert found[name]["best accuracy"] == pytest.approx(fronts[name].accuracy.max())
    both = [(one.accuracy, one.params) for front in fronts.values() for one in front.itertuples()]
    assert len(set(both)) > 1
    assert all(0 < row["hypervolume"] <= 1 for row in found.values())
    top = {name for name, row in found.items() if not row["dominated_by"]}
    assert not top or max(found, key=lambda name: found[name]["hypervolume"]) in top


@pytest.mark.slow
def test_a_running_search_tells_its_progress_is_read_and_cancelled_and_its_record_is_kept(
    client: Client, folder: Path
) -> None:
    begun, progress = anyio.Event(), list[tuple[float, float | None, str | None]]()
    long = SMALL | {"name": "long", "budget": 2000}

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        if message and message.startswith("candidate"):  # and not that libraries are being loaded
            progress.append((done, total, message))
            begun.set()

    async def run() -> list[CallToolResult]:
        session, read = client.session, []
        number = session._request_id

        async def watch() -> None:
            await begun.wait()
            read.append(await session.call_tool("front", {"study": "long"}))
            read.append(await session.call_tool("run", long | {"name": "second"}))
            await session.send_notification(
                ClientNotification(CancelledNotification(params=CancelledNotificationParams(requestId=number)))
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            with pytest.raises(McpError, match="cancelled"):
                await session.call_tool("run", long, progress_callback=on_progress)
        return read

    meanwhile, second = client.portal.call(run)
    assert 1 <= meanwhile.structuredContent["candidates"] < 2000
    assert 1.0 <= progress[0][0] < 2.0
    assert progress[0][1] == 2000.0
    assert progress[0][2].startswith("candidate 0: accuracy")
    assert second.isError
    assert second.content[0].text == "run of 'long' is running on this server: wait for it, or cancel it"
    ended = ""
    while not ended:  # until its process has ended, which holds the study
        with contextlib.suppress(StorageError):
            ended = made("long", folder / "runs", budget=1).stopped
    assert ended == "the budget is spent"
    found = client.found("front", study="long")
    assert len(progress) <= found["states"]["scored"] < 2000
    assert not list((folder / "runs").glob("second*"))


@pytest.mark.slow
def test_a_network_is_exported_into_the_servers_folder_only(client: Client, folder: Path) -> None:
    found = client.found("export", study="a", to="deep/best")
    assert [Path(file) for file in found["files"]] == [
        folder / "out" / "deep" / f"best{ending}" for ending in (".onnx", ".safetensors", ".json")
    ]
    assert found["bytes"] == [Path(file).stat().st_size for file in found["files"]]
    (folder / "out" / "link").symlink_to(folder)
    (folder / "out" / "mine.onnx").symlink_to(folder / "elsewhere.onnx")
    for outside in ("../best", "/tmp/best", "", ".", "deep/../../best", "link/best"):
        answer = client.call("export", study="a", to=outside)
        assert answer.isError
        assert "writes into" in answer.content[0].text  # type: ignore[union-attr]
    answer = client.call("export", study="a", to="mine")
    assert "is a link" in answer.content[0].text  # type: ignore[union-attr]
    assert not (folder / "elsewhere.onnx").exists()
    assert not list(folder.glob("best*"))


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("frnt", {}, "unknown tool 'frnt': choose from .* Did you mean 'front'?"),
        ("front", {}, "front needs study: name of a study"),
        ("front", {"study": "nope"}, "unknown study in runs 'nope': choose from a, b"),
        ("front", {"study": "a", "histroy": True}, "unknown argument of front 'histroy': .* Did you mean 'history'?"),
        ("front", {"name": "a"}, "unknown argument of front 'name': choose from history, rows, study"),
        (
            "run",
            {"constraints": ["params<=1e5"]},
            r"constraints is an object: bounds, such as {'params': 100000}.* not \['p",
        ),
        ("front", {"study": "a", "rows": 0}, "rows is the most rows to return; not 0"),
        ("describe", {"kind": "spcaes"}, "kind is what to describe.*not 'spcaes'"),
        ("compare", {"studies": ["a"]}, "studies is names of two or more studies"),
        ("compare", {"studies": ["a", "a"]}, "two studies or more are compared, not 1"),
        (
            "compare",
            {"studies": ["a", "other"]},
            r"same objectives are compared: 'a' has .*, 'other' accuracy \(max\), macs \(min\)",
        ),
        ("run", {"budget": "many"}, "budget is candidates to evaluate in the whole study; not 'many'"),
        ("run", {"seconds": 1e6}, "seconds is at most 600 on this server, not 1e.06"),
        ("run", {"workers": 64}, "workers is from 1 to 1 on this server, not 64"),
        ("export", {"study": "a", "to": "x", "format": "onxn"}, "unknown format 'onxn'.*Did you mean 'onnx'?"),
        ("export", {"study": "a", "to": "x", "trial": 99}, "'a' has candidates 0 to .*, not 99"),
        ("run", {"evaluation": {"polcy": "fair"}}, "unknown setting of shared weights 'polcy'.*Did you mean 'policy'"),
        ("compress", {"model": "os:abort", "data": "digits", "constraints": {}}, "has to be started with --allow-code"),
    ],
)
def test_bad_input_is_an_error_of_the_tool_in_one_sentence(
    client: Client, tool: str, given: dict[str, Any], said: str
) -> None:
    answer = client.call(tool, **given)
    assert answer.isError
    (content,) = answer.content
    with pytest.raises(SearchkitError, match=said):
        raise SearchkitError(content.text)  # type: ignore[union-attr]
    assert "\n" not in content.text  # type: ignore[union-attr]
    assert "Traceback" not in content.text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"strategy": "bayes"}, "unknown strategy 'bayes'"),
        ({"space": "macr"}, "unknown space 'macr'.*Did you mean 'macro'"),
        ({"objectives": ["accurcy"]}, "unknown objective 'accurcy'.*Did you mean 'accuracy'"),
        ({"constraints": {"parms": 10}}, "unknown constraint 'parms'.*Did you mean 'params'"),
        ({"constraints": {"params": [1.0]}}, r"a bound is a number or \[low, high\]"),
        ({"data_options": {"limt": 5}}, "unknown data option 'limt'.*Did you mean 'limit'"),
        ({"data_options": {"transform": "x"}}, "unknown data option 'transform'"),
        ({"space": None, "space_options": {"width": 4}}, "space_options needs space"),
        (
            {"space_options": {"input_shape": [1, 1e9, 1e9]}},
            "input_shape of space 'nas-bench-201' is what the data have",
        ),
        ({"budget": 0}, "budget"),
        ({"earlier": ["gone"]}, "unknown study"),
        ({"start": ["gone"]}, "unknown study"),
        ({"start": [{"width": 8}]}, "width"),
        ({"recipe": {"lrr": 0.1}}, "Did you mean 'lr'"),
    ],
)
def test_a_search_refuses_what_searchkit_refuses(given: dict[str, Any], said: str, folder: Path) -> None:
    settings = Settings(storage=str(folder / "runs"))
    with pytest.raises(SearchkitError, match=said):
        search(read_input("run", SearchInput, SMALL | {"name": "refused"} | given), settings, print)
    assert not list((folder / "runs").glob("refused*"))


def test_a_plan_is_told_without_a_search(tmp_path: Path) -> None:
    settings = Settings(storage=str(tmp_path / "runs"))
    found = search(read_input("run", SearchInput, SMALL | {"budget": 2, "plan_only": True}), settings, print)
    assert any("2" in line for line in found["plan"])
    assert not (tmp_path / "runs").exists()


def test_candidates_are_scored_and_their_order_judged() -> None:
    given = SPACE | {"data": "digits", "data_options": {"limit": 100}, "proxies": ["params", "macs"], "candidates": 5}
    found = score(read_input("score", ScoreInput, given), NOWHERE, print)
    assert len(found["candidates"]) == 5
    assert {"params", "macs", "judgement", "edge_0_to_1"} <= set(found["candidates"][0])
    assert "trust" not in found


@pytest.mark.slow
def test_a_network_is_compressed_where_the_server_allows_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "of_a_user.py").write_text(
        "from torch import nn\n"
        "def model():\n"
        "    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)).eval()\n"
        "def nothing(): return 1\n"
    )
    less = partial(searchkit.compress, learning=LearningSetting(least=20, passes=0.1))
    monkeypatch.setattr("searchkit.compressing.compress", less)
    settings = Settings(storage=str(tmp_path / "runs"), exports=str(tmp_path / "out"), allow_code=True)
    few = searchkit.load_data("digits", limit=200).train
    np.savez(tmp_path / "few.npz", X=few.x.numpy(), y=few.y.numpy())
    given = {"data": "few.npz", "constraints": {"params": "80%"}, "epochs": 0, "export_to": "small", "name": "c"}
    read = partial(read_input, "compress", CompressInput)
    found = compress(read(given | {"model": "of_a_user:model"}), settings, print)
    assert found["networks"][0]["params"] <= 0.8 * found["original"]["params"]
    assert [Path(file).name for file in found["files"]] == ["small.onnx", "small.safetensors", "small.json"]
    for wrong, said in (
        ("of_a_user", "is MODULE:FUNCTION"),
        ("of_a_user:modle", "gives no network: AttributeError"),
        ("of_a_user:nothing", "returned 1, not a torch.nn.Module"),
    ):
        with pytest.raises(SearchkitError, match=said):
            compress(read(given | {"model": wrong}), settings, print)
    with pytest.raises(SearchkitError, match="has to be started with --allow-code"):
        compress(read(given | {"model": "of_a_user:model"}), replace(settings, allow_code=False), print)


@pytest.mark.slow
def test_the_command_serves_and_nothing_but_the_protocol_is_on_its_output(tmp_path: Path) -> None:
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
    lines = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_studies", "arguments": {}}},
    ]
    code = (
        "import os, sys\n"
        "from searchkit.cli import main\n"
        "from searchkit.integrations.mcp import reading\n"
        "listed = reading.list_studies\n"
        "def noisy(*given):\n"
        "    print('from Python'); os.write(1, b'from C\\n'); os.system('echo from a process')\n"
        "    return listed(*given)\n"
        "reading.list_studies = noisy\n"
        "sys.exit(main(['mcp', '--storage', 'runs']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(json.dumps(line) + "\n" for line in lines))
    process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for _ in range(2)]
    rest, errors = process.communicate()  # closes its input
    assert [answer["id"] for answer in answers] == [0, 1]
    assert answers[1]["result"]["structuredContent"] == {"storage": "runs", "studies": []}
    assert rest == ""
    assert process.returncode == 0
    for said in ("from Python", "from C", "from a process"):
        assert said in errors


@pytest.mark.thorough
def test_a_call_whose_server_is_gone_ends_as_if_it_were_interrupted(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "searchkit.integrations.mcp.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    settings = {"storage": str(tmp_path / "runs")}
    arguments = SMALL | {"name": "orphan", "budget": 2000}
    request = {"tool": "run", "arguments": json.dumps(arguments), "settings": json.dumps(settings)}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["progress"] == 1
    rest, _ = process.communicate()
    last = json.loads(rest.splitlines()[-1])
    assert last["result"]["stopped"] == "interrupted"
    assert process.returncode == 0
    assert 1 <= len(searchkit.load("orphan", tmp_path / "runs").trials) < 2000
    assert made("orphan", tmp_path / "runs", budget=1).stopped == "the budget is spent"


@pytest.mark.slow
def test_a_call_ends_at_the_longest_time_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "STARTING", 0.0)
    monkeypatch.setattr(jobs, "SILENCE", 0.3)
    heard = list[tuple[float, str]]()
    settings = Settings(storage=str(tmp_path / "runs"), max_seconds=6.0)
    given = read_input("run", SearchInput, SMALL | {"name": "bounded", "budget": 100_000})

    async def hear(done: float, total: float | None, message: str) -> None:
        heard.append((done, message))

    async def called() -> dict[str, Any]:
        try:
            return await jobs.called_apart("run", given, settings, hear)
        except SearchkitError as error:  # where libraries take as long to load
            return {"stopped": str(error), "candidates": 0}

    found = anyio.run(called)
    assert "interrupted" in found["stopped"] or "6 s, the limit of this server" in found["stopped"]
    assert found["candidates"] < 100_000
    assert heard[0][1].startswith("running for ")  # while it loads libraries
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})


def test_a_process_that_dies_ends_its_call_and_not_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    given = read_input("export", ExportInput, {"study": "a", "to": "x"})

    async def ignore(*progress: object) -> None: ...

    with pytest.raises(SearchkitError, match="the process of export ended without an answer"):
        anyio.run(jobs.called_apart, "export", given, NOWHERE, ignore)


@pytest.mark.slow
def test_a_process_that_does_not_end_when_it_is_told_to_is_killed_and_its_call_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = tmp_path / "stubborn"
    stubborn.write_text(f"#!/bin/sh\necho $$ > {tmp_path / 'number'}\nexec sleep 600\n")
    stubborn.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stubborn))
    monkeypatch.setattr(jobs, "STARTING", 0.5)
    monkeypatch.setattr(jobs, "GRACE", 0.2)
    given = read_input("score", ScoreInput, {})

    async def ignore(*progress: object) -> None: ...

    with pytest.raises(SearchkitError, match=r"score was stopped after 0\.5 s, the limit of this server"):
        anyio.run(jobs.called_apart, "score", given, Settings(max_seconds=0.5), ignore)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "number").read_text()), 0)


def test_two_scores_or_exports_run_at_once_and_a_third_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = list[str]()

    async def ignore(*progress: object) -> None: ...

    async def at_once() -> None:
        desk, begun, go_on = Desk(NOWHERE), list[str](), anyio.Event()

        async def waiting(name: str, *given: object) -> dict[str, object]:
            begun.append(name)
            await go_on.wait()
            return {"from": name}

        monkeypatch.setattr(server, "called_apart", waiting)

        async def ask(tool: str, given: dict[str, object]) -> None:
            answer = await desk.answer(tool, given, ignore)
            answers.append(answer.content[0].text)  # type: ignore[union-attr]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "score", {})
            tasks.start_soon(ask, "export", {"study": "a", "to": "x"})
            tasks.start_soon(ask, "run", {})
            while len(begun) < 3:
                await anyio.sleep(0.01)
            await ask("score", {})
            go_on.set()
        await ask("score", {})

    anyio.run(at_once)
    refused, *others = answers
    assert refused == "score and export of 'a' are running on this server: wait for one of them, or cancel it"
    assert sorted(json.loads(one)["from"] for one in others) == ["export", "run", "score", "score"]


def test_a_server_that_cannot_be_is_refused_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong, said in (
        (["--max-seconds", "-1"], "--max-seconds is a number above 0, not -1"),
        (["--max-seconds", "nan"], "--max-seconds is a number above 0, not nan"),
        (["--max-workers", "0"], "--max-workers must be at least 1, not 0"),
        (["--storage", "memory"], "memory"),
    ):
        assert main(["mcp", *wrong]) == 2
        assert said in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp"]) == 2
    assert 'pip install "searchkit-nas[mcp]"' in capsys.readouterr().err


@pytest.mark.slow
def test_an_unknown_argument_is_told_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown argument of run 'epoch'.*Did you mean 'epochs'"):
        read_input("run", SearchInput, {"epoch": 3})


@pytest.mark.slow
def test_the_page_has_every_tool_and_option_and_a_configuration_that_is_read() -> None:
    page = (ROOT / "docs" / "how-to" / "assistants.md").read_text()
    assert [name for name in TOOLS if f"| `{name}` |" not in page] == []
    (block,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (server,) = json.loads(block)["mcpServers"].values()
    given = parser().parse_args(server["args"])
    assert (server["command"], given.command) == ("searchkit", "mcp")
    assert settings_of(given).max_seconds == 900
    for option in ("--storage", "--exports", "--max-seconds", "--max-workers", "--allow-code"):
        assert f"| `{option}` |" in page
