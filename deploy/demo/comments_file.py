"""Comments to play: the built-in ones, or a person's own file."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from schemas.comment import CommentEvent
from schemas.errors import CommentsFileError

BUILT_IN: Final = Path(__file__).parent / "comments.jsonl"
TEXT_COLUMNS: Final = ("text", "comment_text")

# What a publisher's bug or a hostile client sends in place of a comment. Nobody can judge
# these: each becomes a dead letter, and its comment is held.
NO_COMMENTS: Final = (
    b'{"id": "cut short", "te',
    b'{"text": "\xff\xfe is no UTF-8"}',
    b'{"text": 42}',
    b"[]",
)
# A few of them, early enough that a short run meets one.
NO_COMMENT_EVERY: Final = 50

MOST_CHARACTERS_OF_A_FIELD: Final = 2**31 - 1
PLAIN_NAME: Final = re.compile(r"[\w.:/-]{1,100}", re.ASCII)


class Playable(NamedTuple):
    """One comment to play. `name` goes into its id; `raw` is sent as it is, where there is one."""

    name: str
    text: str
    fields: dict[str, Any]
    raw: bytes | None = None

    def value(self, comment_id: str) -> bytes:
        """Return the record's value for an id."""
        if self.raw is not None:
            return self.raw
        fields = {**self.fields, "id": comment_id}
        try:
            return json.dumps(fields, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8, only an escape
            return json.dumps(fields).encode()


def built_in_comments() -> list[Playable]:
    """Return the comments that were written for the demo, and a few records that are none."""
    playables = read_comments(BUILT_IN, most=10_000)
    for number, raw in enumerate(NO_COMMENTS, 1):
        playables.insert(number * NO_COMMENT_EVERY, Playable(f"no-comment-{number}", "", {}, raw))
    return playables


def read_comments(path: Path, most: int) -> list[Playable]:
    """Read the first comments of a file.

    Args:
        path: a .csv with a column text or comment_text, or a .jsonl with such a field a line.
            Other fields of a CommentEvent are taken along; others are ignored.
        most: how many to read.

    Raises:
        CommentsFileError: the file cannot be read, or a line of it is no comment.
    """
    rows_of = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}.get(path.suffix)
    if rows_of is None:
        raise CommentsFileError(
            f"comments file `{path}`: found a name in {path.suffix or 'nothing'}, "
            "expected .csv or .jsonl",
            "rename the file after what is in it",
        )
    try:
        with path.open("rb") as file:
            rows = islice(rows_of(path, _lines(path, file)), most)
            found = [_playable(path, number, row) for number, row in rows]
    except OSError as error:
        raise CommentsFileError(
            f"comments file `{path}` cannot be read: {error.strerror}", "check --comments"
        ) from error
    if not found:
        raise CommentsFileError(
            f"comments file `{path}`: there is no comment in it", "check --comments"
        )
    return found


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _error(
                path, number, f"byte {error.start + 1} of it is no UTF-8", "save the file as UTF-8"
            ) from None


def _csv_rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(MOST_CHARACTERS_OF_A_FIELD)
    reader = csv.DictReader(lines, strict=True)
    try:
        columns = [name for name in TEXT_COLUMNS if name in (reader.fieldnames or ())]
        if not columns:
            raise _error(path, 1, _missing_column(reader.fieldnames or ()), "name the column so")
        for row in reader:
            given = {name: value for name, value in row.items() if name and value}
            yield reader.line_num, {**given, "text": row[columns[0]]}
    except csv.Error as error:
        hint = "quote fields with commas, quotes or line ends in them (RFC 4180)"
        # line_num is where the last good row ended: the one that failed began after it.
        raise _error(path, reader.line_num + 1, f"it is no CSV: {error}", hint) from None


def _missing_column(found: Iterable[str]) -> str:
    """Count the columns and never name them: where no header is, the first line is a comment."""
    number = len(list(found))
    return (
        f"expected a column {' or '.join(TEXT_COLUMNS)}, "
        f"found {number} columns, none of them called so"
    )


def _json_rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            what = f"it is no JSON: {error.msg}, column {error.pos + 1}"
            raise _error(path, number, what, "one JSON object a line") from None
        except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
            what = f"it is no JSON that can be read: {type(error).__name__}"
            raise _error(path, number, what, "one JSON object a line") from None
        found = [name for name in TEXT_COLUMNS if name in row] if isinstance(row, dict) else []
        if not found:
            expected = f"expected an object with a field {' or '.join(TEXT_COLUMNS)}"
            raise _error(path, number, expected, "one JSON object a line")
        yield number, {**row, "text": row[found[0]]}


def _playable(path: Path, number: int, row: dict[str, Any]) -> Playable:
    """Take from a row what a CommentEvent has, and check it."""
    fields = {name: row[name] for name in CommentEvent.model_fields if name in row}
    name = str(fields.pop("id", ""))
    try:
        event = CommentEvent.model_validate({**fields, "id": "checked"})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise _error(path, number, what, "leave the field out, or mend it") from None
    return Playable(name if PLAIN_NAME.fullmatch(name) else f"line-{number}", event.text, fields)


def _error(path: Path, line: int, what: str, hint: str) -> CommentsFileError:
    return CommentsFileError(f"comments file `{path}`, line {line}: {what}", hint)
