"""The table of exchanges: what stands in it is exchanged, all else stays."""

import string

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from trainer.charsmap import exchange

MARK = "\u0338"
TABLE = {"\u1d00": "a", "\U0001f170": "a", "\u115f": "", "4" + MARK: "a", "1" + MARK: "i"}
EXCHANGE = exchange(TABLE)


@given(st.lists(st.sampled_from([*TABLE, *string.ascii_lowercase, *"14 я中"]), max_size=40))
def test_what_stands_in_the_table_is_exchanged_and_all_else_stays(pieces: list[str]) -> None:
    """Characters, and characters with a mark, wherever they stand."""
    expected = "".join(TABLE.get(piece, piece) for piece in pieces)

    assert EXCHANGE.normalize_str("".join(pieces)) == expected


@given(st.text(st.characters(min_codepoint=1, exclude_categories=["Cs", "Mn", "Me", "Mc", "Cf"])))
def test_text_without_an_entry_is_never_touched(text: str) -> None:
    """Bytes that an entry shares with other characters do not lead astray."""
    if not set(text) & set("".join(TABLE)):
        assert EXCHANGE.normalize_str(text) == text


def test_it_survives_the_file_that_it_is_written_to() -> None:
    """It is data in tokenizer.json."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.normalizer = EXCHANGE

    again = Tokenizer.from_str(tokenizer.to_str())

    assert again.normalizer.normalize_str("\u1d004" + MARK + "b4") == "aab4"
