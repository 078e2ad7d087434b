"""Token sequences and 1-D signals as data: what is read as what, padded, numbered, refused, and never standardised."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import searchkit
from searchkit.data.loader import train_batches
from searchkit.data.normalising import Normaliser
from searchkit.data.tokens import Tokenizer
from searchkit.errors import DataError, SpaceError
from searchkit.space import Choice, NetworkSpace, TokenShape
from searchkit.space.inputs import fixed_noise, kind_of, noise, noise_like, plain_inputs
from searchkit.training.baselines import baselines
from searchkit.training.normalised import normalised

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
TOKENS = RNG.integers(1, 12, (60, 7))
SIGNALS = RNG.normal(5, 2, (60, 2, 40))
SAID = ["The dog sees a cat.", "A cat sees the dog!", "nobody sees me"] * 20


def test_rows_of_whole_numbers_are_a_table_unless_tokens_are_asked_for() -> None:
    assert searchkit.load_data((TOKENS, Y)).kind == "table"
    data = searchkit.load_data((TOKENS, Y), kind="tokens")
    assert data.kind == "tokens"
    assert data.vocabulary == TOKENS.max() + 1
    assert data.train.x.dtype == torch.int64
    assert data.input_shape == TokenShape(7, 12)
    assert "7 tokens of 12" in repr(data)
    assert data.augment == "none"
    assert searchkit.load_data((TOKENS, Y), kind="sequences").kind == "tokens"
    assert searchkit.load_data((TOKENS + 0.5, Y), kind="sequences").kind == "signals"


def test_tokens_are_never_standardised() -> None:
    data = searchkit.load_data((TOKENS, Y), kind="tokens")
    assert data.mean == data.std == ()
    cpu = torch.device("cpu")
    assert Normaliser(data, cpu)(data.val.x) is data.val.x
    batches = train_batches(data, 16, cpu, torch.Generator().manual_seed(0))
    batches.shuffle()
    x, y = batches.batch(slice(0, 16))
    rows = {(tuple(row), int(label)) for row, label in zip(data.train.x.tolist(), data.train.y, strict=True)}
    assert x.dtype == torch.int64
    assert all((tuple(row), int(label)) in rows for row, label in zip(x.tolist(), y, strict=True))
    delivered = normalised(torch.nn.Embedding(12, 3), data)
    for given_as in (torch.int64, torch.int32, torch.uint8):
        found = delivered(data.val.x.to(given_as))
        assert torch.equal(found, delivered.network(data.val.x))


def test_the_vocabulary_is_that_of_all_parts_or_the_one_that_is_given() -> None:
    test = (np.full((6, 7), 30), Y[:6])
    assert searchkit.load_data({"train": (TOKENS, Y), "test": test}, kind="tokens").vocabulary == 31
    assert searchkit.load_data((TOKENS, Y), kind="tokens", vocabulary=100).vocabulary == 100
    given = searchkit.load_data((TOKENS, Y), kind="tokens", vocabulary=100)
    assert given.fingerprint != searchkit.load_data((TOKENS, Y), kind="tokens").fingerprint
    assert searchkit.load_data((np.zeros((60, 3), int), Y), kind="tokens").vocabulary == 2


def test_sequences_of_different_lengths_are_padded_at_their_end(caplog: pytest.LogCaptureFixture) -> None:
    rows = [[3] * (1 + i % 5) for i in range(60)]
    for x in (rows, np.array([np.array(row) for row in rows], dtype=object)):
        data = searchkit.load_data((x, Y), kind="tokens")
        assert data.input_shape == TokenShape(5, 4)
        found = torch.cat([part.x for part in (data.train, data.val, data.test)])
        assert sorted((found != 0).sum(1).tolist()) == sorted(map(len, rows))
        assert all(row == sorted(row, reverse=True) for row in found.tolist())
    with caplog.at_level(logging.WARNING, logger="searchkit.data"):
        cut = searchkit.load_data((rows, Y), kind="tokens", length=3)
    assert cut.input_shape[0] == 3
    assert "24 sequences of the train part are longer than 3 tokens" in caplog.text
    assert searchkit.load_data((rows, Y), kind="tokens", length=9).input_shape[0] == 9


@pytest.mark.parametrize(
    ("x", "options", "sentence"),
    [
        (np.where(np.arange(420).reshape(60, 7) == 25, -4, TOKENS), {}, "row 3 of the token sequences X holds -4"),
        (TOKENS + 0.5, {}, "row 0 of the token sequences X holds .*; tokens are whole numbers"),
        (TOKENS, {"vocabulary": 9}, "row .* holds (9|10|11); with vocabulary=9 tokens are from 0 to 8"),
        ([[1, 2], [3, -1, 2]] * 30, {}, "row 1 of the token sequences X holds -1"),
        ([[1, 2], ["a", "b", "c"]] * 30, {}, "token sequences X are numbers, not"),
        (np.zeros((60, 2, 2), int), {}, r"token sequences X have shape \(n, length\), not \(60, 2, 2\)"),
        (["a word", 3] * 30, {}, "sentences X are texts, and row 1 is 3"),
        (["", "..."] * 30, {}, "token sequences X are empty"),
        (TOKENS, {"vocabulary": 1}, "vocabulary is a whole number of at least 2, not 1"),
        (TOKENS, {"length": 0}, "length is a whole number of at least 1, not 0"),
        (TOKENS, {"kind": "table", "vocabulary": 20}, "vocabulary is of token sequences"),
        (SIGNALS, {"kind": "signals", "augment": "flip"}, "augment of signals is 'shift'"),
        (SIGNALS[:, :, :, None], {"kind": "signals"}, r"signals X have shape \(n, length\) or \(n, channels, length\)"),
        (np.where(SIGNALS > 8, np.nan, SIGNALS), {"kind": "signals"}, "NaN or infinite values; the first is in signal"),
        (SIGNALS[:, :, :0], {"kind": "signals"}, "signals X are empty"),
        (SIGNALS * 1e300, {"kind": "signals"}, "too large for float32"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_one_sentence(x: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        searchkit.load_data((x, Y), **({"kind": "tokens"} | options))


def test_words_are_numbered_by_the_train_part_alone() -> None:
    test = (["a zebra sees me", "the dog"] * 3, Y[:6])
    data = searchkit.load_data({"train": (SAID, Y), "val": (SAID[:6], Y[:6]), "test": test}, kind="tokens")
    assert data.tokenizer is not None
    assert data.vocabulary == data.tokenizer.vocabulary == 2 + len(data.tokenizer.words)
    assert data.tokenizer.words[0] == "sees"  # in every sentence
    assert set(data.tokenizer.words) == {"the", "dog", "sees", "a", "cat", "nobody", "me"}
    assert 1 in data.test.x[0]  # zebra
    assert data.test.x[0].tolist() == data.tokenizer.encode(["A ZEBRA sees: me"])[0].tolist()
    few = searchkit.load_data((SAID, Y), kind="tokens", vocabulary=4)
    assert few.vocabulary == 4
    assert few.tokenizer is not None
    assert few.tokenizer.words == ("sees", "dog") or few.tokenizer.words[0] == "sees"
    assert int(few.train.x.max()) <= 3
    assert pickle.loads(pickle.dumps(data)).tokenizer == data.tokenizer


def test_sentences_may_be_an_array_or_a_column() -> None:
    pandas = pytest.importorskip("pandas")
    known = searchkit.load_data((SAID, Y), kind="tokens").fingerprint
    assert searchkit.load_data((np.array(SAID), Y), kind="tokens").fingerprint == known
    assert searchkit.load_data((pandas.Series(SAID), Y), kind="sequences").fingerprint == known


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.integers(1, 6))
def test_any_text_becomes_tokens_in_range(texts: list[str], length: int) -> None:
    found = Tokenizer(("dog", "cat"), length).encode(texts)
    assert found.shape == (len(texts), length)
    assert found.min() >= 0
    assert found.max() < 4
    assert ((found[:, 1:] == 0) >= (found[:, :-1] == 0)).all()  # padding is at the end


def test_signals_are_standardised_by_channel() -> None:
    data = searchkit.load_data((SIGNALS * np.array([1, 100])[:, None], Y), kind="signals")
    assert data.kind == "signals"
    assert data.input_shape == (2, 40)
    assert len(data.mean) == len(data.std) == 2
    x = Normaliser(data, torch.device("cpu"))(data.train.x)
    assert torch.allclose(x.mean((0, 2)), torch.zeros(2), atol=1e-4)
    assert torch.allclose(x.std((0, 2)), torch.ones(2), atol=1e-2)
    assert searchkit.load_data((SIGNALS[:, 0], Y), kind="signals").input_shape == (1, 40)
    assert searchkit.load_data((SIGNALS, Y), kind="signals", channels="last").input_shape == (40, 2)
    assert searchkit.load_data((SIGNALS, Y)).kind == "images"  # without being asked


def test_shifted_signals_are_parts_of_the_signal_between_zeros() -> None:
    data = searchkit.load_data((SIGNALS, Y), kind="signals", augment="shift", normalise=False)
    batches = train_batches(data, 12, torch.device("cpu"), torch.Generator().manual_seed(0))
    batches.shuffle()
    x, _ = batches.batch(slice(0, 12))
    padded = torch.nn.functional.pad(data.train.x, (5, 5))
    shifts = set()
    for row, source in zip(x, batches.order[:12], strict=True):
        (at,) = [i for i in range(11) if torch.equal(padded[source, :, i : i + 40], row)]
        shifts.add(at)
    assert len(shifts) > 3


@pytest.mark.slow
def test_simple_models_see_how_often_tokens_occur_and_signals_flattened() -> None:
    for x, kind in ((TOKENS, "tokens"), (SIGNALS, "signals"), (RNG.normal(size=(60, 1, 9000)), "signals")):
        rows = baselines(searchkit.load_data((x, Y), kind=kind, limit=30), seconds=1)  # type: ignore[arg-type]
        assert [row["model"] for row in rows if row["validation"]][:2] == ["majority class", "logistic regression"]


def test_a_token_shape_is_its_length_with_a_vocabulary() -> None:
    shape = TokenShape(7, 12)
    assert shape == (7,)
    assert shape != TokenShape(7, 13)
    assert shape != (8,)
    assert hash(shape) == hash((7,))
    assert pickle.loads(pickle.dumps(shape)).vocabulary == 12
    assert kind_of(shape) == "tokens"
    assert [kind_of(one) for one in ((7,), (1, 7), (1, 7, 7))] == ["table", "signals", "images"]
    for length, vocabulary in ((0, 12), (7, 1)):
        with pytest.raises(SpaceError, match="a length of 1 or more and a vocabulary of 2 or more"):
            TokenShape(length, vocabulary)


def test_inputs_without_a_meaning_are_tokens_in_range_where_tokens_are_taken() -> None:
    shape = TokenShape(50, 4)
    for x in (plain_inputs(3, shape), noise(3, shape), torch.from_numpy(fixed_noise(3, shape))):
        assert x.shape == (3, 50)
        assert x.dtype == torch.int64
        assert int(x.min()) >= 0
        assert int(x.max()) < 4
    assert noise_like(2, np.array([[5, 7, 7]])).dtype == np.int64
    assert set(noise_like(9, np.array([[5, 7, 7]])).ravel().tolist()) == {5, 7}
    assert fixed_noise(3, (2, 5)).dtype == np.float32
    assert plain_inputs(3, (2, 5)).shape == noise(3, (2, 5)).shape == (3, 2, 5)


def _bag(choices: Any, input_shape: Any, n_classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.EmbeddingBag(input_shape.vocabulary, choices["width"]), torch.nn.LazyLinear(n_classes)
    )


def test_a_space_of_the_users_own_takes_tokens() -> None:
    space = NetworkSpace([Choice("width", (2, 4))], _bag, input_shape=TokenShape(5, 9), kind="tokens")
    assert space.kind == "tokens"
    assert space.for_data(TokenShape(7, 12), 3).build([1])(torch.ones(2, 7, dtype=torch.int64)).shape == (2, 3)
    assert space.describe()["vocabulary"] == 9
    result = searchkit.run(
        data=(TOKENS, Y), space=space, budget=2, epochs=1, storage="memory", device="cpu", progress=False
    )
    assert result.network_space.describe()["vocabulary"] == 12


@pytest.mark.parametrize(
    ("kind", "shape", "sentence"),
    [
        ("token", (5,), r"kind of space 'custom' is one of .*; got 'token'; is 'tokens' meant\?"),
        ("tokens", (5,), r"takes tokens, and its input_shape \(5,\) is that of rows of features; tokens have a"),
        (("tokens", "signals"), (1, 8, 8), "takes tokens and signals, and its input_shape .* is that of images"),
    ],
)
def test_a_kind_that_does_not_fit_the_shape_is_refused(kind: Any, shape: Any, sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        NetworkSpace([Choice("width", (2, 4))], _bag, input_shape=shape, kind=kind)


def test_data_of_another_kind_are_refused_with_what_to_do() -> None:
    with pytest.raises(
        DataError, match=r"space 'custom' takes token sequences, .* a table, .* load_data\(..., kind='tokens'\)"
    ):
        searchkit.run(
            data=searchkit.load_data((TOKENS, Y)), budget=1, storage="memory",
            space=NetworkSpace([Choice("width", (2, 4))], _bag, input_shape=TokenShape(5, 9)),
        )  # fmt: skip
    with pytest.raises(DataError, match="data 'custom' have the kind 'table', and 'tokens' is asked for"):
        searchkit.load_data(searchkit.load_data((TOKENS, Y)), kind="tokens")
