"""Token sequences: whole numbers ``(n, length)``, or sentences, whose words a small tokenizer numbers.

A token is a whole number from 0 on, and 0 is padding: what stands behind the end of a sequence that is shorter than
others. Tokens are names and no quantities, so that they are never standardised.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.arrays import is_missing, numbers, plain_array
from searchkit.data.datasets import Items
from searchkit.data.splits import Split
from searchkit.errors import DataError
from searchkit.space.inputs import LEAST_VOCABULARY

log = logging.getLogger("searchkit.data")

PADDING, UNKNOWN = 0, 1
FIRST_WORD = 2  # the number of the most frequent word
WORDS = 10_000  # vocabulary of sentences, where none is given
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tokenizer:
    """Sentences to token sequences: each lower-case word has a number, by how frequent it is in the train part.

    0 is padding, 1 any word that is not in ``words``, and 2 the first of ``words``.

    Args:
        words: the most frequent first.
        length: tokens in a sequence; longer sentences lose their end, shorter ones are padded.
    """

    words: tuple[str, ...]
    length: int

    @property
    def vocabulary(self) -> int:
        """Number of tokens, with padding and the unknown word."""
        return len(self.words) + FIRST_WORD

    def encode(self, sentences: Sequence[str]) -> Ids:
        """``(n, length)`` int64 tokens of n sentences, such as a network of the search takes.

        Raises:
            DataError: one of them is no text.
        """
        if isinstance(sentences, str):
            raise DataError("encode takes a list of sentences, not one: give [sentence]")
        numbered = {word: i for i, word in enumerate(self.words, FIRST_WORD)}
        rows = [[numbered.get(word, UNKNOWN) for word in words_of(one, i)] for i, one in enumerate(sentences)]
        return padded(rows, self.length)


def words_of(sentence: object, row: int = 0) -> list[str]:
    """The words of a sentence in lower case, without punctuation.

    Raises:
        DataError: it is no text; the message names the row.
    """
    if not isinstance(sentence, str):
        raise DataError(f"sentences X are texts, and row {row} is {sentence!r:.60}; leave it out, or write it as text")
    return _WORD.findall(sentence.lower())


def is_text(X: object) -> bool:
    """Whether X is a list, a column or an array of sentences."""
    sparse = hasattr(X, "toarray")
    if sparse or isinstance(X, str | bytes | torch.Tensor) or not hasattr(X, "__len__") or not len(X):
        return False
    if isinstance(X, np.ndarray) or hasattr(X, "to_numpy"):
        array = np.asarray(X)
        return array.ndim == 1 and (array.dtype.kind in "UT" or isinstance(array.ravel()[0], str))
    return isinstance(X, list | tuple) and isinstance(X[0], str)


def is_tokens(X: object) -> bool:
    """Whether X can only be token sequences where signals are the alternative: sentences, or rows of whole numbers."""
    if is_text(X) or _is_ragged(X):
        return True
    array = plain_array(X, "inputs X")
    return array.ndim == 2 and array.dtype.kind in "iu"


def read_parts(
    given: Mapping[str, Items], vocabulary: int | None, length: int | None
) -> tuple[dict[str, Items], tuple[str, ...]]:
    """The parts with token sequences ``(n, length)`` int64 in place of what was given, all of one length.

    Words of sentences are numbered in the order in which they occur, for now: which are frequent in the train part is
    known when the examples are split, see :func:`settled`.

    Args:
        vocabulary: tokens are below it; None: any are allowed. Of sentences it is not used here.
        length: that sequences are cut and padded to; None: that of the longest of the train part.

    Returns:
        the parts, and all words of sentences; none of whole numbers.

    Raises:
        DataError: they are neither rows of whole numbers from 0 on nor sentences.
    """
    text = is_text(given["train"].x)
    known: dict[str, int] = {}
    rows: dict[str, list[Ids] | Ids] = {}
    for part, items in given.items():
        if is_text(items.x) != text:
            raise DataError(f"the train part has {'sentences' if text else 'numbers'}, and the {part} part has not")
        which = "" if part == "train" else f"{part} "
        rows[part] = _numbered(items.x, known) if text else _rows(items.x, None if text else vocabulary, which)
    longest = length or max((len(row) for row in rows["train"]), default=0)
    if not longest:
        raise DataError("token sequences X are empty: there is no token in them")
    found = {}
    for part, own in rows.items():
        cut = sum(len(row) > longest for row in own)
        if cut:
            log.warning(
                "%d sequences of the %s part are longer than %d tokens and lose their end", cut, part, longest
            )  # fmt: skip
        found[part] = replace(given[part], x=torch.from_numpy(padded(own, longest)))
    return found, tuple(known)


def settled(
    splits: Sequence[Split], words: tuple[str, ...], vocabulary: int | None
) -> tuple[list[Split], int, Tokenizer | None]:
    """The parts with their final tokens, the number of tokens, and the tokenizer of sentences.

    Args:
        words: of sentences, as :func:`read_parts` has numbered them; none of whole numbers.
        vocabulary: number of tokens; None: one more than the largest, or :data:`WORDS` of sentences at most.
    """
    if not words:
        largest = max(int(part.x.max()) for part in splits if len(part))
        return list(splits), vocabulary or max(LEAST_VOCABULARY, largest + 1), None
    counts = Counter(splits[0].x.ravel().tolist())
    counts.pop(PADDING, None)
    kept = [number for number, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    kept = kept[: (vocabulary or WORDS) - FIRST_WORD]
    renumbered = np.full(len(words) + FIRST_WORD, UNKNOWN, dtype=np.int64)
    renumbered[PADDING] = PADDING
    renumbered[kept] = np.arange(FIRST_WORD, FIRST_WORD + len(kept))
    parts = [replace(part, x=torch.from_numpy(renumbered[part.x.numpy()])) for part in splits]
    tokenizer = Tokenizer(tuple(words[number - FIRST_WORD] for number in kept), int(splits[0].x.shape[1]))
    return parts, tokenizer.vocabulary, tokenizer


def padded(rows: Iterable[Sequence[int] | Ids], length: int) -> Ids:
    """``(n, length)`` sequences with padding behind their end; longer ones are cut."""
    if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == length:
        return rows
    found = [np.asarray(row, dtype=np.int64)[:length] for row in rows]
    made = np.full((len(found), length), PADDING, dtype=np.int64)
    for i, row in enumerate(found):
        made[i, : len(row)] = row
    return made


def _numbered(sentences: object, known: dict[str, int]) -> list[Ids]:
    """The words of sentences as numbers from 2 on, in the order in which they occur first; ``known`` grows."""
    rows = []
    for i, one in enumerate(np.asarray(sentences, dtype=object)):
        words = words_of(one, i)
        rows.append(np.array([known.setdefault(word, len(known) + FIRST_WORD) for word in words], dtype=np.int64))
    return rows


def _is_ragged(X: object) -> bool:
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if not isinstance(X, list | tuple) or not X:
        return False
    try:
        return len({len(row) for row in X}) > 1
    except TypeError:
        return False


def _rows(X: object, vocabulary: int | None, which: str) -> list[Ids] | Ids:
    """Sequences as arrays of whole numbers, which are checked; one array where they are of one length."""
    if _is_ragged(X):
        every: list[object] = list(X)  # type: ignore[call-overload]  # a list, or an array of lists
        return [_checked(row, vocabulary, which, i) for i, row in enumerate(every)]
    array = numbers(X, f"{which}token sequences X")
    if array.ndim != 2:
        raise DataError(f"{which}token sequences X have shape (n, length), not {array.shape}")
    return _checked(array, vocabulary, which)


def _checked(values: object, vocabulary: int | None, which: str, at: int | None = None) -> Ids:
    """Whole numbers from 0 on, below the vocabulary.

    Args:
        at: the row that they are; None: they are rows themselves.
    """
    given = np.asarray(values)
    if given.dtype.kind not in "iub":
        if given.size and any(is_missing(one) for one in given.ravel()[:1]):
            given = given.astype(float)
        given = numbers(given, f"{which}token sequences X") if given.size else given.astype(np.int64)
    wrong = (given != np.floor(given)) | (given < 0) | (given > np.iinfo(np.int64).max / 2)
    why = "tokens are whole numbers from 0 on, where 0 is padding"
    if vocabulary is not None and not wrong.any():
        wrong, why = given >= vocabulary, f"with vocabulary={vocabulary:,} tokens are from 0 to {vocabulary - 1:,}"
    if wrong.any():
        place = np.argwhere(wrong)[0]
        row = at if at is not None else int(place[0])
        raise DataError(f"{which}row {row} of the token sequences X holds {given[tuple(place)]}; {why}")
    found: Ids = given.astype(np.int64)
    return found
