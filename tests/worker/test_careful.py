"""Comments that end processes are found over processes, and no other is condemned for them."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from rig.make import TIMESTAMP, make_prepared, make_record, value_of
from rig.stub import stub_score, stub_scores
from schemas.dead_letter import Reason
from schemas.errors import ScoringError, SettingsError
from worker.scoring.careful import careful
from worker.scoring.crash_record import (
    ALONE_FROM,
    CONDEMNED_FROM,
    MOST_CONDEMNED,
    CrashRecord,
    Kept,
    Position,
    Suspects,
)
from worker.window import Comment, Entry, Partition, Prepared, Record, Refusal, Scored

Row = tuple[int, str]  # partition, text

POISON = "poison"


class Killed(BaseException):
    """The process is gone: nothing that comes behind is done."""


def records_of(rows: Sequence[Row]) -> list[Record]:
    """Return records with these texts, each at the next offset of its partition."""
    ends: dict[int, int] = {}
    records = []
    for partition, text in rows:
        offset = ends.setdefault(partition, 0)
        ends[partition] += 1
        value = None if text == "erasure" else value_of(text)
        records.append(make_record(offset, value, partition=partition))
    return records


class Device:
    """A device that kills the process over a poison."""

    def __init__(self) -> None:
        self.killed = 0
        self.sizes: list[int] = []  # of the windows that it was given

    def __call__(self, window: Prepared) -> Scored:
        """Score a window."""
        comments = [entry for entry in window.entries if isinstance(entry, Comment)]
        self.sizes.append(len(comments))
        if any(entry.event.text.startswith(POISON) for entry in comments):
            self.killed += 1
            raise Killed
        return stub_score(window)


def process(file: Path, windows: Sequence[Sequence[Record]], device: Device) -> list[Scored]:
    """Run a process over windows, until they end or it is killed; return what it scored."""
    done: list[Scored] = []
    try:
        with careful(file, device, lambda: device) as score:
            done.extend(score(make_prepared(window)) for window in windows)
    except Killed:
        return []
    return done


def outcomes(scored: Sequence[Scored]) -> list[tuple[Record, Entry, list[float] | None]]:
    """Return each record with its entry and, where it is a comment, its scores."""
    found = []
    for window in scored:
        scores = iter(window.scores.tolist())
        for record, entry in window.prepared.rows:
            found.append((record, entry, next(scores) if isinstance(entry, Comment) else None))
        assert next(scores, None) is None
    return found


@st.composite
def rows_with_poison(draw: st.DrawFn) -> list[Row]:
    """Return rows of two partitions, up to three of them poison."""
    rows = draw(
        st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["a", "b c", "erasure"])), max_size=9)
    )
    for number in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(rows)))
        rows.insert(place, (draw(st.integers(0, 1)), f"{POISON} {number}"))
    return rows


@given(rows=rows_with_poison(), data=st.data())
def test_a_comment_that_ends_processes_is_held_and_every_other_is_scored(
    rows: list[Row], data: DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However windows are cut anew by each process, and however many such comments there are."""
    file = tmp_path_factory.mktemp("careful") / "record"
    records, device = records_of(rows), Device()
    poisons = [text for _, text in rows if text.startswith(POISON)]
    done: list[Scored] = []
    while len(outcomes(done)) < len(records):
        cuts = sorted(data.draw(st.sets(st.integers(1, len(records)), max_size=3)))
        bounds = zip([0, *cuts], [*cuts, len(records)], strict=True)
        windows = [records[a:b] for a, b in bounds if a < b]
        done = process(file, windows, device)
        assert device.killed <= CONDEMNED_FROM * len(poisons)

    for (record, entry, scores), (_, text) in zip(outcomes(done), rows, strict=True):
        assert record in records
        if text.startswith(POISON):
            assert isinstance(entry, Refusal)
            assert entry.reason is Reason.NOT_SCORABLE
            assert entry.comment_id == "c1"
            assert text not in entry.detail
        elif text != "erasure":
            assert scores == pytest.approx(stub_scores(text))


