"""Words that are looked up give the library's own ids, whatever stands beside what."""

import csv
import json
from array import array
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis.strategies import DrawFn, composite, integers, lists, sampled_from
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer, Lowercase, Sequence
from tokenizers.pre_tokenizers import WhitespaceSplit

from worker import words
from worker.settings import SHIPPED_BUNDLE
from worker.tokenise import BundleTokeniser
from worker.words import Words, is_known

FILE = SHIPPED_BUNDLE / "tokenizer.json"
EVERY_NTH = 3  # of the real comments: a few seconds

LETTERS = [*"abcfgilosuxtzAFI", "the", "fuck", "sh", "st", "rd", "kg", "zz", "aaa", "lll", "a" * 40]
FIGURES = [*"0123456789", "2026", "4th"]
SIGNS = [*".,*_/~-·•'\"()[]{}|=&;:?!<>#%^`\\@$+", "''", "==", "[[", "}}", "...", "!!!!"]
MARKUP = [
    "&\xe1mp;",
    "www…",
    "http://",
    "HTTPS://",
    "www.",
    "&amp;",
    "&AMP;",
    "&#39;",
    "<b>",
    "<br",
    "/>",
    "</i>",
]
MARKS = ["[SEP]", "[CLS]", "[sep]", "[MASK]"]
# Accents, look-alikes, what vanishes, what composes, what grows, what is lowercased elsewhere.
BEYOND = [
    *"éÉñßẞøþðü“—…¢ı½²ª¨→♥中\xb4\xd7\u2018\u2019\u2013\u0430\u0435\u03b1\ufb01\u017f\u0130\u212a\u212b",
    *"\u0301\u200b\u200d",
    "\U0001f44d\U0001f3fd",
    "\U0001f1fa\U0001f1f8",
]
CONTROL = ["\x00", "\x0b", "\x1c", "\x7f", "\x85"]
BLANKS = [" "] * 12 + ["\n", "\t", "  ", "\r\n", "\u00a0", "\u2003", "\u2028", "\u1680", "\u3000"]
ATOMS = LETTERS + FIGURES + SIGNS + MARKUP + MARKS + BEYOND + CONTROL
# Few at a time, so that what belongs together meets.
TIGHT = [
    *("ab.-' ", "af 1!@.", "ab [{|='\n", "a-_~/\xb7• b,", "st4$@! a.", "x1lo 0e+", "a &amp;b"),
    "f+@$8 •a-",
    "aé—\xb7\u2019 '",
]


@composite
def hostile_texts(draw: DrawFn) -> str:
    """Draw words of anything, with blanks of any kind between them."""
    count = draw(integers(1, 8))
    made = [
        "".join(draw(lists(sampled_from(ATOMS), min_size=1, max_size=5)))
        + draw(sampled_from(BLANKS))
        for _ in range(count)
    ]
    return "".join(made)


@composite
def tight_texts(draw: DrawFn) -> str:
    """Draw a text of few characters, and one stranger."""
    atoms = [*draw(sampled_from(TIGHT)), draw(sampled_from(ATOMS))]
    return "".join(draw(lists(sampled_from(atoms), max_size=14)))


@pytest.fixture(scope="module")
def library() -> Tokenizer:
    """Return the shipped tokeniser."""
    return Tokenizer.from_file(str(FILE))


@pytest.fixture(scope="module")
def table(library: Tokenizer) -> Words:
    """Return one table for all texts, as a worker has it."""
    return Words(library)


def assert_the_library_agrees(table: Words, library: Tokenizer, texts: list[str]) -> int:
    """Hold what is looked up against the library; return how many were."""
    found = table.ids(texts)
    asked = library.encode_batch_fast(texts, add_special_tokens=False)
    for ids, answer in zip(found, asked, strict=True):
        assert ids is None or list(ids) == answer.ids
    return sum(ids is not None for ids in found)


