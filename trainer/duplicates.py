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

SAME: Final = 0.6
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

    How the first m texts are joined among themselves by a comparison does not depend on those
    after them; through such a one, though, two groups may become one.
    """
    leader = list(range(len(signatures)))
    first_in_band: dict[tuple[int, bytes], int] = {}
    read = signatures[:, : bands.hashes]
    for i, signature in enumerate(read):
        for band in range(bands.count):
            key = (band, signature[band * bands.rows : (band + 1) * bands.rows].tobytes())
            j = first_in_band.setdefault(key, i)
            if j != i and np.mean(read[j] == signature) >= SAME:
                _join(leader, i, j)
    return np.asarray([_find(leader, i) for i in range(len(signatures))], np.intp)


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


def _find(leader: list[int], i: int) -> int:
    while leader[i] != i:
        leader[i] = leader[leader[i]]  # path halving keeps the walk short
        i = leader[i]
    return i


def _join(leader: list[int], i: int, j: int) -> None:
    a, b = sorted((_find(leader, i), _find(leader, j)))
    leader[b] = a