def test_over_a_window_that_ended_two_processes_comments_are_scored_alone(tmp_path: Path) -> None:
    """By the scorer that is loaded for it, and for no other reason; the rest stays together."""
    file, usual, alone = tmp_path / "record", Device(), Device()
    records = records_of([(0, "a"), (0, "erasure"), (0, POISON), (0, "b"), (0, "c")])
    later = [make_record(n, value_of("d")) for n in range(5, 9)]
    for _ in range(2):
        assert process(file, [records], usual) == []
    assert usual.sizes == [4, 4]

    with (
        pytest.raises(Killed),
        careful(file, usual, lambda: alone) as score,
    ):
        score(make_prepared(records))
    assert alone.sizes == [1, 1]
    assert process(file, [records], alone) == []  # the second time that it is alone
    assert alone.sizes == [1, 1, 1]

    usual.sizes.clear()
    with careful(file, usual, lambda: pytest.fail("nobody is suspected")) as score:
        score(make_prepared(records))
        score(make_prepared(later))
    assert usual.sizes == [3, 4]


def test_an_end_that_has_another_cause_leaves_no_suspicion(tmp_path: Path) -> None:
    """A broker that goes away while the device is at work says nothing about the comments."""
    file = tmp_path / "record"
    records = records_of([(0, "a")])
    for _ in range(CONDEMNED_FROM + 1):
        with CrashRecord(file) as record:
            block = record.on_device(records)
            block.__enter__()  # and the main thread ends meanwhile

    with CrashRecord(file) as record:
        assert not record.has_suspects
        assert not record.condemned(records[0])


def test_a_device_that_does_not_come_back_is_an_end_whoever_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Liveness fails long before the time limit: the process is told to end, and does."""
    monkeypatch.setattr("worker.scoring.crash_record.HUNG_S", 0)
    file = tmp_path / "record"
    records = records_of([(0, "a"), (0, "b")])
    for _ in range(ALONE_FROM):
        with CrashRecord(file) as record:
            block = record.on_device(records)
            block.__enter__()

    with CrashRecord(file) as record:
        assert record.has_suspects


def test_after_its_end_a_process_suspects_nobody(tmp_path: Path) -> None:
    """Its device's thread may go on for a moment; what it does is nobody's business any more."""
    file = tmp_path / "record"
    records = records_of([(0, "a")])
    for _ in range(ALONE_FROM):
        with CrashRecord(file) as record:
            pass
        block = record.on_device(records)
        block.__enter__()

    with CrashRecord(file) as record:
        assert not record.has_suspects


def test_a_file_that_another_process_has_is_left_alone(tmp_path: Path) -> None:
    """Two would take each other's windows for ends; the second goes on without."""
    file = tmp_path / "record"
    records = records_of([(0, "a")])
    with CrashRecord(file) as first:
        block = first.on_device(records)
        block.__enter__()
        before = file.read_bytes()

        with CrashRecord(file) as second, second.on_device(records_of([(1, "b")])):
            assert file.read_bytes() == before
        assert not second.has_suspects


def test_a_disk_that_is_full_stops_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments are scored without the record; that it is not kept is said once."""

    def is_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        CrashRecord(tmp_path / "record") as record,
        structlog.testing.capture_logs() as lines,
    ):
        monkeypatch.setattr(os, "pwrite", is_full)
        for _ in range(3):
            with record.on_device(records_of([(0, "a")])):
                pass

    assert [line["event"] for line in lines] == ["crash record cannot be written: not used"]


def test_a_range_without_comments_hides_no_culprit(tmp_path: Path) -> None:
    """Erasures were on no device: what a process ended over is among the comments."""
    file, device = tmp_path / "record", Device()
    rows = [(0, "erasure"), (0, "erasure"), (1, POISON)]
    later = [(0, "erasure"), (0, "erasure"), (0, "a"), (0, POISON)]
    process(file, [records_of(rows)], device)
    for _ in range(CONDEMNED_FROM):
        assert process(file, [records_of(later)], device) == []

    [scored] = process(file, [records_of(later)], device)
    assert len(scored.scores) == 1


def test_comments_that_are_gone_hide_no_culprit(tmp_path: Path) -> None:
    """What was suspected has expired: an end over those around it narrows nothing down."""
    file, device = tmp_path / "record", Device()
    gone = [make_record(offset, value_of(POISON)) for offset in (8, 12)]
    around = [make_record(5, value_of("a")), make_record(20, value_of(POISON))]
    for _ in range(ALONE_FROM):
        process(file, [gone], device)
    for _ in range(CONDEMNED_FROM):
        assert process(file, [around], device) == []

    [scored] = process(file, [around], device)
    assert len(scored.scores) == 1


def test_a_comment_of_another_topic_of_that_name_is_not_taken_for_it(tmp_path: Path) -> None:
    """Offsets begin anew where a topic was deleted and made again; timestamps do not."""
    file, device = tmp_path / "record", Device()
    [poison] = records_of([(0, POISON)])
    for _ in range(CONDEMNED_FROM):
        process(file, [[poison]], device)

    with CrashRecord(file) as record:
        assert record.condemned(poison)
        assert not record.condemned(poison._replace(timestamp=poison.timestamp + 1))


def test_where_the_cpu_cannot_score_the_device_does(tmp_path: Path) -> None:
    """What is suspected may long be another worker's: it is no reason not to start."""
    file, device = tmp_path / "record", Device()
    records = records_of([(0, POISON)])
    for _ in range(ALONE_FROM):
        process(file, [records], device)

    def load_alone() -> Device:
        raise ScoringError("no engine for this CPU")

    with careful(file, device, load_alone) as score:
        scored = score(make_prepared(records_of([(1, "a")])))
    assert len(scored.scores) == 1


