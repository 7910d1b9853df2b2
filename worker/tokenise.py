"""Texts to pieces: token ids under the model's length, by the bundle's tokenizer.json.

Cleaning is the file's `normalizer`, so that training and serving clean alike for ever.
"""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tokenizers import Encoding, Tokenizer

from schemas.errors import BundleError
from worker.words import Words, is_known


class Pieces(NamedTuple):
    """One text in token ids, [CLS] and [SEP] included in each piece; at least one piece."""

    ids: Sequence[Sequence[int]]
    truncated: bool


class Tokeniser(Protocol):
    """Whatever cuts texts into pieces."""

    def __call__(self, texts: Sequence[str]) -> list[Pieces]:
        """Return the pieces of each text, in order."""
        ...


class BundleTokeniser:
    """The tokeniser of a bundle.

    A text longer than the model is cut into overlapping pieces, so that no insult hides
    behind a long preface; of more than `most` pieces the first and the last are kept.

    Args:
        file: the bundle's tokenizer.json.
        max_length: tokens in a piece, [CLS] and [SEP] included.
        overlap: tokens that neighbouring pieces share, so that no phrase is cut in two.
        most: pieces of one text, at least 2.

    Raises:
        BundleError: the file cannot be read, or the overlap leaves a piece no room.
    """

    def __init__(self, file: Path, max_length: int, overlap: int, most: int) -> None:
        if overlap >= max_length - 2:
            raise BundleError(
                f"pieces of {max_length} tokens cannot overlap by {overlap}",
                f"set TIDEGATE_LIMITS__OVERLAP below {max_length - 2}",
            )
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises bare Exception
            raise BundleError(f"{file}: no tokenizer can be read from it: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length, stride=overlap)
        self._words = Words(self._tokenizer) if is_known(self._tokenizer) else None
        self._marks = array("i", self._tokenizer.encode("").ids)
        self._room = max_length - 2
        self._step = self._room - overlap
        self._most = most

    def __call__(self, texts: Sequence[str]) -> list[Pieces]:
        """Return the pieces of each text, in order."""
        known = [None] * len(texts) if self._words is None else self._words.ids(texts)
        rest = [text for text, ids in zip(texts, known, strict=True) if ids is None]
        asked = iter(self._tokenizer.encode_batch_fast(rest) if rest else ())
        return [
            self._kept(_pieces(next(asked)) if ids is None else self._cut(ids)) for ids in known
        ]

    def _cut(self, ids: "array[int]") -> list["array[int]"]:
        """Cut a text's ids as the library does: no piece begins when one has reached the end."""
        first, last = self._marks[:1], self._marks[1:]
        begins = range(0, max(1, len(ids) - self._room + self._step), self._step)
        return [first + ids[begin : begin + self._room] + last for begin in begins]

    def _kept(self, pieces: list["array[int]"]) -> Pieces:
        """Keep the first and the last of too many."""
        if len(pieces) <= self._most:
            return Pieces(pieces, truncated=False)
        head = self._most // 2
        return Pieces(pieces[:head] + pieces[head - self._most :], truncated=True)


def _pieces(encoding: Encoding) -> list["array[int]"]:
    # Arrays, so that the device's thread copies memory where it would convert numbers.
    return [array("i", piece.ids) for piece in (encoding, *encoding.overflowing)]
