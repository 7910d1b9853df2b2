"""What a broker may leave open under our name: a transaction that it calls complete.

Kafka 4.3.1 does, after a hard restart of the only broker that has a partition. Its coordinator has
loaded a transaction whose end is decided, and cannot write the markers of that end yet; then the
partitions have no leader for a moment, are taken for deleted, and the transaction is open on them
for good. The next end of one of ours, whatever it is, is the end of that one, too: an abort would
undo a window that we know as committed, a commit would bring back one that was aborted.

So nobody guesses. What was left open is aborted while no partition is ours, and then all are begun
at the group's offsets: a window that is undone by it is judged again.
"""

from collections.abc import Callable, Collection
from contextlib import closing
from threading import Event
from time import sleep
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from worker.kafka_errors import AWAY
from worker.settings import Settings
from worker.window import Partition

log = structlog.get_logger()

ANSWER_S: Final = 5.0  # for the first answer of a client
ALL_S: Final = 0.5  # for all partitions at once, before they are asked for one by one
LOOK_EVERY_S: Final = 0.2
NO_SUCH: Final = 2**31 - 1  # a partition that is nowhere: nothing holds its offset back


class LeftOpen:
    """What intake and publish ask of each other.

    to_end     set by intake: a transaction holds back the group's offsets, and nothing is ours;
               cleared by publish, when what is under our name is aborted
    to_rejoin  set by publish: no partition is ours any more, and the group's offsets may be before
               what was committed; cleared by intake
    """

    def __init__(self) -> None:
        self.to_end = Event()
        self.to_rejoin = Event()


def are_held_back(
    settings: Settings,
    partitions: Collection[Partition] | None,
    for_s: float,
    beat: Callable[[], None],
) -> bool:
    """Say whether a transaction holds back the group's offset of a partition all the time.

    Args:
        settings: where the cluster is, and the group.
        partitions: to look at; None: all of the topic of comments.
        for_s: how long one has to be held back.
        beat: called between questions, of which each may take ANSWER_S; what it raises ends it.
    """
    while (found := look(settings, partitions, for_s, beat)) is None:
        log.warning("the group's offsets cannot be looked at yet")
        beat()
        sleep(LOOK_EVERY_S)
    return found


def look(
    settings: Settings,
    partitions: Collection[Partition] | None,
    for_s: float,
    beat: Callable[[], None],
) -> bool | None:
    """Look once, as `are_held_back`; None: the cluster does not tell.

    A consumer asks that never joins, and not an AdminClient, which can end the process: when its
    time is over before the coordinator was found (librdkafka#4605), or when the one that it found
    is none any more (librdkafka#5040).
    """
    try:
        # Made anew each time: one that was told that there are no brokers may never connect again.
        with closing(_Outsider(settings)) as outsider:
            return outsider.finds_one_held_back(partitions, for_s, beat)
    except KafkaException as error:
        if error.args[0].code() in AWAY:
            return None
        log.warning("the group's offsets cannot be looked at", code=error.args[0].name())
        return False


class _Outsider:
    """Asks for a group's offsets, and waits, as the client does, for those that are held back.

    What the coordinator answers stands behind no transaction if it is about a partition that is
    nowhere; so it can be told from one that does not answer at all.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.comments
        self._consumer = Consumer(
            {
                **settings.kafka.properties(),
                "bootstrap.servers": settings.kafka.bootstrap_servers,
                "group.id": settings.kafka.group_id,
                "isolation.level": "read_committed",
                "log_level": 0,  # its worker says what cannot be reached
            }
        )

    def close(self) -> None:
        """Let the client go."""
        self._consumer.close()

    def finds_one_held_back(
        self, partitions: Collection[Partition] | None, for_s: float, beat: Callable[[], None]
    ) -> bool:
        """Ask for all partitions, and if they are not told, for each.

        Raises:
            KafkaException: the cluster does not answer, or not us.
        """
        if partitions is None:
            found = self._consumer.list_topics(self._topic, ANSWER_S).topics[self._topic].partitions
            partitions = [Partition(self._topic, number) for number in found]
        places = [TopicPartition(*partition) for partition in partitions]
        self._must_answer(ANSWER_S)
        if self._tells(places, ALL_S):
            return False
        for place in places:
            beat()
            if self._is_held_back(place, for_s):
                return True
        return False

    def _is_held_back(self, place: TopicPartition, for_s: float) -> bool:
        """Ask twice: the coordinator may have been away for one question and back for the next."""
        for _ in range(2):
            if self._tells([place], for_s / 2):
                return False
            self._must_answer(for_s / 2)
        return True

    def _tells(self, places: list[TopicPartition], within_s: float) -> bool:
        try:
            self._consumer.committed(places, timeout=within_s)
        except KafkaException as error:
            if error.args[0].code() == KafkaError._TIMED_OUT:  # noqa: SLF001 - a public constant
                return False
            raise
        return True

    def _must_answer(self, within_s: float) -> None:
        try:
            self._consumer.committed([TopicPartition(self._topic, NO_SUCH)], timeout=within_s)
        except KafkaException:
            self._raise_what_was_refused()
            raise

    def _raise_what_was_refused(self) -> None:
        """A right that is missing is no answer, but an event of the consumer's."""
        while (event := self._consumer.poll(0)) is not None:
            if (error := event.error()) is not None and error.code() not in AWAY:
                raise KafkaException(error)
