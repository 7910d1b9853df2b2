"""Which column of a table is what, and what a cell says of a label."""

import math
from collections.abc import Mapping
from typing import Any, Final

from schemas.errors import CommentsFileError, TrainingError
from schemas.labels import LABELS
from trainer.files import Record, columns_found

TEXT_COLUMNS: Final = ("comment_text", "text", "comment", "tweet")

# Names of the same six in Civil Comments and in Perspective, whose users bring their files
# along. Columns with another idea of a label (hate_speech, abusive) are not guessed at.
ALIASES: Final = {
    "toxicity": "toxic",
    "severe_toxicity": "severe_toxic",
    "profanity": "obscene",
    "identity_attack": "identity_hate",
}
LABEL_COLUMNS: Final = frozenset({*LABELS, *ALIASES})

_NAMES: Final = {
    label: (label, *(alias for alias, of in ALIASES.items() if of == label)) for label in LABELS
}
_WORDS: Final = {"true": 1.0, "false": 0.0}


class Reader:
    """Reads the records of one table, and remembers which columns it has seen.

    Args:
        name: of the table, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen = set[str]()
        self._text_column = ""
        self._nothing_known = ""

    def text(self, record: Record) -> str:
        """Return a record's text."""
        self._text_column = self._text_column or text_column(self._name, record.values)
        return text_of(record, self._text_column)

    def labels(self, record: Record) -> list[float]:
        """Return a record's labels in 0..1, NaN where one is not known."""
        self._seen |= record.values.keys()
        found = [_label(record, label) for label in LABELS]
        if not self._nothing_known and all(map(math.isnan, found)):
            self._nothing_known = record.place
        return found

    def check_columns(self) -> None:
        """Raise what can only be said when all records are read."""
        if not self._seen:
            raise CommentsFileError(f"{self._name}: it has no rows", "give a file that has some")
        for column in sorted(self._seen - LABEL_COLUMNS):
            if (meant := column.strip().lower()) in LABEL_COLUMNS:
                raise TrainingError(
                    f"{self._name}: the column {column!r} is not read, {meant} would be",
                    "rename it, to the letter",
                )
        if not self._seen & LABEL_COLUMNS:
            raise TrainingError(
                f"{self._name}: no label column; found {columns_found(sorted(self._seen))}",
                f"name at least one column {', '.join(LABELS)}",
            )
        for names in _NAMES.values():
            if len(self._seen.intersection(names)) > 1:
                raise TrainingError(
                    f"{self._name}: {' and '.join(names)} are two names of one label",
                    "take one of the two columns out",
                )
        if self._nothing_known:
            raise TrainingError(
                f"{self._nothing_known}: no label is known",
                "take the row out, or give it in a file of unlabelled comments",
            )


def text_column(name: str, values: Mapping[str, Any]) -> str:
    """Return the column that holds the texts.

    Args:
        name: of the table, for the message.
        values: of its first record, by column.

    Raises:
        CommentsFileError: there is none.
    """
    for column in TEXT_COLUMNS:
        if column in values:
            return column
    for column in values:
        if (meant := column.strip().lower()) in TEXT_COLUMNS:
            raise CommentsFileError(
                f"{name}: the column {column!r} is not read, {meant} would be",
                "rename it, to the letter",
            )
    raise CommentsFileError(
        f"{name}: no column of texts; found {columns_found(values)}",
        f"name one column {' or '.join(TEXT_COLUMNS)}",
    )


def text_of(record: Record, column: str) -> str:
    """Return a record's text.

    Raises:
        TrainingError: it is empty, or no text.
    """
    text = record.values.get(column)
    if text is not None and not isinstance(text, str):
        kind = type(text).__name__
        raise TrainingError(f"{record.place}: {column} is of type {kind}", "make it a string")
    if text is None or not text.strip():
        raise TrainingError(f"{record.place}: {column} is empty", "take the row out")
    return text


def _label(record: Record, label: str) -> float:
    """Return a label as a fraction, NaN where it is not known."""
    for column in _NAMES[label]:
        if column in record.values:
            return _fraction(record.values[column], column, record.place)
    return math.nan


def _fraction(value: Any, column: str, place: str) -> float:
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value.strip())
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    try:
        fraction = float(value)
    except (TypeError, ValueError, OverflowError):
        fraction = math.nan
    if not 0 <= fraction <= 1:
        raise TrainingError(
            f"{place}: {column} is neither blank nor a number from 0 to 1",
            "mend the row; a label that is not known is left blank",
        )
    return fraction
