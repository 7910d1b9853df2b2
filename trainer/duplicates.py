"""Near duplicates: which texts are the same but for case, punctuation and a few words.

MinHash over pairs of neighbouring words. Two texts whose signatures agree in one band are
compared; they are joined when the signatures as a whole say that at least SAME of their
pairs are shared. Linear in the number of texts.

Source: Broder 1997, "On the resemblance and containment of documents".
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array  # type: ignore[import-untyped]  # ships no types
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]  # the same

SAME: Final = 0.6
AT_ONCE: Final = 10_000  # signatures compared with as many others: some 20 MB
_WORD: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Bands:
    """How much of a signature is read, and how.

    Attributes:
        count: of bands.
        rows: hashes in each: two texts that share s of their pairs agree in one of the bands
            with a probability of 1 - (1 - s ** rows) ** count.
    """

    count: int
    rows: int

    @property
    def hashes(self) -> int:
        """How many of a signature's hashes are read, from its first on."""
        return self.count * self.rows


FINE: Final = Bands(42, 3)
"""Texts that share 0.6 of their pairs meet in 99.996 %, and few are taken for near that are not."""

SETTLED: Final = Bands(12, 4)
"""81 %. By it rows are held out: another would hold out others, and no two bundles' figures
could be compared with those before."""

Signature = npt.NDArray[np.uint64]
Signatures = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]


def groups(texts: Sequence[str]) -> Indices:
    """Group texts with their near duplicates.

    Args:
        texts: n texts.

    Returns:
        [n] the index of the first text of each text's group: its own where it is alone.
    """
    return joined(signatures(texts))


def signatures(texts: Sequence[str]) -> Signatures:
    """Return [n, FINE.hashes], by which near duplicates are told; it takes most of the time."""
    empty = np.empty((0, FINE.hashes), np.uint64)
    return np.stack([_signature(text) for text in texts]) if texts else empty


def joined(signatures: Signatures, bands: Bands = FINE) -> Indices:
    """Group texts as `groups` does, by their signatures.

    A text is compared with the first that agrees with it in a band. So how the first m texts are
    joined among themselves by a comparison does not depend on those after them; through such a
    one, though, two groups may become one.
    """
    if not (count := len(signatures)):
        return np.empty(0, np.intp)
    read = signatures[:, : bands.hashes]
    met = [_first_alike(band) for band in np.split(read, bands.count, axis=1)]
    pairs = np.unique(np.concatenate([first * count + np.arange(count) for first in met]))
    one, other = np.divmod(pairs, count)
    same = _share_enough(read, one, other)
    edges = (np.ones(int(same.sum()), np.bool_), (one[same], other[same]))
    _, group = connected_components(coo_array(edges, shape=(count, count)), directed=False)
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    return first[number].astype(np.intp)


def _first_alike(band: Signatures) -> Indices:
    """Return [n] the index of the first row that is like each.

    Args:
        band: [n, r] hashes of 32 bits.
    """
    number = np.zeros(len(band), np.uint64)
    for column in band.T:  # a number for what was read so far, and the next hash: 64 bits
        _, first, which = np.unique(
            number << np.uint64(32) | column, return_index=True, return_inverse=True
        )
        number = which.astype(np.uint64)
    return first[which]


def _share_enough(signatures: Signatures, one: Indices, other: Indices) -> npt.NDArray[np.bool_]:
    """Say of each pair of texts whether they share so many of their pairs of words."""
    same: npt.NDArray[np.bool_] = one == other
    to_compare = np.flatnonzero(~same)
    for at in np.array_split(to_compare, len(to_compare) // AT_ONCE + 1):
        agree = signatures[one[at]] == signatures[other[at]]
        same[at] = agree.mean(axis=1) >= SAME
    return same


def exact_key(text: str) -> str:
    """Return the letters and digits of a text in lower case: equal for mere reformattings."""
    return "".join(filter(str.isalnum, text.casefold()))


def _signature(text: str) -> Signature:
    """Return [FINE.hashes] the least hash of the text's word pairs under each hash function."""
    words = [zlib.crc32(word.encode()) for word in _WORD.findall(text.casefold())]
    if len(words) < 3:  # noqa: PLR2004 - too short for pairs: the text as a whole
        pairs = np.asarray(
            [zlib.crc32((exact_key(text) or text).encode(errors="replace"))], np.uint64
        )
    else:
        ids = np.asarray(words, np.uint64)
        pairs = ids[:-1] * np.uint64(0x9E3779B97F4A7C15) + ids[1:]
    mixed = pairs[:, None] * _MULTIPLIERS + _SHIFTS
    least: Signature = (mixed >> np.uint64(32)).min(axis=0)
    return least


def _random(count: int, seed: int) -> Signature:
    return np.random.default_rng(seed).integers(1, 2**63, count, dtype=np.uint64)


_MULTIPLIERS: Final = _random(FINE.hashes, 1) | np.uint64(1)
_SHIFTS: Final = _random(FINE.hashes, 2)
