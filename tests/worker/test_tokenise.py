"""Pieces: every token is in one, neighbours overlap, a very long text keeps head and tail."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import integers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import BertProcessing

from schemas.errors import BundleError
from worker.tokenise import BundleTokeniser

CLS, SEP, UNKNOWN = 0, 1, 2
WORDS = 2_000


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a tokenizer.json in which word n is token n + 3."""
    vocabulary = {"[CLS]": CLS, "[SEP]": SEP, "[UNK]": UNKNOWN}
    vocabulary |= {f"w{n}": n + 3 for n in range(WORDS)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a word's token
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    path = tmp_path_factory.mktemp("bundle") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def text_of(words: int) -> str:
    """Return a text of so many words, no two alike."""
    return " ".join(f"W{n}" for n in range(words))


@given(words=integers(0, 600), max_length=integers(8, 64), overlap=integers(0, 5))
def test_pieces_cover_every_token_and_overlap(
    tokenizer_file: Path, words: int, max_length: int, overlap: int
) -> None:
    """Laid over each other by their overlap, the pieces are the whole text again."""
    tokenise = BundleTokeniser(tokenizer_file, max_length, overlap, most=1_000)

    (found,) = tokenise([text_of(words)])

    assert not found.truncated
    assert all(piece[0] == CLS and piece[-1] == SEP for piece in found.ids)
    assert all(len(piece) <= max_length for piece in found.ids)
    inner = [list(piece[1:-1]) for piece in found.ids]
    joined = inner[0]
    for piece in inner[1:]:
        assert piece[:overlap] == joined[len(joined) - overlap :]
        joined = joined + piece[overlap:]
    assert [n + 3 for n in range(words)] == joined


@given(words=integers(0, 1_500), most=integers(2, 9))
def test_of_too_many_pieces_head_and_tail_are_kept(
    tokenizer_file: Path, words: int, most: int
) -> None:
    """Never more than the cap; first and last word are judged; `truncated` tells the truth."""
    (whole,) = BundleTokeniser(tokenizer_file, 34, 4, most=1_000)([text_of(words)])

    (found,) = BundleTokeniser(tokenizer_file, 34, 4, most)([text_of(words)])

    assert min(most, len(whole.ids)) == len(found.ids)
    assert (len(whole.ids) > most) == found.truncated
    assert list(whole.ids[0]) == list(found.ids[0])
    assert list(whole.ids[-1]) == list(found.ids[-1])


@pytest.mark.parametrize("text", ["", " ", "w1", text_of(30)])
def test_a_text_that_fits_is_one_piece(tokenizer_file: Path, text: str) -> None:
    """The empty text, too: it has its two marks and is scored."""
    (found,) = BundleTokeniser(tokenizer_file, 32, 4, 16)([text])

    assert len(found.ids) == 1
    assert not found.truncated


def test_texts_come_back_in_their_order(tokenizer_file: Path) -> None:
    """A long one among short ones shifts nobody's pieces."""
    found = BundleTokeniser(tokenizer_file, 16, 2, 4)(["w5", text_of(200), "w6"])

    assert [list(piece) for piece in found[0].ids] == [[CLS, 8, SEP]]
    assert len(found[1].ids) == 4
    assert [list(piece) for piece in found[2].ids] == [[CLS, 9, SEP]]


def test_an_overlap_without_room_is_refused(tokenizer_file: Path) -> None:
    """Both numbers, and the setting to lower."""
    with pytest.raises(BundleError, match="pieces of 16 tokens cannot overlap by 14") as caught:
        BundleTokeniser(tokenizer_file, 16, 14, 4)

    assert caught.value.hint == "set TIDEGATE_LIMITS__OVERLAP below 14"


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    """The path is in the error."""
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")

    with pytest.raises(BundleError, match=r"tokenizer\.json: no tokenizer can be read"):
        BundleTokeniser(path, 16, 2, 4)