@hypothesis(max_examples=300)
@given(texts=lists(hostile_texts(), min_size=1, max_size=10))
def test_hostile_words_give_the_librarys_ids(
    table: Words, library: Tokenizer, texts: list[str]
) -> None:
    """Signs, markup, marks, look-alikes, controls, blanks of all kinds."""
    assert_the_library_agrees(table, library, texts)


@hypothesis(max_examples=300)
@given(texts=lists(tight_texts(), min_size=1, max_size=10))
def test_what_the_cleaning_joins_across_blanks_is_left_to_the_library(
    table: Words, library: Tokenizer, texts: list[str]
) -> None:
    """Letters that stand alone, and what may part them."""
    assert_the_library_agrees(table, library, texts)


@pytest.mark.parametrize("name", ["jigsaw-six-labels.csv", "davidson-tweets.csv"])
def test_real_comments_give_the_librarys_ids(
    six_labels: Path, library: Tokenizer, name: str
) -> None:
    """And nine in ten of them are looked up, once there are words in the table."""
    with (six_labels.parent / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::EVERY_NTH]
    texts = [row.get("comment_text") or row["tweet"] for row in rows]

    table = Words(library)
    half = len(texts) // 2
    assert_the_library_agrees(table, library, texts[:half])

    looked_up = assert_the_library_agrees(table, library, texts[half:])

    assert looked_up > 0.9 * len(texts[half:])


@pytest.mark.parametrize(
    "text",
    [
        *("f u c k", "so f - u", "a\n*\nb", "a==b c", "a &nbsp;b c", "x <br /> y", "nul\x00l"),
        *("a\x1cb", "[SEP] a", "\u0301a", "a\u200bb", "½", "中", f"I{'x' * 40} b c"),
        *(f"a {sign} b" for sign in ".,*_/~-\xb7•"),
        *("a - \xe9", "\xe9 - a", "a - ''b", "a - ==b", "a==- b"),
        *("b&\xe1mp;c d", "c b&\xf1bsp;d", "x y awww…", "x - awww…"),  # markup once it is plain
        *("f+@ • x", "af$@ - b"),  # the last sign is a letter, behind one that is none
        # too long to be kept, and to be known by their markup
        *(f"{'x' * 40}==a==b c", f"{'x' * 40}==a - b", f"a - ==b=={'x' * 40}"),
    ],
    ids=ascii,
)
def test_what_a_table_of_words_cannot_know_is_left_to_the_library(table: Words, text: str) -> None:
    """The text as a whole."""
    assert table.ids([text]) == [None]


@pytest.mark.parametrize(
    "text",
    [
        *("", " \n", "I am a person.", "== I == {{x}}", '("Sure!")', "sh1t a$$ stuuupid"),
        *("Kafka 4.3.1", "naïve — “so”", "http://x.example/y yes", "rock & roll"),
        f"{'w' * 300} word",
    ],
    ids=ascii,
)
def test_usual_texts_are_looked_up(table: Words, library: Tokenizer, text: str) -> None:
    """With lone letters, headings, disguise within a word and links."""
    assert assert_the_library_agrees(table, library, [text]) == 1


@hypothesis(max_examples=50)
@given(
    word=sampled_from(["word ", "1-x" * 30 + " "]),
    count=integers(0, 90),
    max_length=integers(8, 48),
    overlap=integers(0, 5),
)
def test_pieces_are_cut_as_the_library_cuts_them(
    library: Tokenizer, word: str, count: int, max_length: int, overlap: int
) -> None:
    """With the same overlap, the last one as short; a word may be longer than a piece."""
    text = word * count
    library.enable_truncation(max_length, stride=overlap)
    whole = library.encode(text)
    library.no_truncation()

    (found,) = BundleTokeniser(FILE, max_length, overlap, most=10_000)([text])

    assert [list(ids) for ids in found.ids] == [e.ids for e in (whole, *whole.overflowing)]


