"""The teacher file: what is written is what is read, whole or not at all, for its owner alone."""

import json
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import CommentsFileError, TrainingError
from schemas.labels import LABELS
from trainer.data import read_files
from trainer.teacher import read_teacher, refuse_out, write_teacher

REMARK = "a very private remark"  # stands in for a comment, which no message may show
TEXTS = st.lists(st.text().filter(str.strip), min_size=1, max_size=6, unique=True)


def some_scores(rows: int) -> np.typing.NDArray[np.float64]:
    """Return [rows, labels] probabilities."""
    return np.random.default_rng(rows).random((rows, len(LABELS)))


@settings(max_examples=30, deadline=None)
@given(texts=TEXTS, held_out=st.none() | st.just("6b18845032905f3e"))
@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, texts: list[str], held_out: str | None
) -> None:
    """Any text, to the letter; probabilities to a millionth; what was held out."""
    path, scores = tmp_path_factory.mktemp("any") / name, some_scores(len(texts))

    write_teacher(path, texts, scores, held_out)

    found = read_teacher(path)
    assert list(found.labels) == texts
    assert np.stack(list(found.labels.values())) == pytest.approx(scores, abs=1e-6)
    assert (found.path, found.held_out) == (path, held_out)


def test_half_a_surrogate_pair_comes_back_from_json_lines(tmp_path: Path) -> None:
    """It may stand in a file of comments, and is a key like any other."""
    write_teacher(tmp_path / "t.jsonl", ["half \ud83d"], some_scores(1), None)

    assert list(read_teacher(tmp_path / "t.jsonl").labels) == ["half \ud83d"]


def test_half_a_surrogate_pair_is_refused_in_parquet_without_the_text(tmp_path: Path) -> None:
    """It names the way out, and leaves nothing behind."""
    with pytest.raises(TrainingError, match="half a surrogate pair") as refused:
        write_teacher(tmp_path / "t.parquet", [f"{REMARK} \ud83d"], some_scores(1), None)

    assert REMARK not in str(refused.value)
    assert refused.value.__suppress_context__
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_reads_like_any_labelled_file_and_is_its_owners(tmp_path: Path) -> None:
    """It holds comments: nobody else may read it."""
    write_teacher(tmp_path / "t.jsonl", ["one"], some_scores(1), "aaaa")

    assert read_files([tmp_path / "t.jsonl"]).labels == pytest.approx(some_scores(1), abs=1e-6)
    assert (tmp_path / "t.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_a_disk_that_fills_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    """A file that may not grow beyond 4 KiB stands in for a full disk."""
    texts = [f"{REMARK} {i}" for i in range(2_000)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        with pytest.raises(TrainingError, match=rf"{name} cannot be written") as refused:
            write_teacher(tmp_path / name, texts, some_scores(2_000), None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert REMARK not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_sigterm_while_it_is_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to end before the last of it is on the disk."""
    monkeypatch.setattr("os.fsync", lambda _: signal.raise_signal(signal.SIGTERM))

    with pytest.raises(SystemExit) as ended:
        write_teacher(tmp_path / "t.jsonl", ["one"], some_scores(1), None)

    assert ended.value.code == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_another_ending_and_no_folder_are_refused_at_once(
    tmp_path: Path,
) -> None:
    """Nothing of a person's is overwritten, least of all what is to be read."""
    (tmp_path / "t.jsonl").write_text("")

    for out, read, says in (
        (tmp_path / "t.jsonl", [], "is there already"),
        (tmp_path / "t.jsonl", [tmp_path / "t.jsonl"], "is one of the files to be read"),
        (tmp_path / "t.csv", [], "neither JSON Lines nor Parquet"),
        (tmp_path / "none" / "t.jsonl", [], "is no folder"),
    ):
        with pytest.raises(TrainingError, match=says):
            refuse_out(out, read)


def test_a_folder_that_may_not_be_written_is_named_before_anything_is_scored() -> None:
    """Of the kernel's, so that root is refused, too."""
    with pytest.raises(TrainingError, match="/proc cannot be written"):
        refuse_out(Path("/proc/t.jsonl"), [])


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([{"text": REMARK, "spam": 1}], "no label column"),
        ([{"text": REMARK, "toxic": 1.2}], "line 1: toxic is neither blank nor a number"),
        ([{"text": REMARK, "toxic": 1}] * 2, "line 2: its text stands there before"),
        ([{"text": REMARK, "toxic": 1}, {"text": "b", "toxic": None}], "line 2: no label is known"),
        (
            [
                {"text": REMARK, "toxic": 1, "held_out_fingerprint": "aaaa"},
                {"text": "b", "toxic": 0, "held_out_fingerprint": "bbbb"},
            ],
            "held_out_fingerprint is not the same in all rows",
        ),
    ],
    ids=["other labels", "over 1", "twice", "nothing said", "two splits"],
)
def test_a_teacher_that_is_none_is_refused_by_place(
    tmp_path: Path, lines: list[dict[str, object]], says: str
) -> None:
    """File, line and column are named, the text is not."""
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    with pytest.raises(TrainingError, match=says) as refused:
        read_teacher(path)

    assert "t.jsonl" in str(refused.value)
    assert REMARK not in str(refused.value)


def test_a_teacher_that_is_missing_is_named(tmp_path: Path) -> None:
    """As any other file."""
    with pytest.raises(CommentsFileError, match=r"t\.jsonl"):
        read_teacher(tmp_path / "t.jsonl")


def test_the_fingerprint_follows_texts_and_labels_and_not_their_order(tmp_path: Path) -> None:
    """It is stated in the bundle of a student."""
    scores = some_scores(2)
    for name, order, factor in (("a", [0, 1], 1), ("b", [1, 0], 1), ("c", [0, 1], 0.5)):
        texts = [["one", "two"][i] for i in order]
        write_teacher(tmp_path / f"{name}.jsonl", texts, scores[order] * factor, None)

    a, b, c = (read_teacher(tmp_path / f"{name}.jsonl").fingerprint for name in "abc")

    assert a == b != c
