"""The demo on one page: broker, topics, workers, comments in, verdicts out, summary."""

import json
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Final

import click

from deploy.broker import local_broker
from deploy.demo.comments_file import Playable, built_in_comments, read_comments
from deploy.demo.outcomes import Outcomes
from deploy.demo.player import UNANSWERED, Player
from deploy.demo.screen import Screen, screen, summary_lines
from deploy.demo.tally import Tally
from deploy.demo.workers import Workers
from deploy.topics import create_topics
from schemas.errors import TidegateError
from worker.settings import KafkaSettings, load_settings
from worker.topics import admin_client

FEWEST_PARTITIONS: Final = 6
TICK_S: Final = 0.05
# Two windows of the longest comments take seconds on a slow machine; this is a standstill.
STANDSTILL_S: Final = 120.0

NOT_EXACTLY_ONCE: Final = 1
INTERRUPTED: Final = 130  # as a shell says of a program that SIGINT ended


def demo(
    comments: Path | None,
    count: int,
    workers: int,
    plain: bool,  # noqa: FBT001 - the order of the command line
    as_json: bool,  # noqa: FBT001 - the same
) -> int:
    """Play comments through a real broker and real workers, and check what comes out.

    Args:
        comments: a file of comments; None: the built-in ones.
        count: how many to play; the file is repeated or cut to that.
        workers: how many processes judge.
        plain: lines even where there is a terminal.
        as_json: the summary as one JSON object.

    Returns:
        The exit status: 0 if every comment has exactly one outcome.

    Raises:
        CommentsFileError: the file cannot be read.
        BrokerError: the broker cannot be started.
        TidegateError: a worker ended by itself, or nothing moves.
    """
    tally = Tally(started=monotonic())
    playables = read_comments(comments, count) if comments else built_in_comments()
    interrupted = False
    _stop_on_signals()
    try:
        with screen(plain=plain) as shown:
            _run(playables, count, workers, tally, shown)
    except KeyboardInterrupt:
        interrupted = True
    problems = list(tally.problems())
    if interrupted:
        problems = [f"stopped early: {tally.unanswered:,} comments were not judged yet"]
    _print(tally, problems, as_json=as_json)
    return INTERRUPTED if interrupted else NOT_EXACTLY_ONCE if problems else 0


def _stop_on_signals() -> None:
    """Take SIGTERM as Ctrl-C, and Ctrl-C also where a script has it ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _run(
    playables: Sequence[Playable], count: int, number: int, tally: Tally, shown: Screen
) -> None:
    """Start everything, play, and stop everything, whatever happens in between."""
    settings = load_settings()  # a wrong one is named before anything is started
    with ExitStack() as stack:
        shown.say("starting Apache Kafka")
        broker = stack.enter_context(local_broker(progress=shown.say))
        servers = broker.bootstrap_servers
        own = settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers=servers)})
        for _ in create_topics(own, admin_client(own), max(FEWEST_PARTITIONS, number), 1):
            pass
        shown.say(f"Apache Kafka answers at {servers}; starting workers")
        workers = Workers(broker, own, number)
        stack.callback(workers.stop)
        outcomes = Outcomes(servers, own.topics, tally)
        stack.callback(outcomes.close)
        workers.wait_until_ready()
        shown.say("playing comments")
        player = Player(servers, own.topics.comments, playables, count, UNANSWERED * number)
        _play(player, outcomes, workers, tally, shown)
        shown.show(tally, workers.partitions, at_once=True)
        shown.say("stopping workers")
        workers.stop()
        workers.check_end()
        outcomes.read_to_the_end()


def _play(
    player: Player, outcomes: Outcomes, workers: Workers, tally: Tally, shown: Screen
) -> None:
    """Return when every comment that was to be played has an answer."""
    last, verdicts = monotonic(), 0
    player.play(tally)
    while tally.unanswered:
        outcomes.read(TICK_S)
        workers.look()
        player.play(tally)
        shown.show(tally, workers.partitions)
        if tally.verdicts > verdicts:
            last, verdicts = monotonic(), tally.verdicts
        if monotonic() > last + STANDSTILL_S:
            raise TidegateError(
                f"no verdict came for {STANDSTILL_S:.0f} s, {tally.unanswered:,} comments wait",
                "look at the load of this machine, or ask for fewer --workers",
            )


def _print(tally: Tally, problems: Sequence[str], *, as_json: bool) -> None:
    summary = tally.summary()
    if as_json:
        click.echo(json.dumps(summary | {"problems": problems}))
    else:
        click.echo("\n".join(summary_lines(summary, problems)))
