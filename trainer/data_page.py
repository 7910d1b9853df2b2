"""The report on the data as files: `data.json` has all figures, `data.md` is to be read.

`data.png`, which `data_picture.py` draws, is to be looked at.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from schemas.errors import TrainingError
from trainer.data_picture import draw
from trainer.data_report import PERCENTILES, PLACE_NAMES, DataReport, FileFigures, LabelFigures


def write_data_report(folder: Path, report: DataReport) -> None:
    """Write data.json, data.md and data.png into a folder, each whole or not at all.

    Raises:
        TrainingError: the folder cannot be written to, or the disk is full.
    """
    contents = {
        "data.json": (json.dumps(asdict(report), indent=2) + "\n").encode(),
        "data.md": "\n".join(markdown(report)).encode(),
        "data.png": draw(report),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            unfinished = folder / f".{name}.unfinished"
            unfinished.write_bytes(content)
            unfinished.replace(folder / name)
    except OSError as error:
        raise TrainingError(
            f"{folder}: the report on the data cannot be written: {error.strerror}",
            "make room, or choose another folder",
        ) from error


def summary(report: DataReport) -> Iterator[str]:
    """Yield the lines that the person who waits is told."""
    for file in report.files:
        weight = "" if file.weight == 1 else f", weight {file.weight:g}"
        yield f"{file.name}: {file.rows:,} rows{weight}; {_places(file)}"
    for label in report.labels:
        train, test = report.parts["train"][label], report.parts["test"][label]
        yield (
            f"  {label}: {train.positive:,} of {train.known:,} known to learn from, "
            f"{test.positive:,} of {test.known:,} held out"
        )
        if train.known and not train.positive:
            yield f"WARNING: {label} is set in no row to learn from: it will be found nowhere"
    leaks = ", ".join(f"{rows:,} near {file}" for file, rows in report.leaks.items() if rows)
    yield f"leaks, taken out: {leaks or 'none'}"
    conflicts = ", ".join(f"{label} {n:,}" for label, n in report.conflicts.items() if n)
    yield f"one text, two opinions: {conflicts or 'none'}"


def markdown(report: DataReport) -> Iterator[str]:
    """Yield the lines of data.md."""
    yield from (
        "# The data",
        "",
        f"Split `{report.fingerprint}`, of which held out `{report.held_out_fingerprint}`.",
        "",
        "![labels by part, labels together, lengths, files](data.png)",
        "",
        "## Files",
        "",
    )
    yield from _table(
        ["file", "weight", "rows", *PLACE_NAMES.values()],
        [
            [file.name, f"{file.weight:g}", file.rows, *_in_order(file.places)]
            for file in report.files
        ],
    )
    yield "Labels of each file: set of known, fractions in brackets."
    yield ""
    yield from _table(
        ["file", *report.labels],
        [[f.name, *(_of_known(f.labels[label]) for label in report.labels)] for f in report.files],
    )
    yield from ("## Parts", "", "Rows with the label set, of those of which it is known.", "")
    yield from _table(
        ["part", "rows", *report.labels],
        [
            [part, report.part_rows[part], *(_of_known(labels[label]) for label in report.labels)]
            for part, labels in report.parts.items()
        ],
    )
    yield "## Labels together"
    yield ""
    yield "Rows of all parts with both labels set, of those with the label on the left of which"
    yield "the label above is known."
    yield ""
    yield from _table(
        ["", *report.labels],
        [
            [label, *(f"{both:,} of {asked:,}" for both, asked in zip(*row, strict=True))]
            for label, *row in zip(report.labels, report.together, report.asked, strict=True)
        ],
    )
    yield from ("## Lengths", "")
    yield from _table(
        ["of", "comments", *(f"{p} %" for p in PERCENTILES[:-1]), "longest"],
        [
            [lengths.unit, lengths.comments, *lengths.percentiles.values()]
            for lengths in (report.characters, report.tokens)
            if lengths
        ],
    )
    yield from _duplicates_in_markdown(report)


def _duplicates_in_markdown(report: DataReport) -> Iterator[str]:
    names = [file.name for file in report.files]
    yield from ("## Duplicates", "")
    for title, counts in (("the same text", report.exact), ("a near duplicate", report.near)):
        yield f"Rows of the file on the left of which {title} stands in the file above"
        yield "(in the same file: in another row of it)."
        yield ""
        yield from _table(
            ["", *names], [[name, *row] for name, row in zip(names, counts, strict=True)]
        )
    yield "Texts that stand there more than once and disagree on a label:"
    yield ""
    yield from _table(list(report.conflicts), [list(report.conflicts.values())])
    yield from ("## Leaks", "", "Rows near a text of a file kept for evaluation; left out.", "")
    yield from _table(["file", "rows"], [[file, rows] for file, rows in report.leaks.items()])


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"| {' | '.join('---' for _ in header)} |"
    for row in rows:
        yield f"| {' | '.join(f'{x:,}' if isinstance(x, int) else str(x) for x in row)} |"
    yield ""


def _of_known(figures: LabelFigures) -> str:
    if not figures.known:
        return "not known"
    fractions = f" ({figures.fractions:,})" if figures.fractions else ""
    return f"{figures.positive:,} of {figures.known:,}{fractions}"


def _places(file: FileFigures) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in file.places.items() if count)


def _in_order(places: Mapping[str, int]) -> list[int]:
    return [places[name] for name in PLACE_NAMES.values()]
