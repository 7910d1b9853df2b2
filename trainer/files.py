"""A table to records: CSV, JSON Lines or Parquet. No error carries a comment."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import CommentsFileError
from trainer import archives
from trainer.archives import Stored

JSON_LINES: Final = (".jsonl", ".ndjson")
PARQUET: Final = ".parquet"

MOST_FIELD: Final = 1_000_000  # characters in one cell; more is a quote that was never closed

OTHER_MARKS: Final = {";": "semicolons", "\t": "tabs"}  # between columns

_NAME_OF_A_COLUMN: Final = re.compile(r"[A-Za-z_][\w@.-]{0,39}")


@dataclass(frozen=True, slots=True)
class Record:
    """One comment's values.

    Attributes:
        place: the file and the line on which the record ends (of Parquet the row), from 1.
        values: by column; a CSV's are texts.
    """

    place: str
    values: Mapping[str, Any]


def records(stored: Stored) -> Iterator[Record]:
    """Yield the records of a table in their order.

    Raises:
        CommentsFileError: the table is not what its name says, or a record is broken.
    """
    if stored.file.endswith(PARQUET):
        return _parquet(stored)
    return _json_lines(stored) if stored.file.endswith(JSON_LINES) else _csv(stored)


def columns_found(names: Iterable[str]) -> str:
    """List columns for a message; without a header they are a comment, so they are counted."""
    names = list(names)
    if all(_NAME_OF_A_COLUMN.fullmatch(name) for name in names):
        return ", ".join(names)
    return f"{len(names)} columns whose names look like values: the header may be missing"


def _csv(stored: Stored) -> Iterator[Record]:
    csv.field_size_limit(MOST_FIELD)
    # strict: else a quote that is never closed swallows the rest of the file in silence
    reader = csv.reader(_lines(stored, newline=""), strict=True)
    header: list[str] = []
    while (row := _next_row(reader, stored)) is not None:
        place = f"{stored.name}, line {reader.line_num}"
        if not header:
            header = row
            _refuse_other_marks(header, place)
            if len(set(header)) < len(header):
                raise CommentsFileError(f"{place}: two columns have one name", "rename one of them")
        elif len(row) == len(header):
            yield Record(place, dict(zip(header, row, strict=True)))
        elif row:
            raise CommentsFileError(
                f"{place}: expected {len(header)} columns, found {len(row)}",
                "the row is broken; quote texts that hold commas or line breaks",
            )


def _refuse_other_marks(header: list[str], place: str) -> None:
    """Say what spreadsheets of some countries do, before each text with a comma is a broken row."""
    for mark, name in OTHER_MARKS.items():
        if len(header) == 1 and mark in header[0]:
            raise CommentsFileError(
                f"{place}: its columns are parted by {name}", "part them by commas"
            )


def _next_row(reader: Any, stored: Stored) -> list[str] | None:
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error:
        raise CommentsFileError(
            f"{stored.name}, line {reader.line_num}: a broken row",
            "close each quote, and double it within a text: RFC 4180",
        ) from None
    return row


def _json_lines(stored: Stored) -> Iterator[Record]:
    for line, raw in enumerate(_lines(stored, newline="\n"), start=1):
        if not raw.strip():
            continue
        place = f"{stored.name}, line {line}"
        try:
            values = json.loads(raw)
        except (ValueError, RecursionError):
            values = None  # the error itself would quote the line
        if not isinstance(values, dict):
            raise CommentsFileError(f"{place}: not a JSON object", "one object a line")
        yield Record(place, values)


def _parquet(stored: Stored) -> Iterator[Record]:
    try:
        # slow to import, and seldom needed
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise CommentsFileError(
            f"{stored.name}: Parquet needs pyarrow", "`make full`, or install tidegate[train]"
        ) from None
    with stored.open() as stream:
        raw = stream.read()
    row = 0
    try:
        file = parquet.ParquetFile(pa.BufferReader(raw))
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > archives.MOST_UNPACKED:
            raise archives.too_large(stored.name)
        # of times Python knows fewer than Parquet, and nobody reads one here
        columns = [each.name for each in file.schema_arrow if not pa.types.is_temporal(each.type)]
        for batch in file.iter_batches(batch_size=1_024, columns=columns):
            for values in batch.to_pylist():
                row += 1
                yield Record(f"{stored.name}, row {row}", values)
    except (pa.ArrowException, OSError, ValueError):
        after = f" after row {row}" if row else ""
        raise CommentsFileError(
            f"{stored.name}: not a Parquet file, or a damaged one{after}", "write it again"
        ) from None


def _lines(stored: Stored, newline: str) -> Iterator[str]:
    with stored.open() as raw, io.TextIOWrapper(raw, "utf-8-sig", newline=newline) as text:
        try:
            yield from text
        except UnicodeDecodeError:
            pass  # left behind here: it holds the comments around the place
        else:
            return
    line = _first_line_not_utf_8(stored)
    raise CommentsFileError(f"{stored.name}, line {line}: not UTF-8", "convert it to UTF-8")


def _first_line_not_utf_8(stored: Stored) -> int:
    line = 0
    with stored.open() as stream:
        for raw in stream:
            line += 1
            try:
                raw.decode()
            except UnicodeDecodeError:
                break
    return line
