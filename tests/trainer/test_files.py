"""The same table reads the same in every format and packing; what is damaged is named."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from schemas.errors import CommentsFileError, TrainingError
from trainer import archives
from trainer.data import read_files

REMARK = "a very private remark"  # stands in for a comment, which no message may show
CSV = 'comment_text,toxic,threat\n"one, two",1,\nthree,0,0.5\n'
ROWS = [
    {"comment_text": "one, two", "toxic": 1, "threat": None},
    {"comment_text": "three", "toxic": 0, "threat": 0.5},
]


def json_lines() -> bytes:
    """Return the table as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def as_parquet(rows: list[dict[str, object]]) -> bytes:
    """Return rows as a Parquet file."""
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    """Return a zip of files; a double underscore in a name stands for a dot."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in members.items():
            archive.writestr(name.replace("__", "."), contents)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("t.csv", lambda: b"\xef\xbb\xbf" + CSV.encode()),
        ("t.csv", lambda: CSV.replace("\n", "\r\n").encode()),
        ("t.csv.gz", lambda: gzip.compress(CSV.encode())),
        ("t.jsonl", json_lines),
        ("t.ndjson", json_lines),
        ("t.jsonl.gz", lambda: gzip.compress(json_lines())),
        ("t.parquet", lambda: as_parquet(ROWS)),
        ("t.csv.zip", lambda: zipped(t__csv=CSV.encode())),
        ("t.zip", lambda: zipped(t__parquet=as_parquet(ROWS))),
        ("t.zip", lambda: zipped(inner__zip=zipped(t__jsonl=json_lines()))),
    ],
)
def test_a_table_is_the_same_in_every_format(
    tmp_path: Path, name: str, contents: Callable[[], bytes]
) -> None:
    """CSV, JSON Lines and Parquet, alone, gzipped, zipped and zipped twice."""
    path = tmp_path / name
    path.write_bytes(contents())

    rows = read_files([path])

    assert rows.texts == ["one, two", "three"]
    assert rows.labels[:, 0].tolist() == [1, 0]
    assert str(rows.labels[:, 3].tolist()) == "[nan, 0.5]"


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text().filter(str.strip), min_size=1, max_size=8))
def test_any_text_that_json_can_hold_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    """Line separators, quotes and control characters do not end a record."""
    path = tmp_path_factory.mktemp("any") / "t.jsonl"
    lines = (json.dumps({"text": t, "toxic": 0}, ensure_ascii=False) for t in texts)
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")

    assert read_files([path]).texts == texts


def test_a_member_of_a_zip_is_named_as_if_it_were_a_folder(tmp_path: Path) -> None:
    """One table is read, or the others are named."""
    path = tmp_path / "all.zip"
    path.write_bytes(zipped(a__csv=CSV.encode(), b__csv=b"text,toxic\nfour,1\n"))

    assert read_files([path / "b.csv"]).texts == ["four"]
    with pytest.raises(CommentsFileError, match=r"no c\.csv in it") as refused:
        read_files([path / "c.csv"])
    assert refused.value.hint == "it holds a.csv, b.csv"


def test_errors_in_a_zip_name_the_member_and_the_line(tmp_path: Path) -> None:
    """Both are needed to mend it."""
    path = tmp_path / "all.zip"
    path.write_bytes(zipped(a__csv=f"text,toxic\n{REMARK},2\n".encode()))

    with pytest.raises(TrainingError, match=r"all\.zip/a\.csv, line 2: toxic") as refused:
        read_files([path])

    assert REMARK not in str(refused.value)


def test_times_that_python_does_not_know_are_passed_over(tmp_path: Path) -> None:
    """When a comment was written is nothing that is learnt from."""
    path = tmp_path / "t.parquet"
    at = pa.array([2**55, 0], pa.timestamp("ms"))
    parquet.write_table(pa.Table.from_pylist(ROWS).append_column("written", at), path)

    assert read_files([path]).texts == ["one, two", "three"]


def test_errors_in_parquet_name_the_row(tmp_path: Path) -> None:
    """It has no lines."""
    path = tmp_path / "t.parquet"
    path.write_bytes(as_parquet([*ROWS, {"comment_text": REMARK, "toxic": -1}]))

    with pytest.raises(TrainingError, match=r"t\.parquet, row 3: toxic"):
        read_files([path])


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("t.zip", REMARK.encode(), "t.zip: cannot be unpacked"),
        ("t.zip", zipped(t__csv=CSV.encode())[:-30], "t.zip: cannot be unpacked"),
        ("t.zip", zipped(readme__txt=b"hello"), "no table in it"),
        ("t.csv.gz", REMARK.encode(), "cannot be unpacked"),
        ("t.csv.gz", gzip.compress(CSV.encode() * 99, mtime=0)[:-12], "cannot be unpacked"),
        ("t.parquet", REMARK.encode(), "not a Parquet file"),
        ("t.csv", b"text,toxic,toxic\nhello,1,0\n", "line 1: two columns have one name"),
        ("t.jsonl", b"[" * 100_000, "line 1: not a JSON object"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    tmp_path: Path, name: str, contents: bytes, says: str
) -> None:
    """A download that was cut off, a file with the wrong ending, a trap."""
    path = tmp_path / name
    path.write_bytes(contents)

    with pytest.raises(CommentsFileError, match=name.replace(".", r"\.")) as refused:
        read_files([path])

    assert says in str(refused.value)
    assert REMARK not in str(refused.value)


@pytest.mark.parametrize("name", ["t.zip", "t.csv.gz"])
def test_a_bomb_is_refused_at_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is unpacked is counted, whatever the archive says of itself."""
    monkeypatch.setattr(archives, "MOST_UNPACKED", 2**16)
    bomb = b"text,toxic\n" + b"hello there,1\n" * 10_000
    path = tmp_path / name
    path.write_bytes(zipped(t__csv=bomb) if name == "t.zip" else gzip.compress(bomb))

    with pytest.raises(CommentsFileError, match="unpacks to more than") as refused:
        read_files([path])

    assert path.stat().st_size < 2**11
    assert "zip bomb" in str(refused.value.hint)


def test_a_member_that_points_elsewhere_is_read_and_nothing_is_written(tmp_path: Path) -> None:
    """The names within an archive are never paths of ours."""
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped.csv", CSV)
        archive.writestr("__MACOSX/._t.csv", b"\0\1")

    assert read_files([path]).texts == ["one, two", "three"]
    assert sorted(tmp_path.rglob("*")) == [folder, path]
