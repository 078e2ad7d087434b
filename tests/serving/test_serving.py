"""Pages that live show what is recorded, to this machine only, cheaply, and never touch a record."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import optuna
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError, StorageError
from searchkit.serving import Server, studies
from searchkit.serving.kept import LEAST, SHARE, Kept
from searchkit.serving.studies import FRESH, Studies
from searchkit.storage import writers
from searchkit.storage.locks import claim_study
from searchkit.storage.owners import signature_in
from searchkit.storage.writers import LOCKS, OF_THE_MACHINE, Locks

SPACE = Space([Choice("a", range(6)), Choice("b", range(4))], name="grid")
EVIL = "../<script>alert(1)</script>&\"' %2e%2e/"


def search(storage: object, name: str, budget: int = 6, of: int | None = None) -> searchkit.Result:
    """A study of some candidates, of a budget of more where ``of`` says so."""

    def end(_: object, trials: list) -> None:
        if sum(trial.finished for trial in trials) >= budget:
            raise searchkit.StopSearch("enough")

    return searchkit.run(
        "random",
        space=SPACE,
        evaluate=lambda c: {"loss": c["a"] - 0.1 * c["b"], "size": 10 - c["a"] * c["b"]} if c["a"] != 5 else 1 / 0,
        objectives={"loss": "min", "size": "min"},
        budget=of or budget,
        callbacks=[end],
        storage=storage,
        name=name,
        progress=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    search(tmp_path / "runs", "first")
    search(tmp_path / "runs", "second", of=20)
    return tmp_path / "runs"


@pytest.fixture
def served(folder: Path) -> Iterator[Server]:
    with Server(folder, port=0) as server:
        yield server


def asked(server: Server, path: str, method: str = "GET", **headers: str) -> SimpleNamespace:
    """An answer: its status, its headers and its text."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return SimpleNamespace(status=answer.status, headers=answer.headers, text=answer.read().decode())
    finally:
        connection.close()


def study(server: Server, name: str) -> SimpleNamespace:
    return asked(server, f"/study?name={quote(name, safe='')}")


@pytest.mark.slow
def test_every_study_of_a_folder_is_listed_and_leads_to_its_report(served: Server, folder: Path) -> None:
    listed = asked(served, "/")
    assert listed.status == 200
    assert re.findall(r'href="(/study[^"]*)">(\w+)</a>', listed.text) == [
        ("/study?name=second", "second"),
        ("/study?name=first", "first"),
    ]
    assert "6 of 20 evaluations" in listed.text
    assert "best loss" in listed.text
    assert study(served, "first").status == 200
    page = searchkit.load("first", folder).report(folder / "page.html").read_text(encoding="utf-8")
    main = re.search("<main>.*</main>", page, re.DOTALL)
    assert main is not None
    assert main[0] in study(served, "first").text  # one report, and no second one that is like it


