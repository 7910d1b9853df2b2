"""Texts to pieces: token ids under the model's length, by the bundle's tokenizer.json.

Cleaning is the file's `normalizer`, so that training and serving clean alike for ever.
"""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tokenizers import Encoding, Tokenizer

from schemas.errors import BundleError


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
        self._most = most

    def __call__(self, texts: Sequence[str]) -> list[Pieces]:
        """Return the pieces of each text, in order."""
        return [self._pieces(encoding) for encoding in self._tokenizer.encode_batch_fast(texts)]

    def _pieces(self, encoding: Encoding) -> Pieces:
        # Arrays, so that the device's thread copies memory where it would convert numbers.
        every = [array("i", piece.ids) for piece in (encoding, *encoding.overflowing)]
        if len(every) <= self._most:
            return Pieces(every, truncated=False)
        head = self._most // 2
        return Pieces(every[:head] + every[head - self._most :], truncated=True)
