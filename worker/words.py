"""Token ids word by word: what a word became before, it becomes again.

The library cleans and cuts each text anew. To look its words up takes a fraction of that, and
what becomes of a word hangs on nothing beyond the blanks around it, with few exceptions. A text
that may hold one is left to the library as a whole:

- characters outside `_WORD`: they may join with others, vanish, or be a blank to one of us only
- a tag: it may have a blank in it
- letters that stand alone with one letter or sign between them (`f u c`, `f - u`), or that may
  come to when markup is taken out (`f==u c`): the cleaning joins them

This is so with the cleaning of `tidegate train`, and with any other the library does it all.
"""

import json
import re
from array import array
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from itertools import accumulate, compress
from typing import Final, NamedTuple
from unicodedata import combining, normalize

from tokenizers import Tokenizer

MOST: Final = 30_000  # words of a generation: some 7 MB
NEW: Final = 1_000  # characters that a text may teach: an attacker's has many more
NEW_AT_ONCE: Final = 200_000  # that all texts of a call may teach; the next call has the rest
LONGEST: Final = 32  # characters of a word that is kept: a longer one hardly comes again

# SHA-256 of the `normalizer` in tokenizer.json.
KNOWN_CLEANING: Final = "3443d9a1495684ce3798e07f94838541bbedc46bc12d311d3c4753d303fcaebd"

# Control characters vanish, and some of them are blanks to Python.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_WORD: Final = re.compile(r"[!-;=-~\xb7à-öø-ÿ\u2013\u2014\u2018\u2019\u201c\u201d…•]+")
_MARKUP: Final = re.compile(r"&(?:nbsp|quot|amp|lt|gt|#39);|[\[\]{}|=]{2}|''|https?://|www\.")
_BLANK: Final = re.compile(r"[\[\]{}|=]{2,}|''+")  # markup alone, which leaves nothing
# Letters and figures that nothing is done to: never beside each other, no letter alone but behind
# an apostrophe, and signs between them that are a token each.
_SIGNS: Final = r"""["'(),.:;?/*_~\-]{0,3}"""
_PLAIN: Final = re.compile(
    rf"(?:{_SIGNS}(?:[a-z]{{2,16}}|[0-9]{{1,16}})(?![a-z0-9]))+(?:'[a-z])?(?:{_SIGNS}|!{{0,3}})"
)
_STRETCHED: Final = re.compile(r"([a-z])\1\1")
_PARTS: Final = re.compile(r"[a-z]+|[0-9]+|.")
# Of letters that stand alone. Signs and figures in disguise, and what is beyond ASCII, may be a
# letter and may be none.
_BETWEEN: Final = re.compile(r"[a-z.,*_/~\-\x80-\uffff]")
_BEGINS_ALONE: Final = re.compile(r"[a-z!4@83910$57+\x80-\uffff](?:[^a-z]|\Z)")
_ENDS_ALONE: Final = re.compile(r"(?:[^a-z]|\A)[a-z!4@83910$57+\x80-\uffff]\Z")


class _Table(NamedTuple):
    """What is known of words."""

    ids: dict[str, bytes]  # as C ints
    odd: set[str]  # those beside which letters that stand alone may be joined


