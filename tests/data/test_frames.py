"""Data frames with text, categories, dates and missing values: encoded by the train part, kept with the network."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import searchkit
from searchkit import load_data
from searchkit.cli import main
from searchkit.data import Data
from searchkit.data.frames import FrameEncoder
from searchkit.errors import DataError, SearchkitError

N = 150
RNG = np.random.default_rng(0)
Y = np.array(["little", "much"])[np.arange(N) % 2]


def missing_in(values: Any, *rows: int) -> pd.Series:
    made = pd.Series(values).copy()
    made.iloc[list(rows)] = None
    return made


FRAME = pd.DataFrame(
    {
        "age": missing_in(RNG.normal(50, 10, N).round(2), *range(0, N, 10)),
        "member": pd.Series(RNG.random(N) < 0.5, dtype="boolean"),
        "city": missing_in(RNG.choice(["Oslo", "Rome", "Paris"], N), *range(3, N, 10)),
        "grade": pd.Categorical(RNG.integers(1, 4, N)),
        "seen": missing_in(
            pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 17_000, N), "h"), *range(5, N, 10)
        ),
        "stayed": pd.to_timedelta(RNG.integers(1, 99, N), "h"),
        "spends": Y,
    }
)
X = FRAME.drop(columns="spends")
NUMBERS = pd.DataFrame(RNG.normal(size=(N, 3)), columns=list("abc"))


def encoder_of(data: Data) -> FrameEncoder:
    assert data.encoder is not None
    return data.encoder


def feature(data: Data, frame: pd.DataFrame, name: str) -> list[float]:
    encoder = encoder_of(data)
    found: list[float] = encoder.transform(frame)[:, encoder.feature_names.index(name)].tolist()
    return found


DATA = load_data((FRAME, "spends"))
ROWS = load_data((np.arange(N)[:, None], Y), kind="table").train.x[:, 0].int().tolist()  # of the train part
FIRST = FRAME["seen"][ROWS].min().date()


def test_a_column_is_y_by_its_name_and_no_feature() -> None:
    assert DATA.kind == "table"
    assert DATA.classes == ("little", "much")
    assert DATA.fingerprint == load_data((X, FRAME["spends"])).fingerprint
    assert "spends" not in encoder_of(DATA).columns
    with pytest.raises(DataError, match=r"lacks column 'spend'; it has .*; did you mean 'spends'\?"):
        load_data((FRAME, "spend"))
    with pytest.raises(DataError, match="a data frame alone does not say what is y: give .frame, 'price'."):
        load_data(FRAME)
    with pytest.raises(DataError, match="no column beside 'spends'"):
        load_data((FRAME[["spends"]], "spends"))
    both = load_data(((FRAME[:100], "spends"), (FRAME[100:], "spends")))
    assert len(both.test) == 50


def test_features_have_readable_names_and_the_values_that_these_say() -> None:
    names = encoder_of(DATA).feature_names
    assert names == (
        "age", "member", "stayed (days)", "age is missing",
        "city=Oslo", "city=Paris", "city=Rome", "city is missing", "grade=1", "grade=2", "grade=3",
        f"seen days since {FIRST}", "seen year", "seen month", "seen weekday", "seen hour", "seen is missing",
    )  # fmt: skip
    rows = FRAME.iloc[[1, 3, 5, 10]]
    made = encoder_of(DATA).transform(rows)
    assert made.dtype == np.float32
    assert made.shape == (4, len(names))
    assert feature(DATA, rows, "city is missing") == [0, 1, 0, 0]
    assert feature(DATA, rows, "age is missing") == [0, 0, 0, 1]
    assert feature(DATA, rows, "seen is missing") == [0, 0, 1, 0]
    when = FRAME["seen"][1]
    days = (when - pd.Timestamp(FIRST)) / pd.Timedelta("1D")
    assert feature(DATA, rows, f"seen days since {FIRST}")[0] == pytest.approx(days)
    parts = {"year": when.year, "month": when.month, "weekday": when.weekday(), "hour": when.hour}
    assert {name: feature(DATA, rows, f"seen {name}")[0] for name in parts} == parts
    assert feature(DATA, rows, "stayed (days)")[0] == pytest.approx(FRAME["stayed"][1] / pd.Timedelta("1D"))
    assert feature(DATA, rows, f"grade={FRAME['grade'][1]}")[0] == 1


def test_the_split_is_that_of_a_table_and_the_encoder_knows_the_train_part_alone() -> None:
    numbered = FRAME.assign(age=np.arange(N) * 1.0)
    data, plain = load_data((numbered, "spends"), seed=3), load_data((np.arange(N)[:, None], Y), seed=3, kind="table")
    for ours, theirs in ((data.train, plain.train), (data.val, plain.val), (data.test, plain.test)):
        assert ours.x[:, 0].tolist() == theirs.x[:, 0].tolist()
        assert ours.y.tolist() == theirs.y.tolist()
    rows = plain.train.x[:, 0].int().tolist()
    others = [row for row in range(N) if row not in rows]
    changed = numbered.copy()
    changed.loc[others, ["age", "city"]] = [1e4, "Vienna"]
    again = load_data((changed, "spends"), seed=3)
    assert torch.equal(again.train.x, data.train.x)
    assert encoder_of(again).feature_names == encoder_of(data).feature_names


def test_new_rows_may_have_other_orders_unknown_values_and_gaps_anywhere() -> None:
    encoder = encoder_of(DATA)
    whole = encoder.transform(FRAME)
    assert np.array_equal(encoder.transform(X[X.columns[::-1]].assign(more=1)), whole)
    assert np.array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), whole)
    assert encoder.transform(X[:0]).shape == (0, whole.shape[1])
    new = X.iloc[[1, 2]].assign(city="Vienna", member=None, seen=None, grade=[1.0, 3.0], stayed=pd.NaT)
    made = encoder.transform(new)
    assert np.isfinite(made).all()
    assert made[:, [encoder.feature_names.index(f"city={name}") for name in ("Oslo", "Rome", "Paris")]].sum() == 0
    assert feature(DATA, new, "grade=1") == [1, 0]  # a number, and in training a category


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.rename(columns={"age": "Age"}), "lacks column 'age'; it has .*did you mean 'Age'"),
        (lambda frame: frame[["age"]], "lacks columns 'member', 'city', 'grade', 'seen', 'stayed'; it has 'age'"),
        (lambda frame: frame.assign(age="old"), "column 'age' .* holds text or categories, and numbers in training"),
        (lambda frame: frame.assign(city=frame["seen"]), "column 'city' .* holds dates, and text"),
        (lambda frame: frame.assign(age=np.inf), "column 'age' of the data frame holds infinite values"),
        (lambda frame: frame.assign(age=1e300), "'age' of the data frame is too large for float32"),
        (lambda frame: frame.assign(city=[["Oslo"]] * len(frame)), "column 'city' holds lists"),
        (lambda frame: pd.concat([frame, frame["age"]], axis=1), "several columns named 'age'"),
        (lambda frame: frame.to_numpy(), "takes a data frame with the columns of training, not ndarray"),
    ],
)
def test_rows_that_cannot_be_encoded_are_refused_by_the_column(change: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        encoder_of(DATA).transform(change(X))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"tags": [["a"]] * N}, "column 'tags' holds lists; columns of a data frame hold numbers"),
        ({"z": [1j] * N, "both": [pd.Timestamp(0), "a"] * (N // 2)}, "'z', 'both' hold complex numbers and dates and"),
        ({"what": [object()] * N}, "column 'what' holds objects of type object"),
    ],
)
def test_columns_that_cannot_be_encoded_are_refused_by_name(columns: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_data((X.assign(**columns), Y))
    with pytest.raises(DataError, match="several columns named 'age'"):
        load_data((pd.concat([X, X["age"]], axis=1), Y))


def test_columns_that_say_nothing_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    odd = X.assign(key=[f"k{i}" for i in range(N)], one=1, same="a", none=None, gap=missing_in(np.ones(N), *range(40)))
    with caplog.at_level(logging.WARNING, "searchkit.data"):
        data = load_data((odd, Y))
    assert [record.getMessage() for record in caplog.records] == [
        "4 columns of the data frame left out: 'key' (all values differ), 'one' (constant), 'same' (constant), "
        "'none' (empty)"
    ]
    assert "gap is missing" in encoder_of(data).feature_names  # where it is missing says something
    assert np.array_equal(encoder_of(data).transform(X.assign(gap=odd["gap"])), encoder_of(data).transform(odd))
    data = load_data((X.assign(gap=missing_in(np.ones(N), ROWS[0]), rare=missing_in(X["age"].fillna(0), ROWS[0])), Y))
    assert encoder_of(data).left_out == {"gap": "constant"}  # but for one row
    assert "rare is missing" not in encoder_of(data).feature_names
    with pytest.raises(DataError, match="no column of the data frame says anything: 'key' .all values differ."):
        load_data((odd[["key"]], Y))


def test_a_column_of_thousands_of_names_does_not_explode_the_table() -> None:
    rng, n = np.random.default_rng(1), 4000
    names = [f"name {i}" for i in (rng.pareto(0.6, n) * 5).astype(int)]
    data = load_data((pd.DataFrame({"name": names, "a": rng.normal(size=n)}), rng.integers(0, 2, n)))
    made = [name for name in encoder_of(data).feature_names if name.startswith("name=")]
    assert 5 < len(made) <= 50
    assert made[-1] == "name=(other values)"
    assert feature(data, pd.DataFrame({"name": ["nobody"], "a": [0.0]}), made[-1]) == [1]


@pytest.mark.parametrize("frame", [NUMBERS, NUMBERS.assign(b=NUMBERS["b"] > 0, c=np.arange(N))])
def test_a_frame_of_complete_numbers_is_as_its_array(frame: pd.DataFrame) -> None:
    data = load_data((frame, Y))
    assert data.encoder is None
    assert data.fingerprint == load_data((frame.to_numpy(float), Y)).fingerprint
    with pytest.raises(DataError, match="table X holds 1 NaN or infinite value"):
        load_data((np.where(np.arange(N * 3).reshape(N, 3) == 7, np.nan, 0.0), Y))


def test_test_frames_have_the_columns_of_the_train_frame_in_any_order() -> None:
    for frame in (X, NUMBERS):
        parts = ((frame[:100], Y[:100]), (frame[frame.columns[::-1]][100:], Y[100:]))
        data = load_data(parts)
        assert data.fingerprint == load_data((parts[0], (frame[100:], Y[100:]))).fingerprint
        gone = frame.columns[1]
        with pytest.raises(DataError, match=f"data frame of the test part lacks column '{gone}'"):
            load_data((parts[0], (frame.drop(columns=gone)[100:], Y[100:])))
    with pytest.raises(DataError, match="in the test part, column 'age' .* holds text"):
        load_data(((X[:100], Y[:100]), (X.assign(age="a")[100:], Y[100:])))
    with pytest.raises(DataError, match="the train part is a data frame, and the test part is not"):
        load_data(((X[:100], Y[:100]), (np.zeros((50, 6)), Y[100:])))
    gaps = NUMBERS.where(NUMBERS < 1)
    data = load_data({"train": (NUMBERS[:80], Y[:80]), "val": (gaps[80:], Y[80:]), "test": (gaps[80:], Y[80:])})
    assert data.input_shape == (3,)  # by the medians of the train part, which has no gaps
    assert torch.isfinite(data.val.x).all()


VALUES = {
    "number": st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)),
    "text": st.one_of(st.none(), st.sampled_from(["a", "b", "", "missing", "nan"]), st.booleans(), st.integers(0, 2)),
    "date": st.one_of(st.none(), st.datetimes(), st.datetimes(timezones=st.timezones())),
}


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.data(), st.integers(12, 30))
def test_whatever_the_rows_are_features_are_finite_and_do_not_depend_on_other_rows(drawn: Any, n: int) -> None:
    columns = {kind: drawn.draw(st.lists(one, min_size=n, max_size=n)) for kind, one in VALUES.items()}
    frame = pd.DataFrame({kind: pd.Series(values, dtype=object) for kind, values in columns.items()})
    y = np.arange(n) % 2
    data = load_data((frame.assign(sure=np.arange(n), y=y, city=["x", "y", None] * (n // 3) + ["x"] * (n % 3)), "y"))
    encoder = encoder_of(data)
    whole = frame.assign(sure=np.arange(n), city="x")
    together = encoder.transform(whole)
    assert np.isfinite(together).all()
    assert together.shape == (n, len(encoder.feature_names))
    apart = np.concatenate([encoder.transform(whole.iloc[[i]]) for i in range(0, n, 7)])
    assert np.array_equal(apart, together[::7])


@pytest.mark.slow
def test_the_encoder_is_kept_with_the_study_and_beside_an_export(tmp_path: Path) -> None:
    call: dict[str, Any] = {"budget": 1, "epochs": 1, "storage": tmp_path}
    found = searchkit.run("random", data=(FRAME, "spends"), name="shop", **call)
    assert searchkit.run("random", data=(NUMBERS, Y), name="numbers", **call).encoder is None
    loaded = searchkit.load("shop", tmp_path)
    rows = FRAME.iloc[:5].drop(columns="spends")
    assert loaded.encoder is not None
    made = loaded.encoder.transform(rows)
    assert np.array_equal(made, encoder_of(DATA).transform(rows))
    logits = loaded.build(0)(torch.from_numpy(made))
    assert torch.equal(logits, found.build(0)(torch.from_numpy(made)))
    files = loaded.export(0, tmp_path / "net")
    assert [file.name for file in files] == ["net.onnx", "net.safetensors", "net.json", "net.encoder.joblib"]
    told = json.loads((tmp_path / "net.json").read_text())
    assert told["encoder"]["columns"]["city"] == "text"
    assert told["encoder"]["features"] == list(loaded.encoder.feature_names)
    assert "net.encoder.joblib" in told["sha256"]
    assert np.array_equal(joblib.load(tmp_path / told["encoder"]["file"]).transform(rows), made)
    with pytest.raises(SearchkitError, match="holds another search; it differs in data"):
        searchkit.run("random", data=(FRAME[:100], "spends"), name="shop", **call)
    assert np.array_equal(searchkit.load("shop", tmp_path).encoder.transform(rows), made)  # type: ignore[union-attr]
    assert loaded.folder is not None
    (loaded.folder / "encoder.joblib").unlink()
    with pytest.raises(SearchkitError, match="the encoder of the data frame cannot be read from"):
        _ = searchkit.load("shop", tmp_path).encoder


@pytest.mark.slow
def test_simple_models_see_the_encoded_rows_and_a_study_in_memory_has_the_encoder() -> None:
    split = load_data((FRAME.assign(city=np.where(Y == "much", "Oslo", None)), "spends"))
    found = searchkit.run(
        "random", data=split, objectives=("accuracy", "params"), budget=1, epochs=1, storage="memory", baselines=True
    )
    assert found.encoder is not None
    assert found.baselines["accuracy"].max() == 1


@pytest.mark.slow
def test_a_csv_file_is_read_where_its_target_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    FRAME.drop(columns="stayed").to_csv("shop.csv", index=False)
    data = load_data("shop.csv", target="spends")
    assert data.name == "shop"
    assert encoder_of(data).columns["seen"] == "dates"
    assert data.loaded == {"data": str(tmp_path / "shop.csv"), "target": "spends"}
    FRAME.drop(columns="stayed").to_csv("shop.tsv.gz", index=False, sep="\t")
    assert load_data("shop.tsv.gz", target="spends").fingerprint == data.fingerprint
    with pytest.raises(DataError, match=r"target='...'\), on the command line .* it has 'age', 'member', 'city'"):
        load_data("shop.csv")
    with pytest.raises(DataError, match="shop.csv lacks column 'spent'; .*did you mean 'spends'"):
        load_data("shop.csv", target="spent")
    with pytest.raises(DataError, match="target names the column y of a .csv file"):
        load_data((FRAME, Y), target="spends")
    Path("empty.csv").write_text("")
    with pytest.raises(DataError, match="empty.csv cannot be read as a table: EmptyDataError"):
        load_data("empty.csv", target="y")
    call = ["run", "--data", "shop.csv", "--data-option", "target=spends", "--strategy", "random", "--epochs", "1"]
    assert main([*call, "--budget", "1", "--name", "shop"]) == 0
    Path("shop.csv").rename("moved.csv")
    assert main(["resume", "shop", "--budget", "2", "--data", "moved.csv"]) == 0
    assert searchkit.load("shop").encoder is not None
    assert main(["run", "--data", "moved.csv", "--budget", "1"]) == 2
    assert "say which column of moved.csv is to be predicted" in capsys.readouterr().err


def test_dates_of_new_rows_may_be_text() -> None:
    frame = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=60), "n": np.arange(60.0)})
    encoder = load_data((frame, np.arange(60) % 2)).encoder
    assert encoder is not None
    new = frame[:3].assign(when=["2024-01-01", "2024-01-02", None])
    assert np.array_equal(encoder.transform(new)[:2], encoder.transform(frame[:2]))
    with pytest.raises(DataError, match="column 'when' of the data frame holds text or categories, and dates"):
        encoder.transform(frame[:1].assign(when=["soon"]))
