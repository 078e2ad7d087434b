"""Labels and data of every odd kind either work or get one sentence that says what to give instead, at every door."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch.utils.data import Dataset

import searchkit
from searchkit import load_data
from searchkit.cli import main
from searchkit.errors import DataError
from searchkit.integrations.sklearn import SearchClassifier, SearchRegressor

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
IMAGES = RNG.integers(0, 256, (60, 8, 8), dtype=np.uint8)
TABLE = RNG.normal(size=(60, 5))
FRAME = pd.DataFrame(TABLE, columns=list("abcde"))


class Items(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


def changed(values: Any, place: int, value: Any) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = list(values)
    made[place] = value
    return made


WORKING: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "objects that are whole": (Y.astype(object), (0, 1, 2)),
    "a series of objects": (pd.Series(Y, dtype=object), (0, 1, 2)),
    "nullable": (pd.Series(Y, dtype="Int64"), (0, 1, 2)),
    "nullable bools": (pd.Series(Y == 1, dtype="boolean"), (False, True)),
    "objects of floats": (Y.astype(float).astype(object), (0, 1, 2)),
    "objects of both": (changed(Y, 0, 0.0), (0, 1, 2)),
    "numpy objects": (changed(Y, 0, np.int8(0)), (0, 1, 2)),
    "decimals": (np.array([Decimal(int(label)) for label in Y]), (0, 1, 2)),
    "bools of objects": ((Y == 1).astype(object), (False, True)),
    "categories": (pd.Series(np.array(["x", "y", "z"])[Y], dtype="category"), ("x", "y", "z")),
    "categories of numbers": (pd.Categorical(Y), (0, 1, 2)),
    "pandas texts": (pd.Series(np.array(["x", "y", "z"])[Y], dtype="string"), ("x", "y", "z")),
    "numpy texts": (np.array(["x", "y", "z"], dtype=np.dtypes.StringDType())[Y], ("x", "y", "z")),
    "negative": (Y - 7, (-7, -6, -5)),
    "not from 0": (Y * 5 + 3, (3, 8, 13)),
    "huge": (np.where(Y == 2, 10**9, Y), (0, 1, 10**9)),
    "beyond 32 bits": (np.where(Y == 2, 2**40, Y), (0, 1, 2**40)),
    "unsigned": (Y.astype(np.uint64) + np.uint64(2**63), (2**63, 2**63 + 1, 2**63 + 2)),
    "halves": (torch.from_numpy(Y).half(), (0, 1, 2)),
    "tensors in a list": ([torch.tensor(label) for label in Y], (0, 1, 2)),
    "texts of numbers": (Y.astype(str), ("0", "1", "2")),
    "a frame of one column": (pd.DataFrame({"y": Y}), (0, 1, 2)),
}


@pytest.mark.parametrize("kind", WORKING)
def test_labels_of_any_kind_work_and_keep_their_names(kind: str) -> None:
    labels, classes = WORKING[kind]
    for X in (IMAGES, TABLE):
        data = load_data((X, labels))
        assert data.classes == classes
        assert [type(label) for label in data.classes] == [type(label) for label in classes]
        rows = {x.numpy().tobytes(): int(y) for x, y in zip(data.train.x, data.train.y, strict=True)}
        given = [image[None].tobytes() if X is IMAGES else image.astype(np.float32).tobytes() for image in X]
        plain = (
            [classes.index(label) for label in np.asarray(labels).ravel().tolist()] if kind not in LISTS else Y.tolist()
        )
        assert all(rows[one] == plain[i] for i, one in enumerate(given) if one in rows)


LISTS = ("tensors in a list", "decimals", "numpy objects", "objects of both")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")  # of a column
@pytest.mark.parametrize("kind", [kind for kind in WORKING if kind != "tensors in a list"])
def test_the_classifier_takes_the_same_labels(kind: str) -> None:
    labels, classes = WORKING[kind]
    fitted = SearchClassifier("random", budget=1, epochs=1, random_state=0).fit(TABLE, labels)
    assert fitted.classes_.tolist() == list(classes)
    assert set(fitted.predict(TABLE).tolist()) <= set(classes)


@pytest.mark.parametrize("kind", ["objects that are whole", "nullable", "huge", "negative", "categories"])
def test_networks_are_searched_on_them(kind: str) -> None:
    labels, classes = WORKING[kind]
    result = searchkit.run("random", data=(TABLE, labels), budget=1, epochs=1, storage="memory", progress=False)
    assert result.classes == list(classes)
    assert len(result.front) == 1


ONE_HOT = np.eye(3, dtype=int)[Y]
MULTI = ONE_HOT.copy()
MULTI[2, 0] = 1
MASKED = np.ma.masked_array(TABLE, mask=np.zeros((60, 5)))
MASKED[3, 2] = np.ma.masked

REFUSED_LABELS: dict[str, tuple[Any, str]] = {
    "NA": (pd.Series(changed(Y, 5, pd.NA)), "label 5 is missing .<NA>.; 1 of 60 are missing: leave these examples out"),
    "nullable NA": (
        pd.Series(changed(Y, 5, pd.NA), dtype="Int64"),
        "label 5 is missing .nan.; leave examples without a label",
    ),
    "text NA": (pd.Series(changed(Y.astype(str), 5, pd.NA), dtype="string"), "label 5 is missing"),
    "category NA": (pd.Series(changed(Y.astype(str), 5, None), dtype="category"), "label 5 is missing"),
    "None": (["a", None] * 30, "label 1 is missing .None.; 30 of 60 are missing"),
    "NaN": (np.where(Y == 1, np.nan, Y), "label 1 is missing .nan.; leave examples without a label out"),
    "one-hot": (ONE_HOT, "one-hot labels give y.argmax"),
    "one-hot frame": (pd.DataFrame(ONE_HOT), "one-hot labels give y.argmax"),
    "one-hot lists": (ONE_HOT.tolist(), "one-hot labels give y.argmax"),
    "multi-label": (
        MULTI,
        "example 2 has 2 labels. For several labels at once load them with .*task='multilabel'",
    ),
    "multi-label lists": ([["a", "b"], ["a"], ["c"]] * 20, "example 0 has 2. For several labels at once"),
    "multi-label sets": ([{"a"}, {"a", "b"}, {"c"}] * 20, "example 1 has 2. For several labels at once"),
    "multi-label texts": ([["a", "b"]] * 60, "For several labels at once"),
    "probabilities": (np.full((60, 3), 1 / 3), r"of probabilities; y.argmax\(axis=1\) gives the most probable classes"),
    "quantities": (RNG.normal(size=(60, 2)), "several quantities are a regression"),
    "mixed": ([1, "a", 2] * 20, "all ints, all strings or all bools, not int and str"),
    "mixed bools": (changed(Y, 0, True), "all ints, all strings or all bools, not bool and int"),
    "dates": (pd.Series(pd.date_range("2024-01-01", periods=60)), r"not datetime64\[.*\]; dates become text by"),
    "bytes": (Y.astype(bytes), "bytes become text by y.astype.str."),
    "too large": (
        changed(Y, 0, 10**30),
        "label 0 is 1000000000000000000000000000000, beyond 64 bits; give such labels as strings",
    ),
    "too large floats": (np.where(Y == 0, 1e300, Y), "label 0 is 1e.300, beyond 64 bits"),
    "halves": (changed(Y, 0, 0.5), "label 0 is 0.5; give ints, strings or bools"),
    "sparse": (sparse.csr_matrix(ONE_HOT), "labels y are a sparse csr_matrix"),
    "two examples": (
        np.r_[Y[:-2], 7, 7],
        "class 7 has 2 examples; 3 are needed.* Leave rare classes out, load_data.*rare='drop'.*rare='merge'",
    ),
    "rare classes": (
        np.r_[Y[:-3], 7, 8, 9],
        "class 7 has 1 example; .*3 classes have fewer.. Leave rare classes out, load_data",
    ),
    "fewer": (Y[:59], "there are 60 (images|rows) X but 59 labels y; give one for each"),
}


@pytest.mark.parametrize("kind", REFUSED_LABELS)
def test_labels_that_cannot_be_learned_are_refused_with_what_to_give_instead(kind: str) -> None:
    labels, said = REFUSED_LABELS[kind]
    for X in (IMAGES, TABLE):
        with pytest.raises(DataError, match=said) as told:
            load_data((X, labels), task="classification" if kind.startswith("multi-label") else None)
        assert "\n" not in str(told.value)
        asked: Any = {"objectives": ("accuracy", "params")} if kind.startswith("multi-label") else {}
        with pytest.raises(DataError, match=said):
            searchkit.run("random", data=(X, labels), budget=1, storage="memory", progress=False, **asked)


SKLEARNS = ("fewer", "NaN")  # in its own words, which its checks of estimators ask for
HERE = ("two examples", "rare classes")  # which are in the train part alone


@pytest.mark.parametrize("kind", [kind for kind in REFUSED_LABELS if kind not in HERE])
def test_the_classifier_refuses_them_too(kind: str) -> None:
    labels, said = REFUSED_LABELS[kind]
    expected = (ValueError, "inconsistent numbers of samples|NaN") if kind in SKLEARNS else (DataError, said)
    with pytest.raises(expected[0], match=expected[1]):
        SearchClassifier("random", budget=1, epochs=1).fit(TABLE, labels)


@pytest.mark.parametrize("kind", HERE)
def test_the_classifier_takes_rare_classes(kind: str) -> None:
    labels, _ = REFUSED_LABELS[kind]
    fitted = SearchClassifier("random", budget=1, epochs=1, random_state=0).fit(TABLE, labels)
    assert fitted.classes_.tolist() == np.unique(labels).tolist()


NA = FRAME.astype("Float64")
NA.loc[3, "c"] = pd.NA
ENCODED: dict[str, tuple[Any, str]] = {  # by load_data; the estimators leave that to scikit-learn's pipelines
    "NA": (NA, "table X holds 1 NaN or infinite value, the first in row 3, column 2; fill them"),
    "NA of objects": (NA.astype(object), "table X holds 1 NaN or infinite value, the first in row 3, column 2"),
    "None": (FRAME.astype(object).where(FRAME < 2, None), "NaN or infinite value"),
    "text column": (FRAME.assign(city="a", mood="b"), "columns 'city', 'mood' hold text; turn names .*get_dummies"),
    "string column": (FRAME.assign(city=pd.Series(["a"] * 60, dtype="string")), "column 'city' holds text"),
    "categories": (
        FRAME.assign(city=pd.Series(["a", "b"] * 30, dtype="category")),
        "not category: column 'city' holds text",
    ),
    "dates": (
        FRAME.assign(day=pd.date_range("2024-01-01", periods=60)),
        "column 'day' holds dates; turn dates into numbers",
    ),
    "durations": (FRAME.assign(t=pd.to_timedelta(np.arange(60), "D")), "column 't' holds dates"),
}
REFUSED_INPUTS: dict[str, tuple[Any, str]] = {
    "csr": (sparse.csr_matrix(TABLE), "sparse csr_matrix of shape .60, 5.; networks take dense arrays: give .toarray"),
    "coo array": (sparse.coo_array(TABLE), "a sparse coo_array"),
    "sparse tensor": (torch.from_numpy(TABLE).to_sparse(), "a sparse tensor; .* give X.to_dense"),
    "masked": (MASKED, "1 masked value; fill them"),
    "series": (FRAME["a"], "a Series is one feature: give X.to_frame"),
    "vector": (TABLE[:, 0], "for a table of one feature give X.reshape"),
    "date array": (np.full((60, 2), np.datetime64("2024-01-01")), "not datetime64.*dates"),
    "complex": (TABLE * 1j, "not complex128 .complex numbers.; give their real and imaginary parts"),
    "complex column": (FRAME.assign(z=1j), "column 'z' holds complex numbers"),
    "infinite column": (
        FRAME.assign(z=np.inf),
        "table X holds 60 NaN or infinite values, the first in row 0, column 5",
    ),
    "text": (TABLE.astype(str), "not <U.* .text."),
    "objects": (changed(range(60), 0, object()).reshape(60, 1), "other objects.; give an array of numbers"),
    "dictionary": ({"a": 1}, "inputs X are an array, a tensor or a list, not a dict"),
    "NaN pictures": (
        np.where(IMAGES[4, 0, 0] == IMAGES, np.nan, IMAGES),
        "NaN or infinite pixel.*the first is in image",
    ),
    "inf pictures": (
        np.where(np.arange(60)[:, None, None] == 7, np.inf, IMAGES),
        "64 NaN .* image 7.*leave such images out",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_INPUTS)
def test_inputs_that_cannot_be_learned_from_are_refused_with_what_to_give_instead(kind: str) -> None:
    X, said = REFUSED_INPUTS[kind]
    with pytest.raises(DataError, match=said) as told:
        load_data((X, Y))
    assert "\n" not in str(told.value)
    with pytest.raises(DataError, match=said):
        searchkit.run("random", data=(X, Y), budget=1, storage="memory", progress=False)


FRAMES = {kind: one for kind, one in REFUSED_INPUTS.items() if isinstance(one[0], pd.DataFrame | pd.Series)} | ENCODED


@pytest.mark.parametrize("estimator", [SearchClassifier, SearchRegressor])
@pytest.mark.parametrize("kind", [*FRAMES, "masked"])
def test_the_estimators_refuse_frames_by_their_columns(kind: str, estimator: Any) -> None:
    X, said = (REFUSED_INPUTS | FRAMES)[kind]
    with pytest.raises(DataError, match=said):
        estimator("random", budget=1, epochs=1).fit(X, Y)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (pd.Series(changed(TABLE[:, 0], 5, pd.NA)), "target 5 is nan; leave such examples out"),
        (changed(TABLE[:, 0], 5, "a"), r"targets y are numbers, not object \(text\)"),
    ],
)
def test_targets_that_are_no_numbers_are_refused(y: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_data((TABLE, y), task="regression")
    with pytest.raises(DataError, match=said):
        SearchRegressor("random", budget=1, epochs=1).fit(TABLE, y)


def test_the_regressor_takes_one_quantity() -> None:
    with pytest.raises(DataError, match="search for one quantity at a time"):
        SearchRegressor("random", budget=1, epochs=1).fit(TABLE, RNG.normal(size=(60, 2)))


@pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns")  # scikit-learn's
def test_frames_of_numbers_bools_and_numbered_categories_work() -> None:
    frame = FRAME.assign(
        flag=Y == 1,
        nullable=pd.Series(Y, dtype="Int64"),
        maybe=pd.Series(Y == 2, dtype="boolean"),
        grade=pd.Series(Y, dtype="category"),
        thin=pd.arrays.SparseArray(Y.astype(float)),
        whole=pd.Series(Y, dtype=object),
    )
    data = load_data((frame, Y))
    assert data.input_shape == (11,)
    for column, values in enumerate((Y == 1, Y, Y == 2, Y, Y, Y), start=5):
        assert sorted(torch.cat([data.train.x, data.val.x, data.test.x])[:, column].tolist()) == sorted(
            map(float, values)
        )
    SearchClassifier("random", budget=1, epochs=1).fit(frame, Y)


def test_a_column_of_pictures_is_pictures() -> None:
    pictures = pd.Series(list(IMAGES))
    assert load_data((pictures, Y)).fingerprint == load_data((IMAGES, Y)).fingerprint


DATASETS: dict[str, tuple[list[Any], str]] = {
    "one-hot": ([(image, torch.eye(3)[label]) for image, label in zip(IMAGES, Y, strict=True)], "one-hot labels give"),
    "multi-label": ([(image, torch.tensor([1, 1, 0])) for image in IMAGES], "all 60 examples have the same labels"),
    "no label": ([(image, None) for image in IMAGES], "label 0 is missing"),
    "dictionaries": ([{"x": image, "of": 1} for image in IMAGES], "item 0 .* has no label .label, .* its keys: x, of"),
    "a text": (["ab"], "item 0 .* is not a pair .image, label. and not a dictionary of them but str"),
    "unreadable": (
        [(IMAGES[0], 0), OSError("no such picture")],
        "item 1 of the dataset Items cannot be read: OSError: no",
    ),
    "NaN": ([(image / np.nan, label) for image, label in zip(IMAGES, Y, strict=True)], "NaN or infinite pixels"),
    "two examples": (list(zip(IMAGES, np.r_[Y[:-2], 7, 7], strict=True)), "class 7 has 2 examples"),
}


@pytest.mark.parametrize("kind", DATASETS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of the NaN that is made here
def test_torch_datasets_are_refused_with_what_to_give_instead(kind: str) -> None:
    items, said = DATASETS[kind]
    with pytest.raises(DataError, match=said):
        searchkit.run("random", data=Items(items), budget=1, storage="memory", progress=False)


def test_labels_of_one_element_are_labels() -> None:
    data = load_data(Items([(image, torch.tensor([label])) for image, label in zip(IMAGES, Y, strict=True)]))
    assert data.fingerprint == load_data((IMAGES, Y)).fingerprint


def _files(folder: Path) -> dict[str, tuple[Path, str]]:
    def saved(name: str, **arrays: Any) -> Path:
        np.savez(folder / name, **arrays)
        return folder / f"{name}.npz"

    (folder / "empty.npz").write_bytes(b"")
    (folder / "text.npz").write_text("a,b\n1,2\n")
    (folder / "folder.npz").mkdir()
    np.save(folder / "single.npy", IMAGES)
    (folder / "single.npy").rename(folder / "single.npz")
    whole = saved("whole", X=IMAGES, y=Y).read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    return {
        "empty": (folder / "empty.npz", "it is empty"),
        "no arrays": (saved("none"), "none.npz has no arrays; it needs X and y.*numpy.savez"),
        "no rows": (saved("rows", X=IMAGES[:0], y=Y[:0]), "images X are empty"),
        "other names": (
            saved("names", x=IMAGES, Y=Y),
            "has arrays x, Y; it needs X and y.*Is 'x' what should be called 'X'",
        ),
        "half a test set": (saved("half", X=IMAGES, y=Y, X_test=IMAGES), "both or none of X_test and y_test"),
        "objects": (
            saved("objects", X=IMAGES, y=Y.astype(object)),
            "it holds objects.*labels as ints or y.astype.str.",
        ),
        "text": (folder / "text.npz", "cannot be read: it holds objects or is no .npz file"),
        "folder": (folder / "folder.npz", "cannot be read: .*[Dd]irectory"),
        "single array": (folder / "single.npz", "it is a single array; numpy.savez"),
        "cut": (folder / "cut.npz", "cannot be read: File is not a zip file"),
        "not there": (folder / "other.npz", "cannot be read: .*No such file"),
        "one-hot": (saved("hot", X=IMAGES, y=ONE_HOT), "one-hot labels give y.argmax"),
        "lengths": (saved("lengths", X=IMAGES, y=Y[:50]), "there are 60 images X but 50 labels y"),
        "rare": (saved("rare", X=IMAGES, y=np.r_[Y[:-1], 9]), "class 9 has 1 example; 3 are needed"),
    }


def test_files_are_refused_with_what_to_do_in_python_and_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, (path, said) in _files(tmp_path).items():
        for given in (path, str(path)):
            with pytest.raises(DataError, match=said):
                searchkit.run("random", data=given, budget=1, storage="memory", progress=False)
        assert main(["run", "--data", str(path), "--budget", "1"]) == 2, kind
        told = capsys.readouterr().err
        assert told.startswith("searchkit: ")
        assert told.count("\n") == 1
    assert not (tmp_path / "searchkit-runs").exists()


@pytest.mark.parametrize("given", ["table.csv", "pictures/train", Path("table.csv"), Path("digits"), "there.txt"])
def test_other_files_are_refused_with_what_to_do(given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.txt").write_text("a,b")
    is_what = "is no .npz file" if given == "there.txt" else "is neither a folder nor a file"
    with pytest.raises(DataError, match=rf"{is_what}: give a folder .* give \(X, y\), or write numpy.savez"):
        searchkit.run("random", data=given, budget=1, storage="memory", progress=False)


def test_what_is_wrong_with_a_test_set_is_said_of_the_test_set() -> None:
    with pytest.raises(DataError, match="in the test set, labels y name classes, but label 5 is missing"):
        load_data(((TABLE, Y), (TABLE, changed(Y, 5, None))))
