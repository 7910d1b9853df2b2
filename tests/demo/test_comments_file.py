"""Files of comments: what is read from them, and how a person learns what is wrong."""

import json
from pathlib import Path

import pytest

from deploy.demo.comments_file import Playable, built_in_comments, read_comments
from schemas.comment import CommentEvent
from schemas.errors import CommentsFileError
from schemas.wire import WireError, decode_comment

WRITTEN = "zebra-crossing"  # stands for what somebody wrote


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    """Write a file and return its path."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts(path: Path, most: int = 100) -> list[str]:
    """Read the texts of a file."""
    return [comment.text for comment in read_comments(path, most)]


def failure(path: Path) -> CommentsFileError:
    """Read a file that cannot be read and return the error, which must not quote it."""
    with pytest.raises(CommentsFileError) as caught:
        read_comments(path, most=100)
    assert str(path) in caught.value.what
    assert WRITTEN not in caught.value.what
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("column", ["text", "comment_text"])
def test_a_csv_gives_its_text_column(tmp_path: Path, column: str) -> None:
    """Both names are common; the other columns may be anything."""
    path = write(tmp_path, "c.csv", f'toxic,{column}\n0,hello\n1,"two\nlines, and a comma"\n')

    assert texts(path) == ["hello", "two\nlines, and a comma"]


def test_a_csv_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As spreadsheets write it."""
    assert texts(write(tmp_path, "c.csv", b"\xef\xbb\xbftext\nhello\n")) == ["hello"]


def test_a_csv_may_hold_an_empty_text(tmp_path: Path) -> None:
    """An empty comment is a comment."""
    assert texts(write(tmp_path, "c.csv", "id,text\na,\nb,hello\n")) == ["", "hello"]


def test_the_other_fields_of_a_comment_are_taken_along(tmp_path: Path) -> None:
    """What the schema does not know stays behind."""
    path = write(tmp_path, "c.csv", "id,text,community,author,toxic\n7,hello,news,,1\n")

    (comment,) = read_comments(path, most=100)

    assert comment.name == "7"
    assert decode_comment(comment.value("42")) == CommentEvent(
        id="42", text="hello", community="news"
    )


def test_json_lines_give_their_text_field(tmp_path: Path) -> None:
    """Empty lines are passed over."""
    path = write(tmp_path, "c.jsonl", '{"text": "hello"}\n\n{"comment_text": "bye"}\n')

    assert texts(path) == ["hello", "bye"]


def test_half_of_a_surrogate_pair_is_sent_as_it_came(tmp_path: Path) -> None:
    """JavaScript cuts emoji in two; the worker must meet such a comment as it is."""
    path = write(tmp_path, "c.jsonl", r'{"text": "half \ud83d"}')

    (comment,) = read_comments(path, most=1)

    assert rb"\ud83d" in comment.value("1")


def test_what_has_utf8_is_sent_as_utf8(tmp_path: Path) -> None:
    """Escapes would make a comment six times as heavy in some languages."""
    path = write(tmp_path, "c.jsonl", '{"text": "この曲 😻"}')

    (comment,) = read_comments(path, most=1)

    assert "この曲 😻".encode() in comment.value("1")


def test_only_as_many_lines_are_read_as_are_played(tmp_path: Path) -> None:
    """A file may be larger than memory, and wrong where nobody looks."""
    assert texts(write(tmp_path, "c.jsonl", '{"text": "hello"}\nno json\n'), most=1) == ["hello"]


def test_a_name_that_would_not_do_in_an_id_is_replaced_by_the_line(tmp_path: Path) -> None:
    """Ids of other people may be empty, very long or no text at all."""
    path = write(tmp_path, "c.csv", f"id,text\n,a\n{'x' * 300},b\né é,c\n")

    assert [comment.name for comment in read_comments(path, 9)] == ["line-2", "line-3", "line-4"]


