"""Payloads that attackers, other people's bugs and bad deploys send; seeded, thousands of them."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Final, NamedTuple

from worker.settings import LimitSettings
from worker.window import Headers

MEGABYTE: Final = 1_000_000
CUT: Final = LimitSettings().characters  # of a longer text head and tail are judged
LETTERS: Final = "aeiou \u00e9\u4e2d\U0001f600\u202e\u0000\u0301\u200d"


class Payload(NamedTuple):
    """What is published as a comment. `kind` is the name of the maker, for messages."""

    kind: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def hostile(random: Random, count: int) -> Iterator[Payload]:
    """Yield so many payloads, every kind in turn, each of its own size and place."""
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        yield kind(random, f"h{number}")._replace(kind=kind.__name__)


def deep_json(random: Random, name: str) -> Payload:
    """Thousands of brackets: opened, closed, or in a field that nobody reads."""
    depth = random.randint(300, 30_000)
    opened, closed = random.choice([(b"[", b"]"), (b'{"a":', b"}")])
    deep = opened * min(depth, 10_000) + random.choice([b"", b"1" + closed * min(depth, 10_000)])
    if random.random() < 0.5:
        return _under(name, deep)
    return _under(name, b'{"id": "%s", "text": "x", "extra": %s}' % (name.encode(), deep))


def number_of_a_million_digits(random: Random, name: str) -> Payload:
    """A number that no machine holds, some below the limit of bytes, some above."""
    digits = b"%d" % random.randint(1, 9) * random.choice([4_400, 60_000, MEGABYTE])
    field = random.choice([b"text", b"revision", b"extra"])
    return _under(name, b'{"id": "%s", "text": "x", "%s": %s}' % (name.encode(), field, digits))


def lone_surrogate(random: Random, name: str) -> Payload:
    """Half an emoji, as JavaScript cuts it, somewhere in the text or in the id."""
    half = random.choice([r"\ud83d", r"\uDE00", r"\udbff\ud83d"])
    text = half.join("".join(random.choices("abc ", k=random.randint(0, 50))) for _ in range(3))
    if random.random() < 0.2:
        return _under(name, f'{{"id": "{name}{half}", "text": "x"}}'.encode())
    return _under(name, f'{{"id": "{name}", "text": "{text}"}}'.encode())


def bad_utf8(random: Random, name: str) -> Payload:
    """Bytes that are no text, in the value, or in the key."""
    bad = random.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
    value = b'{"id": "%s", "text": "a%sb"}' % (name.encode(), bad * random.randint(1, 1_000))
    return _under(name, value) if random.random() < 0.8 else Payload("", bad, value)


def one_letter(random: Random, name: str) -> Payload:
    """Up to a megabyte of one letter."""
    letter = random.choice("aA\u00e9\u4e2d\u200b ")
    most = MEGABYTE // len(letter.encode())
    return _comment(name, letter * random.choice([CUT - 1, CUT + 1, 20_000, 60_000, most]))


def combining_marks(random: Random, name: str) -> Payload:
    """A hundred thousand accents on one letter."""
    marks = "".join(random.choices("\u0300\u0301\u0327\u0489\u20dd", k=20))
    return _comment(name, "e" + marks * random.choice([50, 1_000, 5_000]))


def duplicate_keys(random: Random, name: str) -> Payload:
    """A filter upstream reads the first, a parser the last."""
    texts = ", ".join(f'"text": "{number}"' for number in range(random.randint(2, 2_000)))
    return _under(name, f'{{"id": "other", "id": "{name}", {texts}}}'.encode())


def not_a_number(random: Random, name: str) -> Payload:
    """Constants that are no JSON, and numbers that overflow."""
    constant = random.choice(["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
    field = random.choice(["text", "revision", "created_at", "extra"])
    return _under(name, f'{{"id": "{name}", "text": "x", "{field}": {constant}}}'.encode())


def null_key(random: Random, name: str) -> Payload:
    """No key, or an empty one: with a comment, or without sense."""
    value = random.choice([_value(name, "x"), b"no sense", b""])
    return Payload("", random.choice([None, b""]), value)


def null_value(random: Random, name: str) -> Payload:
    """An erasure; with neither key nor value it is nothing."""
    return Payload("", random.choice([name.encode(), None]), None)


def ten_thousand_headers(random: Random, name: str) -> Payload:
    """Too many, too large, repeated, null, or no text."""
    headers: Headers = random.choice(
        [
            [("h", None)] * 10_000,
            [(f"h{n}", b"x") for n in range(random.randint(90, 110))],
            [("h", b"x" * random.randint(1, 40_000))],
            [("traceparent", b"\xff" * random.randint(1, 100)), ("h", b""), ("h", None)],
        ]
    )
    return _comment(name, "x")._replace(headers=headers)


def odd_key(random: Random, name: str) -> Payload:
    """Another comment's key, or one that is far too long."""
    key = random.choice([b"another", name.encode() * 500, b"\x00", name.encode() + b" "])
    return _comment(name, "x")._replace(key=key)


def wrong_kinds(random: Random, name: str) -> Payload:
    """Every field of every kind that it should not be."""
    kinds: list[object] = [None, True, 7, -0.5, "", [], {}, ["x"] * 1_000, {"a": {"b": 1}}]
    fields = ["id", "text", "community", "author", "created_at", "language", "revision", "parent"]
    wrong = {field: random.choice(kinds) for field in random.sample(fields, 3)}
    return _under(name, json.dumps({"id": name, "text": "x"} | wrong).encode())


def random_bytes(random: Random, name: str) -> Payload:
    """Noise, or a comment with a bit that fell over."""
    if random.random() < 0.5:
        return _under(name, random.randbytes(random.randint(0, 2_000)))
    value = bytearray(_value(name, "a harmless text"))
    value[random.randrange(len(value))] ^= 1 << random.randrange(8)
    return _under(name, bytes(value))


def many_keys(random: Random, name: str) -> Payload:
    """Thousands of fields that nobody reads."""
    keys = ", ".join(f'"{number}": {number}' for number in range(random.choice([100, 4_500])))
    return _under(name, f'{{"id": "{name}", "text": "x", {keys}}}'.encode())


def odd_letters(random: Random, name: str) -> Payload:
    """Characters that a normaliser stumbles over."""
    return _comment(name, "".join(random.choices(LETTERS, k=random.randint(0, 20_000))))


KINDS: Final[list[Callable[[Random, str], Payload]]] = [
    deep_json,
    number_of_a_million_digits,
    lone_surrogate,
    bad_utf8,
    one_letter,
    combining_marks,
    duplicate_keys,
    not_a_number,
    null_key,
    null_value,
    ten_thousand_headers,
    odd_key,
    wrong_kinds,
    random_bytes,
    many_keys,
    odd_letters,
]


def _value(name: str, text: str) -> bytes:
    return json.dumps({"id": name, "text": text}, ensure_ascii=False).encode()


def _comment(name: str, text: str) -> Payload:
    return _under(name, _value(name, text))


def _under(name: str, value: bytes) -> Payload:
    return Payload("", name.encode(), value)