def test_a_bundle_whose_cleaning_is_known_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is asked for the rest alone, and each text keeps its place."""
    known = {"one": array("i", [7, 8]), "": array("i")}
    monkeypatch.setattr(Words, "ids", lambda _, texts: [known.get(text) for text in texts])

    found = BundleTokeniser(FILE, 64, 8, 4)(["one", "you", "", "me"])

    ids = [[list(piece) for piece in pieces.ids] for pieces in found]
    assert ids == [[[101, 7, 8, 102]], [[101, 2017, 102]], [[101, 102]], [[101, 2033, 102]]]


def test_a_full_table_makes_room_for_another_that_takes_over_what_comes_again(
    library: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold little more than twice MOST words; what comes in each call is learnt once."""
    monkeypatch.setattr(words, "MOST", 50)
    table = Words(library)
    learnt: Counter[str] = Counter()
    learn = table._learn  # noqa: SLF001 - that it is called once for a word shows nowhere else
    monkeypatch.setattr(table, "_learn", lambda new, to: learnt.update(new) or learn(new, to))

    for first in range(0, 1_000, 20):
        texts = [f"n{number}m again a==b c" for number in range(first, first + 20)]
        assert table.ids(texts) == [None] * 20, "what may join was taken over without its mark"
        assert table.count <= 2 * (50 + 24)

    assert set(learnt.values()) == {1}


def test_a_text_of_new_words_is_left_to_the_library(library: Tokenizer) -> None:
    """Else to look at each of an attacker's thousands of words would come on top of the whole."""
    table = Words(library)
    usual, hostile = (" ".join(f"n{n}m" for n in range(count)) for count in (60, 600))

    assert table.ids([hostile, usual])[0] is None
    assert table.count == 60
    assert assert_the_library_agrees(table, library, [usual]) == 1


def test_a_window_teaches_so_much_at_most_and_the_next_one_the_rest(
    library: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else thousands of comments of an attacker could fill the memory before a table is full."""
    monkeypatch.setattr(words, "NEW_AT_ONCE", 500)
    table = Words(library)
    texts = [" ".join(f"n{first + n}m" for n in range(20)) for first in range(1_000, 3_000, 20)]

    known = [ids is not None for ids in table.ids(texts)]

    assert 0 < sum(known) * 20 == table.count <= 500
    assert known == sorted(known, reverse=True), "the first ones teach"
    assert assert_the_library_agrees(table, library, texts) > sum(known)


def test_a_long_word_is_not_kept(library: Tokenizer) -> None:
    """Else a few hundred comments could fill the memory."""
    table = Words(library)

    assert_the_library_agrees(table, library, [f"see {'x' * 300} and {'[[y' * 100}"])

    assert table.count == len({"see", "and"})


def test_another_cleaning_is_left_to_the_library(library: Tokenizer, tmp_path: Path) -> None:
    """Nothing is known of how it treats words."""
    assert is_known(library)
    other = Tokenizer.from_str(library.to_str())
    for normalizer in (BertNormalizer(), Lowercase(), Sequence([library.normalizer, Lowercase()])):
        other.normalizer = normalizer
        assert not is_known(other)

    other.normalizer = library.normalizer
    other.pre_tokenizer = WhitespaceSplit()
    assert not is_known(other)
    other.pre_tokenizer = library.pre_tokenizer
    short = json.loads(library.to_str())
    short["model"]["max_input_chars_per_word"] = 8
    assert not is_known(Tokenizer.from_str(json.dumps(short)))
    bare = json.loads(library.to_str())
    bare["post_processor"] = None
    assert not is_known(Tokenizer.from_str(json.dumps(bare)))
    other.add_special_tokens(["zurl"])
    assert not is_known(other)

    other.save(str(tmp_path / "tokenizer.json"))
    (pieces,) = BundleTokeniser(tmp_path / "tokenizer.json", 64, 8, 4)(["one Word"])
    assert list(pieces.ids[0]) == other.encode("one Word").ids
