"""The cleaning undoes disguise, keeps what a reader sees, and takes time in proportion to n."""

import time
from collections.abc import Callable

import pytest
from tokenizers import Tokenizer

from trainer.normalise import cleaning, with_cleaning
from worker.settings import SHIPPED_BUNDLE
from worker.words import is_known

CLEAN = cleaning()


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("You are STUPID", "you are stupid"),
        ("s\u200bt\u200du\u2060p\ufeffid", "stupid"),  # zero-width
        ("\u202estupid\u202c", "stupid"),  # text direction
        ("\uff53\uff54\uff55\uff50\uff49\uff44", "stupid"),  # full-width
        ("\U0001d598\U0001d599\U0001d59a\U0001d595\U0001d58e\U0001d589", "stupid"),  # mathematical
        ("s\u0336t\u0336u\u0336p\u0336i\u0336d\u0336", "stupid"),  # struck through
        ("\u0455tup\u0456d", "stupid"),  # Cyrillic look-alikes
        ("\u0440at\u04bbeti\u0441", "pathetic"),
        ("\u03b9d\u03b9ot", "idiot"),  # Greek look-alikes
        ("stuuuuupid", "stupid"),
        ("asssss", "ass"),
        ("killlll", "kill"),
        ("!!!!!!!!!!", "!!!"),
        ("1d10t", "idiot"),
        ("st0p1d", "stopid"),
        ("a$$hole", "asshole"),
        ("f@ggy", "faggy"),
        ("s.t.u.p.i.d", "stupid"),
        ("s t u p i d", "stupid"),
        ("stu<b></b>pid", "stupid"),
        ("'''stupid'''", "stupid"),
        ("na\u00efve caf\u00e9", "naive cafe"),
        ("\u1d05\u026a\u1d04\u1d0b", "dick"),  # small capitals
        ("i\u0111io\u0167", "idiot"),  # with a stroke
        ("\U0001f170\U0001f182\U0001f182", "ass"),  # white on black
        ("\u0430\u0455\u0455", "ass"),  # Cyrillic throughout, one letter of it rare
        ("k\u0443\u0435\u0441t", "kyect"),  # Latin at both ends alone
        ("f\u03bcck", "fuck"),
        ("s\u3164tu\u2800pid", "stupid"),  # letters that show nothing
        ("sh!t and stup!d", "shit and stupid"),
        ("5tupid, 4sshole", "stupid, asshole"),
        ("ni993r", "nigger"),
        ("a$$ h3ll0 @ss bi+ch", "ass hello ass bitch"),
        ("c1ean asho1e", "clean ashole"),
        ("f_u_c_k s-t-u-p-i-d i,d,i,o,t", "fuck stupid idiot"),
        ("s . t . u . p . i . d", "stupid"),
        ("y o u  a r e  d u m b", "you  are  dumb"),
        ("nooooo", "no"),
    ],
)
def test_disguised_words_come_out_plain(disguised: str, plain: str) -> None:
    """Whatever a reader would read is what the model gets."""
    assert CLEAN.normalize_str(disguised).strip() == plain


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://www.you-are-stupid.example/x", "you-are-stupid.example/x"),
        ("<you are stupid>", "<you are stupid>"),
        ("[[you are|stupid]]", "you are|stupid"),
    ],
)
def test_nothing_can_be_hidden_in_links_or_markup(text: str, kept: str) -> None:
    """A reader sees these words, so the model must."""
    assert CLEAN.normalize_str(text).strip() == kept


@pytest.mark.parametrize(
    "text",
    [
        "привет как дела",
        "καλη συνεχεια",
        "i am a b",
        "in 2024 we won",
        "the 4th, 1st and 5th at 5pm, 3mb for $100",
        "top10, covid19, c++ and @somebody",
        "stop!thief",
    ],
)
def test_what_is_no_disguise_stays_as_it_is(text: str) -> None:
    """Real Russian and Greek are not turned into Latin letters, nor figures into letters."""
    assert CLEAN.normalize_str(text) == text


def test_cleaning_survives_the_file_it_is_written_to(plain_tokenizer: Tokenizer) -> None:
    """The normaliser is data in tokenizer.json: read again, it gives the same tokens."""
    cleaned = with_cleaning(plain_tokenizer)
    again = Tokenizer.from_str(cleaned.to_str())

    for text in ("S.t.u.p.i.d \u0455tup\u0456d stuuupid", "<b>x</b> http://x.example"):
        assert cleaned.encode(text).ids == again.encode(text).ids


def test_the_worker_knows_the_cleaning_by_which_it_looks_words_up() -> None:
    """Change one, and `worker.words` has to be thought through again, with its fingerprint."""
    tokenizer = Tokenizer.from_file(str(SHIPPED_BUNDLE / "tokenizer.json"))
    tokenizer.normalizer = CLEAN

    assert is_known(tokenizer)


HOSTILE = [
    "a", "s", "\u0301", "e\u0301", "<", "<b", "http", "http://", "www.", "\u0430", "\u0430a", "4",
    "a4", "&", "&amp", "[", "'", "!", "\u200b", "a.", "a ", "\U0001d58b", "\ufdfa", "a!", "a$",
    "$", "1", "\u0455", "\u1d00", "a . ", "\U0001f1e6",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=[repr(unit) for unit in HOSTILE])
def test_time_grows_in_proportion_whoever_wrote_the_text(unit: str) -> None:
    """Four times the letters take about four times as long: quadratic would take sixteen."""
    short, long = (unit * (n // len(unit)) for n in (10_000, 40_000))

    assert least_seconds(lambda: CLEAN.normalize_str(long)) < 9 * max(
        0.002, least_seconds(lambda: CLEAN.normalize_str(short))
    )


def least_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of the quickest of three runs."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


@pytest.fixture
def plain_tokenizer() -> Tokenizer:
    """Return a small word-piece tokeniser without cleaning."""
    from tokenizers.models import WordPiece  # noqa: PLC0415 - only this fixture needs it

    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "stupid", "x", "example", "."]
    vocabulary = {word: i for i, word in enumerate(words)}
    return Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no secret