class Words:
    """Tables of words in two generations: when one has MOST, the next takes over what comes again.

    A call may go past MOST, by what it may teach at most.

    Threads may share them: a call goes on with the tables that it began with.

    Args:
        tokenizer: one that `is_known`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = tokenizer.get_vocab()
        marks = (token.content for token in tokenizer.get_added_tokens_decoder().values())
        self._mark = re.compile("|".join(map(re.escape, marks)))
        self._generations = _Table({}, set()), _Table({}, set())  # this one, and the one before

    @property
    def count(self) -> int:
        """How many words are in the tables; one may be in both."""
        return sum(len(table.ids) for table in self._generations)

    def ids(self, texts: Sequence[str]) -> list["array[int] | None"]:
        """Return the token ids of each text, [CLS] and [SEP] left out; None: ask the library."""
        if len(self._generations[0].ids) > MOST:
            self._generations = _Table({}, set()), self._generations[0]
        table, before = self._generations
        split = [self._split(text) for text in texts]
        unknown = [_unknown(words or (), table, before) for words in split]
        learnt = _may_teach(unknown)
        once = self._learn(set().union(*compress(unknown, learnt)), table)
        odd = table.odd.union(once)  # a long one may be anything
        return [
            _looked_up(words, table.ids, once, odd) if words is not None and is_learnt else None
            for words, is_learnt in zip(split, learnt, strict=True)
        ]

    def _split(self, text: str) -> list[str] | None:
        if _CONTROL.search(text) or ("[" in text and self._mark.search(text)):
            return None
        return text.lower().split()

    def _learn(self, words: Iterable[str], table: _Table) -> dict[str, bytes]:
        """Put words into the table, but those that are left to the library.

        Returns:
            The ids of those that are too long to be kept.
        """
        once: dict[str, bytes] = {}
        to_ask = [w for w in words if _WORD.fullmatch(w) and not self._add_plain(w, table)]
        if not to_ask:
            return once
        answers = self._tokenizer.encode_batch_fast(to_ask, add_special_tokens=False)
        for word, answer in zip(to_ask, answers, strict=True):
            if answer.overflowing:
                continue
            ids = array("i", answer.ids).tobytes()
            if len(word) > LONGEST:
                once[word] = ids
            else:
                if _is_odd(word):
                    table.odd.add(word)  # before its ids, for other threads
                table.ids[word] = ids
        return once

    def _add_plain(self, word: str, table: _Table) -> bool:
        """Put a word into the table if the cleaning leaves it as it is, and say whether it does."""
        is_plain = len(word) <= LONGEST and _PLAIN.fullmatch(word)
        if not is_plain or _MARKUP.search(word) or _STRETCHED.search(word):
            return False
        parts = _PARTS.findall(word)
        for part in parts:
            if part not in table.ids:
                if (ids := self._pieces(part)) is None:
                    return False
                if _is_odd(part):
                    table.odd.add(part)
                table.ids[part] = ids
        table.ids[word] = b"".join([table.ids[part] for part in parts])
        return True

    def _pieces(self, word: str) -> bytes | None:
        """Cut a word into the longest pieces that the vocabulary has, from its beginning on.

        Source: https://arxiv.org/abs/1609.08144 (WordPiece), as BERT has it.

        Returns:
            Their ids; None if there are no such pieces.
        """
        ids = array("i")
        start, mark = 0, ""
        while start < len(word):
            for end in range(len(word), start, -1):
                found = self._vocabulary.get(mark + word[start:end])
                if found is not None:
                    break
            else:
                return None
            ids.append(found)
            start, mark = end, "##"
        return ids.tobytes()


def is_known(tokenizer: Tokenizer) -> bool:
    """Say whether a tokeniser is an uncased BERT's with the cleaning that we know."""
    shape = json.loads(tokenizer.to_str())
    normalizer = json.dumps(shape["normalizer"], sort_keys=True)
    return (
        sha256(normalizer.encode()).hexdigest() == KNOWN_CLEANING
        and shape["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and shape["model"]["type"] == "WordPiece"
        and shape["model"]["continuing_subword_prefix"] == "##"
        and shape["model"]["max_input_chars_per_word"] >= LONGEST
        and all("[" in token["content"] for token in shape["added_tokens"])
        and len(tokenizer.encode("").ids) == len(("[CLS]", "[SEP]"))
    )


def _unknown(words: Iterable[str], table: _Table, before: _Table) -> set[str]:
    """Return the words that are in no table; what is only in the one before is taken over."""
    absent = set(words).difference(table.ids)
    known = [word for word in absent if word in before.ids]
    table.odd.update(before.odd.intersection(known))  # first, for other threads
    table.ids.update((word, before.ids[word]) for word in known)
    return absent.difference(known)


def _may_teach(unknown: Sequence[Collection[str]]) -> list[bool]:
    """Say of each text whether its new words are few, in it and in those before it."""
    sizes = [sum(map(len, strange)) for strange in unknown]
    so_far = accumulate(size if size <= NEW else 0 for size in sizes)
    return [size <= NEW and total <= NEW_AT_ONCE for size, total in zip(sizes, so_far, strict=True)]


def _is_odd(word: str) -> bool:
    """Say whether a word is one letter or sign that may be joined, or has markup in it.

    The cleaning drops accents and spells out signs before it takes markup out.
    """
    if len(word) == 1:
        return _BETWEEN.match(word) is not None
    plain = "".join(c for c in normalize("NFKD", word) if not combining(c))
    return _MARKUP.search(plain) is not None and not _BLANK.fullmatch(word)


def _looked_up(
    words: Sequence[str], ids: dict[str, bytes], once: dict[str, bytes], odd: set[str]
) -> "array[int] | None":
    try:
        found = b"".join([ids[word] if word in ids else once[word] for word in words])
    except KeyError:
        return None
    return None if _may_join(words, odd) else array("i", found)


def _may_join(words: Sequence[str], odd: set[str]) -> bool:
    """Say whether letters may stand alone on both sides of a letter or sign, or beside markup."""
    last = len(words) - 1
    for place in [place for place, word in enumerate(words) if word in odd]:
        before, after = words[place - 1] if place else "", words[place + 1] if place < last else ""
        ends = _ENDS_ALONE.search(before[-2:]) or (len(before) > 1 and before in odd)
        begins = _BEGINS_ALONE.match(after) or (len(after) > 1 and after in odd)
        if (ends and begins) or (len(words[place]) > 1 and (ends or begins)):
            return True
    return False
