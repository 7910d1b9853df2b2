"""The player: so many comments out at a time, each under an id of its own. No broker answers."""

import pytest

from deploy.demo.comments_file import Playable
from deploy.demo.player import Player
from deploy.demo.tally import Tally
from schemas.errors import ClusterError

NOBODY_LISTENS = "127.0.0.1:9"


def player(total: int, unanswered: int, *texts: str) -> Player:
    """Make a player of some texts."""
    comments = [Playable("mine", text, {"text": text}) for text in texts]
    return Player(NOBODY_LISTENS, "comments", comments, total, unanswered)


def test_no_more_are_unanswered_than_were_allowed() -> None:
    """The latency must be that of the workers, not that of a queue before them."""
    tally, playing = Tally(started=0.0), player(1_000, 128, "hello")

    playing.play(tally)
    playing.play(tally)

    assert tally.comments == tally.unanswered == 128


def test_few_comments_are_repeated_under_new_ids_up_to_the_total() -> None:
    """Were two ids the same, the tally would count them once."""
    tally = Tally(started=0.0)

    player(7, 128, "one", "two").play(tally)

    assert tally.comments == 7


def test_a_comment_that_kafka_cannot_carry_is_named() -> None:
    """By its place in the run and its size, never by what it says."""
    with pytest.raises(
        ClusterError, match=r"comment 000002-mine of 2,0\d\d,\d\d\d bytes"
    ) as caught:
        player(2, 128, "one", "zebra" * 400_000).play(Tally(started=0.0))

    assert "zebra" not in caught.value.what
