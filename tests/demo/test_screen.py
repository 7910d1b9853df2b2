"""What is seen of a run: figures, masked words, and never a character that breaks the screen."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from deploy.demo.masking import LONGEST, mask
from deploy.demo.screen import PlainLines, picture, screen, summary_lines
from deploy.demo.tally import Tally
from schemas.verdict import Action, Flag, Model, Source, Status, verdict_id

NOW = 20.0


@pytest.fixture
def tally() -> Tally:
    """Give a tally that saw one insult go out and come back flagged."""
    tally = Tally(started=10.0)
    tally.sent("a", "you are a blockhead", at=11.0)
    flag = Flag(
        verdict_id=verdict_id("comments", 0, 0, "v1"),
        comment_id="a",
        revision=0,
        community=None,
        status=Status.SCORED,
        scores={"insult": 0.97},
        labels=["insult"],
        action=Action.REMOVE,
        truncated=False,
        model=Model(name="stub", version="v1"),
        policy="p1",
        scored_at=datetime.now(UTC),
        source=Source(topic="comments", partition=0, offset=0, timestamp=0),
    )
    tally.verdict(flag, at=11.25)
    tally.flag(flag)
    return tally


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("you are a blockhead", "you are a b********"),
        ("You BLOCKHEAD!", "You B********!"),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t be a fool's fool", "don’t be a f***** f***"),  # noqa: RUF001
        ("two\nlines\tand tabs", "two l**** and t***"),
        ("b\N{ZERO WIDTH SPACE}lock", "*·l***"),
        ("\x1b[31mred\x07", "·[3*****·"),
        ("half \ud83d", "h*** ·"),
        ("", ""),
    ],
)
def test_only_plain_words_can_be_read(text: str, expected: str) -> None:
    """Of every other word the first letter stays; what cannot be printed is a dot."""
    assert mask(text) == expected


def test_a_long_text_is_cut_to_a_line() -> None:
    """The end of it is behind an ellipsis."""
    masked = mask("blockhead " * 50)

    assert len(masked) == LONGEST
    assert masked.endswith("…")


def test_the_picture_shows_figures_labels_partitions_and_masked_flags(tally: Tally) -> None:
    """All of a run at one look, and no word of a comment that was flagged."""
    paper = StringIO()

    Console(width=120, file=paper).print(picture(tally, {"worker-0": [0, 1, 5]}, NOW))

    drawn = paper.getvalue()

    assert "1 of 1 judged" in drawn
    assert "p50 250 ms" in drawn
    assert "insult" in drawn
    assert "you are a b********" in drawn
    assert "blockhead" not in drawn
    assert "worker-0: partitions 0, 1, 5" in drawn


def test_lines_come_at_most_once_a_second(tally: Tally, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, since stdout is for the summary."""
    with PlainLines() as lines:
        lines.show(tally, {"worker-0": [0, 1]})
        lines.show(tally, {"worker-0": [0, 1]})

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("1 of 1 judged") == 1
    assert "worker-0:2" in err


def test_a_pipe_gets_plain_lines() -> None:
    """Nobody can watch a picture there."""
    assert isinstance(screen(plain=False), PlainLines)  # pytest's stdout is a pipe


def test_the_summary_says_that_each_comment_has_one_outcome(tally: Tally) -> None:
    """In so many words, above the figures."""
    first, *figures = summary_lines(tally.summary(), [])

    assert first == "1 comments, 1 verdicts: each comment has exactly one outcome"
    assert "p50 250 ms, p99 250 ms" in "\n".join(figures)


def test_the_summary_names_the_problems(tally: Tally) -> None:
    """A run that lost a comment does not look like one that did not."""
    first, *_ = summary_lines(tally.summary(), ["1 comments have no verdict"])

    assert first.endswith("1 comments have no verdict")
    assert "exactly" not in first


def test_a_run_without_a_verdict_has_a_short_summary() -> None:
    """As after Ctrl-C while Kafka was starting."""
    assert summary_lines(Tally(started=0.0).summary(), []) == ["0 comments, no verdict"]
