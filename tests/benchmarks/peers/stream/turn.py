"""A player's turn: its own topics, filled beforehand; a fresh process; the meter."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Final

from benchmarks.cluster import environment, play, prepare_topics
from benchmarks.peers.memory import peak_mb
from benchmarks.peers.overlay import last_line
from benchmarks.peers.process import NotMeasuredError, environment_of
from benchmarks.peers.stream.meter import Meter, NoVerdictsError
from benchmarks.peers.stream.place import Place
from benchmarks.peers.stream.players import WORKER, Player
from deploy.broker import LocalBroker

STOP_S: Final = 30.0


def take_turn(
    player: Player, broker: LocalBroker, place: Place, texts: Sequence[str], meter: Meter
) -> tuple[float, float]:
    """Let a player judge comments that lie in a topic.

    Returns:
        Verdicts a second, and the most memory that it had, in MB.

    Raises:
        NotInstalledError: its packages cannot be installed.
        NotMeasuredError: it failed.
    """
    model = {"TIDEGATE_BUNDLE": str(place.folder)}
    settings = environment(broker, place.name, **model, **player.settings)
    variables = {**environment_of(player.overlay), **settings}
    prepare_topics(settings)
    play(broker, place.comments, texts)
    arguments = [] if player.command == WORKER else [place.servers, place.name, str(place.folder)]
    with _running([*player.command, *arguments], variables) as (process, said):
        try:
            per_s = meter.rate(place, lambda: process.poll() is None)
        except NoVerdictsError as error:
            said.seek(0)
            raise NotMeasuredError(f"{error}: {last_line(said.read())}") from error
        return per_s, peak_mb(process.pid)


@contextmanager
def _running(
    module: Sequence[str], variables: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], IO[str]]]:
    with TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], env=variables, stdout=said, stderr=said
        )
        try:
            yield process, said
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