def test_a_window_that_passes_is_suspected_no_longer(tmp_path: Path) -> None:
    """What happened once was chance; what is left of the range stays under suspicion."""
    file, device = tmp_path / "record", Device()
    records = records_of([(0, "a"), (0, "b"), (0, POISON)])
    for _ in range(2):
        process(file, [records], device)
    with CrashRecord(file) as record:
        assert [record.suspected(r) for r in records] == [True, True, True]
        record.passed(records[:2])
        assert [record.suspected(r) for r in records] == [False, False, True]

    with CrashRecord(file) as record:
        assert [record.suspected(r) for r in records] == [False, False, True]


def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    """What it said is lost, and no reason not to work."""
    file = tmp_path / "record"
    file.write_bytes(b'{"suspects": [[["comments", 0], 7')

    with CrashRecord(file) as record:
        assert not record.has_suspects
        with record.on_device(records_of([(0, "a")])):
            pass


def test_a_line_that_is_shorter_than_the_one_before_is_read_alone(tmp_path: Path) -> None:
    """Nothing is cut off the file: a process could end between the two calls."""
    file, device = tmp_path / "record", Device()
    rows = [(partition, POISON) for partition in range(2)]
    for _ in range(2):
        process(file, [records_of(rows)], device)
    with CrashRecord(file) as record:
        record.passed(records_of(rows[:1]))

    with CrashRecord(file) as record:
        assert [record.suspected(r) for r in records_of(rows)] == [False, True]


def test_no_more_are_remembered_than_a_file_should_hold(tmp_path: Path) -> None:
    """The oldest was committed long ago."""
    file, place = tmp_path / "record", Partition("comments", 0)
    condemned = [Position(place, offset, TIMESTAMP) for offset in range(MOST_CONDEMNED)]
    proven = Suspects(place, MOST_CONDEMNED, MOST_CONDEMNED, TIMESTAMP, CONDEMNED_FROM)
    file.write_text(Kept(suspects=[proven], condemned=condemned).model_dump_json() + "\n")

    for _ in range(2):
        with CrashRecord(file) as record:
            assert not record.condemned(make_record(0))
            assert record.condemned(make_record(1))
            assert record.condemned(make_record(MOST_CONDEMNED))


@pytest.mark.parametrize("name", ["", "no/such/folder/record"])
def test_a_file_that_cannot_be_written_is_named(name: str, tmp_path: Path) -> None:
    """At the start, by the setting."""
    with pytest.raises(SettingsError, match="TIDEGATE_SCORING__CRASH_RECORD") as caught:
        CrashRecord(tmp_path / name)
    assert str(tmp_path / name) in caught.value.what


def test_scores_stay_beside_their_comments_when_some_are_scored_alone(tmp_path: Path) -> None:
    """The suspects come first on the device, not in what is published."""
    file, device = tmp_path / "record", Device()
    process(file, [records_of([(0, "a"), (1, POISON)])], device)
    process(file, [records_of([(0, "a"), (1, POISON)])], device)
    file.write_text(file.read_text().replace('["comments",1]', '["comments",7]'))
    rows = [(1, "x"), (0, "y"), (1, "z"), (1, "erasure"), (0, "w")]

    [scored] = process(file, [records_of(rows)], device)

    texts = [text for _, text in rows if text != "erasure"]
    assert np.allclose(scored.scores, [stub_scores(text) for text in texts])
    assert device.sizes[-2:] == [1, 3]
