"""compare and rm: recorded studies beside each other, and removed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import searchkit
from searchkit.cli import main
from searchkit.errors import SearchkitError
from searchkit.storage.locks import claim_study

SPACE = searchkit.Space([searchkit.Choice("a", tuple(range(10)))], name="numbers")


def study(name: str, shift: float = 0.0, storage: object = None, **given: object) -> searchkit.Result:
    given = {"objectives": {"loss": "min", "gain": "max"}, "budget": 10} | given
    return searchkit.run(
        "random", space=SPACE, name=name, storage=storage, progress=False,
        evaluate=lambda c: {"loss": c["a"] + shift, "gain": c["a"]}, **given,
    )  # fmt: skip


@pytest.fixture
def run(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, said: str | None = None) -> tuple[int, str, str]:
        if said is not None:
            monkeypatch.setattr("sys.stdin", io.StringIO(said))
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_fronts_are_compared_by_dominance_and_hypervolume(run) -> None:
    better, worse = study("better"), study("worse", 1.0)
    table = searchkit.compare([better, worse])
    assert table.front.tolist() == [10, 10]
    assert table.on_joint_front.tolist() == [10, 0]
    assert table.dominated.tolist() == [0, 10]
    # by hand: gains 0 to 9, losses 0 to 10, the reference point a tenth of the range beyond 10 and 0
    assert table.hypervolume[0] == 1.0
    assert table["best loss"].tolist() == [0, 1]
    assert table["best gain"].tolist() == [9, 9]

    def area(shift: float) -> float:
        return sum((11 - a - shift) / 10 * (0.1 if a == 0 else 1 / 9) for a in range(10))

    assert table.hypervolume[1] == pytest.approx(area(1) / area(0))
    code, out, _ = run("compare", "better", "worse", "--json", "--report", "both.html")
    assert code == 0
    assert [row["on_joint_front"] for row in json.loads(out)] == [10, 0]
    assert "worse" in Path("both.html").read_text()


def test_a_study_without_a_front_is_compared_too(run) -> None:
    empty = study("empty", constraints={"loss": -1.0})
    table = searchkit.compare([study("full"), empty])
    assert table.hypervolume.tolist() == [1, 0]
    assert searchkit.compare([empty, empty]).hypervolume.tolist() == [0, 0]


def test_what_cannot_be_compared_is_said(run) -> None:
    one = study("one")
    with pytest.raises(SearchkitError, match="two studies or more are compared, not 1"):
        searchkit.compare([one])
    other = study("other", objectives={"loss": "min"})
    with pytest.raises(SearchkitError, match=r"'one' has loss \(min\), gain \(max\), 'other' loss \(min\)"):
        searchkit.compare([one, other])
    assert "give each name once" in run("compare", "one", "one")[2]
    assert "Did you mean 'one'" in run("compare", "one", "oen")[2]


@pytest.mark.slow
@pytest.mark.parametrize("storage", [None, "all.journal", "sqlite:///all.db"])
def test_a_study_is_removed_and_others_stay(run, storage: str | None) -> None:
    for name in ("one", "two"):
        study(name, storage=storage)
    where = ("--storage", storage) if storage else ()
    (Path("searchkit-runs")).mkdir(exist_ok=True)
    code, _, err = run("rm", "one", *where, said="n\n")
    assert code == 2
    assert "nothing is removed without --yes" in err
    assert run("rm", "one", "--yes", *where)[0] == 0
    assert [row["study"] for row in json.loads(run("list", "--json", *where)[1])] == ["two"]
    assert len(searchkit.load("two", storage).trials) == 10
    assert run("rm", "one", "--yes", *where)[0] == 2
    assert len(study("one", storage=storage).trials) == 10


def test_networks_and_pictures_of_a_study_go_with_it(run) -> None:
    study("one")
    folder = Path("searchkit-runs")
    (folder / "one.networks").mkdir()
    (folder / "one.networks" / "w.safetensors").write_bytes(b"1" * 10)
    (folder / "one.png").write_bytes(b"1")
    (folder / "one-more.png").write_bytes(b"1")
    assert len(searchkit.remove("one")) == 3
    assert [file.name for file in folder.iterdir()] == ["one-more.png"]


def test_a_link_in_the_place_of_networks_goes_and_what_it_leads_to_stays(run, tmp_path: Path) -> None:
    study("one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").touch()
    (Path("searchkit-runs") / "one.networks").symlink_to(tmp_path / "elsewhere")
    assert run("rm", "one", "--yes")[0] == 0
    assert (tmp_path / "elsewhere" / "mine").exists()
    assert list(Path("searchkit-runs").iterdir()) == []


def test_values_as_large_as_floats_can_be_are_compared(run) -> None:
    both = {"loss": "min", "gain": "min"}
    sides = [
        searchkit.run(
            "random", space=SPACE, name=name, progress=False, budget=4, objectives=both, storage="memory",
            evaluate=lambda c, far=far: {"loss": (-1) ** c["a"] * far, "gain": -((-1) ** c["a"]) * far},
        )
        for name, far in (("far", 1e308), ("near", 1.0))
    ]  # fmt: skip
    table = searchkit.compare(sides)
    assert table.on_joint_front.tolist() == [2, 2] or (table.hypervolume > 0).all()
    assert ((table.hypervolume >= 0) & (table.hypervolume <= 1)).all()
    assert table.hypervolume[0] > 0


def test_a_study_that_is_being_written_is_not_removed(run) -> None:
    study("one")
    claim = claim_study(None, "one")
    try:
        code, _, err = run("rm", "one", "--yes")
    finally:
        claim.release()
    assert code == 2
    assert "study 'one' is being written by a search: wait for it, or stop it; nothing was removed" in err
    assert len(searchkit.load("one").trials) == 10