def test_a_csv_without_a_text_column_is_told_what_was_expected(tmp_path: Path) -> None:
    """The names that would do, and how many others were found."""
    error = failure(write(tmp_path, "c.csv", f"tweet,class\n{WRITTEN},0\n"))

    assert "line 1: expected a column text or comment_text, found 2 columns" in error.what


def test_a_csv_without_a_header_does_not_show_its_first_comment(tmp_path: Path) -> None:
    """What stands where names should stand may be what somebody wrote."""
    for first in (f'"{WRITTEN} is what I say",0!', f"you idiot,{WRITTEN}"):
        error = failure(write(tmp_path, "c.csv", f"{first}\n"))

        assert "found 2 columns, none of them called so" in error.what
        assert WRITTEN not in error.what


def test_a_byte_that_is_no_utf8_is_named_by_line_and_place(tmp_path: Path) -> None:
    """Latin-1, most often."""
    error = failure(write(tmp_path, "c.csv", b"text\nfine\ncaf\xe9 " + WRITTEN.encode()))

    assert "line 3: byte 4 of it is no UTF-8" in error.what


def test_a_quote_that_is_never_closed_is_named_by_line(tmp_path: Path) -> None:
    """Otherwise the rest of the file would be one long comment."""
    error = failure(write(tmp_path, "c.csv", f'text\nfine\n"{WRITTEN}\n'))

    assert "line 3: it is no CSV" in error.what


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f'{{"text": "{WRITTEN}"', "it is no JSON: Expecting ',' delimiter, column 27"),
        ("[" * 100_000, "it is no JSON that can be read: RecursionError"),
        (f'["{WRITTEN}"]', "expected an object with a field text or comment_text"),
        (f'{{"tweet": "{WRITTEN}"}}', "expected an object with a field text or comment_text"),
        ('{"text": null}', "text: Input should be a valid string"),
        ('{"text": 42}', "text: Input should be a valid string"),
        (f'{{"text": "", "revision": "{WRITTEN}"}}', "revision: Input should be a valid integer"),
    ],
)
def test_a_line_that_is_no_comment_is_named(tmp_path: Path, line: str, what: str) -> None:
    """By its number and by what was expected in it."""
    error = failure(write(tmp_path, "c.jsonl", f'{{"text": "fine"}}\n{line}\n'))

    assert f"line 2: {what}" in error.what


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
def test_a_file_without_a_comment_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing can be played."""
    assert "no comment" in failure(write(tmp_path, name, "text\n" if name == "c.csv" else "")).what


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """By its name."""
    assert "No such file" in failure(tmp_path / "c.csv").what


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """The name says what is in it."""
    assert "expected .csv or .jsonl" in failure(write(tmp_path, "c.parquet", "PAR1")).what


def test_the_built_in_comments_are_many_and_most_are_harmless() -> None:
    """All kinds occur, under names that say which."""
    kinds = [comment.name.rsplit("-", 1)[0] for comment in built_in_comments()]

    assert len(kinds) >= 300
    assert len(set(kinds)) >= 15
    assert kinds.count("harmless") > len(kinds) / 2


def test_the_built_in_comments_are_all_different_and_follow_the_schema() -> None:
    """Each is a CommentEvent, but for the few that are none on purpose."""
    comments = [comment for comment in built_in_comments() if comment.raw is None]

    assert len({comment.text for comment in comments}) == len(comments)
    assert len({comment.name for comment in comments}) == len(comments)
    for number, comment in enumerate(comments):
        assert decode_comment(comment.value(str(number))).id == str(number)


def test_the_built_in_records_that_are_no_comments_are_none() -> None:
    """They show what becomes of what nobody can judge."""
    hostile = [comment for comment in built_in_comments() if comment.raw is not None]

    assert len(hostile) == 4
    for comment in hostile:
        with pytest.raises(WireError):
            decode_comment(comment.value("1"))


def test_the_id_of_a_played_comment_is_the_one_it_is_given() -> None:
    """So that a file can be played over and over."""
    comment = Playable("name", "hello", {"text": "hello"})

    assert json.loads(comment.value("000001-name")) == {"id": "000001-name", "text": "hello"}