def test_pages_load_nothing_from_elsewhere_and_are_not_kept_by_browsers(served: Server) -> None:
    for path in ("/", "/study?name=first", "/study?name=none", "/status"):
        answer = asked(served, path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Python" not in str(answer.headers)
        assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", answer.text)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_pages_are_only_read(served: Server, method: str) -> None:
    answer = asked(served, "/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_head_request_gets_the_headers_of_the_page_alone(served: Server) -> None:
    whole, head = asked(served, "/"), asked(served, "/", "HEAD")
    assert head.text == ""
    assert head.headers["Content-Length"] == str(len(whole.text.encode()))


def test_a_page_that_points_its_own_name_to_this_machine_reads_nothing(served: Server) -> None:
    for name in ("127.0.0.1", "localhost", "[::1]", "LocalHost"):
        assert asked(served, "/", Host=f"{name}:{served.port}").status == 200
    right, other = served.port, served.port + 1
    for host in (f"evil.example:{right}", f"127.0.0.1.evil.example:{right}", f"localhost:{other}", "localhost", "",
                 f"a@localhost:{right}"):  # fmt: skip
        answer = asked(served, "/", Host=host)
        assert answer.status == 421
        assert "first" not in answer.text
        assert f"127.0.0.1:{served.port}" in answer.text
    assert asked(served, f"http://evil.example:{served.port}/").status == 421


@pytest.mark.parametrize(
    "path",
    ["/study?name=../first", "/study", "/study/../../etc/passwd", "/first.journal", "/study?name=%00", "/%2e%2e/",
     "/study?name=%ff", "/study?" + "name=a&" * 9, "/live.js", "/study?name=first/..", "/study/?name=first"],
)  # fmt: skip
def test_what_is_no_page_is_not_found(served: Server, path: str) -> None:
    assert asked(served, path).status == 404


def test_an_unknown_study_is_told_with_the_nearest_name(served: Server) -> None:
    answer = study(served, "frist")
    assert answer.status == 404
    assert "Did you mean &#x27;first&#x27;?" in answer.text
    assert asked(served, "/study/status?name=frist").status == 404


@pytest.mark.slow
def test_the_name_of_a_study_is_text_whatever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    search("sqlite:///odd.db", "first", 2)
    with sqlite3.connect("odd.db") as database:
        database.execute("UPDATE studies SET study_name = ?", (EVIL,))
    database.close()
    there = sorted(tmp_path.rglob("*"))
    with Server("sqlite:///odd.db", port=0) as server:
        listed = asked(server, "/")
        assert "<script>alert" not in listed.text
        assert f'href="/study?name={quote(EVIL, safe="")}"' in listed.text
        page = study(server, EVIL)
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "alert(1)" in page.text
    assert sorted(tmp_path.rglob("*")) == there


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.slow
def test_a_report_is_made_only_when_its_record_has_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    load = studies.load
    monkeypatch.setattr(studies, "load", lambda name, place: made.append(name) or load(name, place))
    clock = Clock()
    shown = Studies(folder, clock)
    version = shown.shown("second").version
    for _ in range(3):
        clock.now += 100
        assert (shown.seen("second").version, shown.shown("second").version) == (version, version)
    assert made == ["second"]
    search(folder, "second", 8, of=20)
    clock.now += 100
    assert shown.seen("second").version != version
    assert made == ["second"]  # to ask makes nothing
    assert "8 outcomes" in shown.shown("second").report.main
    assert shown.seen("second").version == shown.shown("second").version
    assert made == ["second", "second"]


def test_what_takes_long_is_made_again_in_proportion() -> None:
    clock, made = Clock(), []

    def slow(_: int | None) -> int:
        clock.now += 3
        made.append(clock.now)
        return len(made)

    kept: Kept[int] = Kept(threading.RLock(), clock)
    assert kept.get("a", slow) == 1
    clock.now += LEAST
    assert [kept.get(key, slow) for key in "bcd"] == [2, 2, 2]
    assert not kept.due("c")
    clock.now += 3 / SHARE - 3
    assert kept.due("c")
    assert not kept.due("b")
    assert [kept.get(key, slow) for key in "cde"] == [3, 3, 3]


def test_nothing_is_made_twice_at_once() -> None:
    at_work, most, began = [], [], threading.Barrier(4)
    lock = threading.RLock()
    several = [Kept[str](lock), Kept[str](lock)]

    def make(_: str | None) -> str:
        at_work.append(1)
        most.append(len(at_work))
        threading.Event().wait(0.02)
        at_work.pop()
        return "made"

    def ask(kept: Kept[str]) -> None:
        began.wait()
        assert kept.get("key", make) == "made"

    threads = [threading.Thread(target=ask, args=(several[i % 2],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1]  # once each, one after the other


def test_to_look_leaves_every_file_as_it_was_and_turns_no_search_away(served: Server, folder: Path) -> None:
    def seen() -> dict[str, tuple]:
        return {
            p.name: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir() if p.is_file()
        }

    before = seen()
    for path in ("/", "/status", "/study?name=first", "/study?name=second", "/study/status?name=second"):
        assert asked(served, path).status == 200
    assert seen() == before
    assert sum(trial.finished for trial in search(folder, "second", 9, of=20).trials) == 9


@pytest.mark.skipif(not LOCKS.exists(), reason="this system lists no locks")
def test_a_study_runs_as_long_as_a_search_holds_it(folder: Path) -> None:
    clock = Clock()
    shown = Studies(folder, clock)
    assert shown.listing().words == {"first": "ended", "second": "stopped"}
    claim = claim_study(folder, "second")
    clock.now += FRESH
    assert shown.listing().words == {"first": "ended", "second": "running"}
    claim.release()
    clock.now += FRESH
    assert shown.listing().words["second"] == "stopped"  # though the process that held it goes on


def test_where_no_locks_are_listed_only_a_process_that_is_gone_is_known_to_write_nothing(folder: Path) -> None:
    lock = folder / ".second.journal.driver"
    assert Locks(None).is_written(folder, "second") is None  # the text stays in the file after its release
    assert Studies(folder).listing().rows["first"].word(Locks(None)) == "ended"
    where = lock.read_text().partition("\n")[2]
    lock.write_text(f"process {ended_process()} on {socket.gethostname()}\n{where}")
    assert Locks(None).is_written(folder, "second") is False
    lock.write_text("process 1 on a-machine-elsewhere")
    assert Locks(None).is_written(folder, "second") is None
    assert Locks(frozenset()).is_written(folder, "second") is None
    lock.unlink()
    assert Locks(None).is_written(folder, "second") is False


def ended_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.mark.parametrize(
    ("theirs", "ours", "listed", "expected"),
    [
        ("17", "17", {0}, True),  # whatever the number means here, the list says so
        ("18", "17", {0}, True),
        ("17", "17", {1}, False),
        ("17", "17", set(), False),
        ("18", "17", {1}, None),
        ("18", "17", set(), None),
        ("", "17", {1}, None),
        ("18", OF_THE_MACHINE, {1}, False),  # from which all locks are seen
        ("18", OF_THE_MACHINE, set(), None),
        ("", OF_THE_MACHINE, {1}, False),
        ("", OF_THE_MACHINE, set(), False),  # by its number
    ],
)
def test_a_search_in_another_container_is_not_told_as_stopped(
    theirs: str, ours: str, listed: set[int], expected: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is none of this namespace; the list has its lock (0) or another one."""
    monkeypatch.setattr(writers, "namespace", lambda: ours)
    monkeypatch.setattr(writers, "is_gone", lambda process: process.startswith("process 4711 on "))
    lock = tmp_path / ".s.journal.driver"
    lock.write_text(f"process 4711 on {socket.gethostname()}\n{theirs}")
    inode = lock.stat().st_ino
    assert Locks(frozenset(inode + i for i in listed)).is_written(tmp_path, "s") is expected


@pytest.mark.skipif(os.name != "posix", reason="there are no pipes")
def test_nothing_is_read_of_a_claim_that_is_a_pipe_or_a_device_and_little_of_a_long_one(folder: Path) -> None:
    lock = folder / ".second.journal.driver"
    lock.unlink()
    os.mkfifo(lock)
    assert Locks(frozenset({1})).is_written(folder, "second") is not True
    lock.unlink()
    lock.symlink_to("/dev/zero")
    assert Locks(frozenset({1})).is_written(folder, "second") is not True
    assert signature_in(lock) is None
    lock.unlink()
    lock.write_text("x" * 1_000)
    assert signature_in(lock) == "x" * 100


def test_a_search_that_evaluated_every_candidate_has_ended(folder: Path) -> None:
    """The grid has 24 candidates, so that the budget is never used up."""
    assert sum(trial.finished for trial in search(folder, "second", 100, of=100).trials) == 24
    assert Studies(folder).listing().words["second"] == "ended"


def test_a_study_that_is_deleted_while_it_is_shown_stays_as_it_was_and_says_so(folder: Path) -> None:
    clock = Clock()
    shown = Studies(folder, clock)
    before = shown.shown("first")
    (folder / "first.journal").unlink()
    clock.now += FRESH
    after = shown.shown("first")
    assert after.problem == f"the record of 'first' is no longer in {folder}"
    assert (after.word, after.report) == ("gone", before.report)
    assert after.version == shown.seen("first").version != before.version
    assert "first" not in shown.listing().rows
    search(folder, "first", 3)
    clock.now += 100
    assert shown.shown("first").word == "ended"


@pytest.mark.slow
def test_a_deleted_study_is_answered_as_gone_with_what_was_shown_last(served: Server, folder: Path) -> None:
    assert study(served, "first").status == 200
    (folder / "first.journal").unlink()
    wait_for(lambda: study(served, "first").status == 410)
    gone = study(served, "first")
    assert "is no longer in" in gone.text
    assert 'id="candidates"' in gone.text
    assert study(served, "second").status == 200


def wait_for(seen: Callable[[], bool]) -> None:
    """Until something is seen; a list is a second old at most."""
    for _ in range(200):
        if seen():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it was not seen")


@pytest.mark.slow
def test_the_page_of_a_damaged_record_says_what_is_wrong_and_others_go_on(folder: Path) -> None:
    clock, journal = Clock(), folder / "first.journal"
    shown = Studies(folder, clock)
    before, whole = shown.shown("first"), journal.read_text()
    lines = whole.splitlines(keepends=True)
    journal.write_text("".join([*lines[:5], "{no json\n", *lines[5:]]))
    for _ in range(2):
        clock.now += 1.1  # also while it is not tried again
        after = shown.shown("first")
        assert "line 6" in after.problem
        assert (after.word, after.report) == ("damaged", before.report)
        assert shown.seen("first").version == after.version  # or the page would fetch it for ever
    assert shown.shown("second").problem == ""
    journal.write_text(whole)
    clock.now += 100
    assert shown.shown("first").problem == ""
    assert "line 6" not in shown.shown("first").report.main


@pytest.mark.parametrize("called", ["a\ud800b", 5, [1], {}])
def test_a_journal_whose_study_has_no_text_as_its_name_is_one_damaged_row(called: object, folder: Path) -> None:
    log = json.dumps({"op_code": 0, "worker_id": "w", "study_name": called, "directions": [1]})
    (folder / "odd.journal").write_text(log + "\n")
    shown = Studies(folder)
    assert shown.listing().words == {"first": "ended", "second": "stopped", "odd": "damaged"}
    assert "is damaged in line 1 (the name of its study" in shown.shown("odd").problem


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
def test_a_file_whose_name_is_no_text_is_shown_and_hides_no_other(served: Server, folder: Path) -> None:
    (folder / "bad\udcff.journal").write_text("no journal\n")
    (folder / "fine\udcff.journal").write_bytes((folder / "first.journal").read_bytes())
    (folder / "first.journal").unlink()
    (folder / "loop.journal").symlink_to("loop.journal")
    (folder / "dangling.journal").symlink_to("nowhere")
    (folder / ".journal").write_text("")
    listed = asked(served, "/")
    assert (listed.status, listed.text.count("<li ")) == (200, 4)
    for name, wanted in (("bad\\udcff", "is not a journal"), ("loop", "leads back to itself"), ("first", "6 outcomes"),
                         ("second", "6 outcomes")):  # fmt: skip
        assert f'href="/study?name={quote(name, safe="")}"' in listed.text
        page = study(served, name)
        assert page.status == 200
        assert wanted in page.text


def test_a_study_that_cannot_be_listed_for_any_reason_hides_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = studies.found_studies

    def odd(place: Path) -> object:
        if place.stem == "first":
            raise RuntimeError("nobody thought of this")
        return found(place)

    monkeypatch.setattr(studies, "found_studies", odd)
    assert Studies(folder).listing().words == {"first": "damaged", "second": "stopped"}


def test_an_error_that_passes_is_tried_again_while_its_record_stays_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, tried = Clock(), []
    shown = Studies(folder, clock)
    load = studies.load

    def fails(*given: object) -> None:
        tried.append(given)
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as full:
        full.setattr(studies, "found_studies", fails)
        assert set(shown.listing().words.values()) == {"damaged"}
        for _ in range(100):
            clock.now += FRESH
            shown.listing()
        assert 4 < len(tried) < 20  # ever less often
    clock.now += 100
    assert shown.listing().words == {"first": "ended", "second": "stopped"}
    monkeypatch.setattr(studies, "load", fails)
    first = shown.shown("first")
    assert "Too many open files" in first.problem
    assert shown.seen("first").version == first.version
    monkeypatch.setattr(studies, "load", load)
    clock.now += 100
    assert shown.seen("first").version != first.version  # so that the page asks for it
    assert shown.shown("first").problem == ""
    assert shown.seen("first").version == shown.shown("first").version


def test_a_page_waits_shortly_for_a_locked_database_and_sees_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, clock, waited = f"sqlite:///{tmp_path / 's.db'}", Clock(), []
    monkeypatch.chdir(tmp_path)
    search(url, "s", 2)
    monkeypatch.setattr(studies, "PATIENCE", 1)
    shown = Studies(url, clock)
    connect = sqlite3.connect

    def connected(*given: object, timeout: float = 5.0, **more: object) -> sqlite3.Connection:
        waited.append(timeout)
        return connect(*given, timeout=0, **more)

    with contextlib.closing(connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("sqlite3.dbapi2.connect", connected)
        assert "database is locked" in shown.listing().problem
        other.execute("ROLLBACK")
    clock.now += 10
    assert (shown.listing().problem, list(shown.listing().rows)) == ("", ["s"])
    assert set(waited) == {1}


def test_what_is_kept_is_served_while_another_report_is_being_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    shown = Studies(folder, clock)
    before = shown.shown("second")
    began, end, load = threading.Event(), threading.Event(), studies.load

    def slow(name: str, place: Path) -> searchkit.Result:
        began.set()
        end.wait(60)
        return load(name, place)

    monkeypatch.setattr(studies, "load", slow)
    making = threading.Thread(target=shown.shown, args=("first",))
    making.start()
    assert began.wait(60)
    clock.now += FRESH
    claim = claim_study(folder, "second")
    assert shown.shown("second").report is before.report
    assert shown.seen("second").word == ("running" if LOCKS.exists() else "begun")  # states need no reading
    claim.release()
    assert making.is_alive()
    end.set()
    making.join()
    assert "6 outcomes" in shown.shown("first").report.main


def test_a_report_that_cannot_be_made_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "content", lambda facts: 1 / 0)
    with Server(folder, port=0) as server:
        page = study(server, "first")
        assert page.status == 200
        assert "ZeroDivisionError: division by zero." in page.text
        assert asked(server, "/").status == 200


def test_an_empty_folder_shows_what_begins_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clock = Clock()
    shown = Studies(None, clock)
    assert shown.listing().rows == {}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    search(tmp_path / "searchkit-runs", "late", 2)
    clock.now += FRESH
    assert list(shown.listing().rows) == ["late"]
    with Server(tmp_path / "elsewhere", port=0) as server:
        assert "Nothing was searched here yet" in asked(server, "/").text


@pytest.mark.parametrize("storage", ["nowhere", "nowhere.journal", "sqlite:///nowhere.db"])
def test_a_storage_that_does_not_exist_is_refused(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="does not exist"):
        Server(storage, port=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_goes_away_is_told_and_what_was_shown_stays(folder: Path) -> None:
    clock = Clock()
    shown = Studies(folder, clock)
    report = shown.shown("first").report
    folder.rename(folder.with_name("moved"))
    clock.now += FRESH
    assert shown.listing().problem == f"storage '{folder}' does not exist"
    assert shown.shown("first").report is report


@pytest.mark.slow
def test_a_change_in_one_study_of_a_database_leaves_the_report_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'both.db'}"
    monkeypatch.chdir(tmp_path)
    search(url, "one", 2)
    search(url, "other", 2, of=9)
    clock = Clock()
    shown = Studies(url, clock)
    one, other = shown.shown("one"), shown.shown("other")
    assert (one.word, other.word) == ("ended", "stopped")
    search(url, "other", 4, of=9)
    clock.now += 100
    assert shown.shown("one").report is one.report
    assert "4 outcomes" in shown.shown("other").report.main


def test_an_optuna_storage_is_shown_as_it_is() -> None:
    storage = optuna.storages.InMemoryStorage()
    search(storage, "inside", 3, of=5)
    clock = Clock()
    shown = Studies(storage, clock)
    assert shown.listing().words == {"inside": "begun"}  # nobody can tell whether somebody searches
    search(storage, "inside", 4, of=5)
    clock.now += 100
    assert "4 outcomes" in shown.shown("inside").report.main


def test_a_port_in_use_is_told_with_a_free_one(served: Server, folder: Path) -> None:
    with pytest.raises(SearchkitError, match=rf"port {served.port} is in use .* --port \d+, which is free") as told:
        Server(folder, port=served.port)
    free = int(re.findall(r"--port (\d+)", str(told.value))[0])
    with Server(folder, port=free) as other:
        assert asked(other, "/status").status == 200


@pytest.mark.parametrize("port", [-1, 65536, True, "8080"])
def test_what_is_no_port_is_refused(port: object, folder: Path) -> None:
    with pytest.raises(SearchkitError, match="a port is a whole number from 1 to 65535"):
        Server(folder, port=port)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.1.2", "my-machine", "::"])
def test_another_host_is_refused_with_how_to_see_the_pages_from_elsewhere(host: str, folder: Path) -> None:
    with pytest.raises(SearchkitError, match="this machine only.* ssh -L 8080:127.0.0.1:8080"):
        Server(folder, host=host)


def test_a_closed_server_frees_its_port(folder: Path) -> None:
    with Server(folder, port=0) as server:
        port = server.port
        asked(server, "/status")
    with pytest.raises(SearchkitError, match="was closed"):
        server.start()
    with Server(folder, port=port) as again:
        assert asked(again, "/status").status == 200


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise elsewhere")
def test_the_command_serves_until_it_is_interrupted_and_says_so_in_one_line(folder: Path) -> None:
    command = [sys.executable, "-m", "searchkit", "serve", "--storage", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        told = serving.stdout.readline()
        port = int(re.findall(r"http://127\.0\.0\.1:(\d+)/", told)[0])
        assert asked(SimpleNamespace(port=port), "/").status == 200
        serving.send_signal(signal.SIGINT)
        out, err = serving.communicate(timeout=60)
    assert (serving.returncode, out, err) == (0, "searchkit: no longer serving; the searches go on\n", "")


def test_the_command_refuses_with_a_sentence(folder: Path, served: Server, capsys: pytest.CaptureFixture) -> None:
    from searchkit.cli import main

    assert main(["serve", "--storage", str(folder), "--port", str(served.port)]) == 2
    assert f"searchkit: port {served.port} is in use" in capsys.readouterr().err
