"""A table of exchanges, character by character, in the form that `Precompiled` reads in one pass.

A `Replace` for each letter would be a pass over the text each: fifty of them took four times as
long as all else together.

Source: SentencePiece's `precompiled_charsmap`: the size of a trie in bytes, the trie as Darts
has it (github.com/s-yata/darts-clone), and the results, each ended by a zero byte.
"""

import struct
from collections.abc import Mapping
from itertools import count
from typing import Final

from tokenizers import normalizers

_LEAF: Final = 1 << 8  # the node ends a key: the unit at its base has the result's place
_VALUE: Final = 1 << 31


def exchange(table: Mapping[str, str]) -> normalizers.Precompiled:
    """Return a normaliser that exchanges characters, with the marks on them, by a table.

    Args:
        table: what is exchanged, a character or one with a combining mark after it, and by
            what. A character may not stand there both with a mark and alone.
    """
    results, places = b"", {}
    for result in dict.fromkeys(table.values()):
        places[result] = len(results)
        results += result.encode() + b"\0"
    trie = _trie({key.encode(): places[result] for key, result in table.items()})
    units = struct.pack(f"<{len(trie)}I", *trie)
    return normalizers.Precompiled(struct.pack("<I", len(units)) + units + results)


def _trie(values: Mapping[bytes, int]) -> list[int]:
    """Lay out a double array: a node's children stand at its base XOR the byte that leads there.

    A unit holds that byte, whether a key ends there, and its own place XOR the node's base.
    Bases differ from each other, so that a byte is never taken for another node's.
    """
    children: dict[bytes, set[int]] = {b"": set()}
    for key in values:
        for n in range(len(key)):
            children.setdefault(key[:n], set()).add(key[n])
    units, bases, place = {0: 0}, set[int](), {b"": 0}
    for node in sorted(children.keys() | values.keys(), key=lambda key: (len(key), key)):
        wanted = children.get(node, set()) | ({0} if node in values else set())
        base = next(
            b for b in count(1) if b not in bases and not units.keys() & {b ^ w for w in wanted}
        )
        bases.add(base)
        place |= {node + bytes([byte]): base ^ byte for byte in wanted - {0}}
        units |= {base ^ byte: byte for byte in wanted}
        units[place[node]] |= (place[node] ^ base) << 10
        if node in values:
            units[place[node]] |= _LEAF
            units[base] = _VALUE | values[node]
    return [units.get(i, 0) for i in range(max(units) + 256)]
