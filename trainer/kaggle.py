"""Kaggle's Jigsaw files as they come: `test.csv` has its labels in a file of its own.

In `test_labels.csv` -1 says that a row was not scored: such rows are dropped, and counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from schemas.errors import TrainingError
from trainer.archives import Stored, contents
from trainer.files import Record, records
from trainer.say import say

TEST: Final = "test.csv"
TEST_LABELS: Final = "test_labels.csv"
SUBMISSION: Final = "sample_submission.csv"  # 0.5 for every label, and no text

NOT_SCORED: Final = -1.0

_HINT: Final = "the two files are not of one release; fetch both again"


def labelled_tables(path: Path, labels: Iterable[str]) -> list[tuple[Stored, Iterator[Record]]]:
    """Return the tables of a file with their records, the test file's with their labels.

    Args:
        path: a file; of Kaggle's own zip all is read that has labels.
        labels: names of columns: a test.csv that has one of them is no file of Kaggle's.

    Raises:
        CommentsFileError: a file cannot be read.
        TrainingError: one of the two test files lacks the other.
    """
    found = contents(path)
    test_labels = next((stored for stored in found if stored.file == TEST_LABELS), None)
    tests = [s for s in found if s.file == TEST and _lacks_labels(s, labels)]
    if test_labels and not tests:
        raise TrainingError(
            f"{test_labels.name}: labels without texts",
            f"name {TEST} in its place: {TEST_LABELS} beside it is read with it",
        )
    joined = [(test, _joined(test, test_labels or _beside(path, test))) for test in tests]
    others = [(s, records(s)) for s in without_companions(found) if s not in tests]
    return others + joined


def without_companions(found: Sequence[Stored]) -> list[Stored]:
    """Leave out Kaggle's files that hold no texts."""
    return [stored for stored in found if stored.file not in {TEST_LABELS, SUBMISSION}]


def _lacks_labels(stored: Stored, labels: Iterable[str]) -> bool:
    first = next(records(stored), None)
    return first is not None and "id" in first.values and not set(labels) & first.values.keys()


def _beside(path: Path, test: Stored) -> Stored:
    """Find test_labels.csv, plain or packed, in the folder of test.csv."""
    if not path.is_file():  # within a zip
        return contents(path.with_name(TEST_LABELS))[0]
    for packing in ("", ".zip", ".gz"):
        neighbour = path.with_name(TEST_LABELS + packing)
        if neighbour.is_file():
            return contents(neighbour)[0]
    raise TrainingError(
        f"{test.name}: no label column, and no {TEST_LABELS} beside it",
        f"put Kaggle's {TEST_LABELS} into {path.parent}",
    )


def _joined(test: Stored, test_labels: Stored) -> Iterator[Record]:
    """Yield the scored rows of the test file with their labels."""
    labels = _by_id(test_labels)
    not_scored = 0
    for record in records(test):
        known = labels.pop(record.values.get("id"), None)
        if known is None:
            raise TrainingError(
                f"{record.place}: its id stands twice, or is not in {test_labels.name}", _HINT
            )
        values = {name: value for name, value in known.values.items() if name != "id"}
        if values and all(_is_not_scored(value) for value in values.values()):
            not_scored += 1
        else:
            yield Record(f"{record.place} with {known.place}", {**record.values, **values})
    if labels:
        place = next(iter(labels.values())).place
        raise TrainingError(f"{place}: its id has no text in {test.name}", _HINT)
    say(f"{test.name}: {not_scored:,} rows of -1 dropped, which Kaggle did not score")


def _by_id(test_labels: Stored) -> dict[Any, Record]:
    found: dict[Any, Record] = {}
    for record in records(test_labels):
        identity = record.values.get("id")
        if identity is None or found.setdefault(identity, record) is not record:
            raise TrainingError(f"{record.place}: its id stands twice, or there is none", _HINT)
    return found


def _is_not_scored(value: Any) -> bool:
    try:
        return float(value) == NOT_SCORED
    except (TypeError, ValueError):
        return False
