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

ANSWER_S: Final = 5.0  # for an answer that nothing holds back
LOOK_EVERY_S: Final = 0.2
NOBODYS: Final = 2**31 - 1  # a partition that is nowhere: nothing holds its offset back


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
    goes_on: Callable[[], bool],
) -> bool:
    """Say whether a transaction holds back the group's offset of a partition all the time.

    A consumer asks that never joins, and not an AdminClient: in librdkafka 2.16.0 that one ends the
    process when its time for a group's offsets is over before the coordinator was found.

    Args:
        settings: where the cluster is, and the group.
        partitions: to look at; None: all of the topic of comments.
        for_s: how long one has to be held back.
        goes_on: asked between two looks, of which each may take a few times ANSWER_S.

    Returns:
        False, too, where the cluster never tells, or nobody wants to know any more.
    """
    while True:
        try:
            with closing(_outsider(settings)) as consumer:  # one may never connect again
                return _is_one_held_back(consumer, settings.topics.comments, partitions, for_s)
        except KafkaException as error:
            if error.args[0].code() not in AWAY:
                log.warning("the group's offsets cannot be looked at", code=error.args[0].name())
                return False
        if not goes_on():
            return False
        sleep(LOOK_EVERY_S)


def _outsider(settings: Settings) -> Consumer:
    """Return a consumer that may ask for the group's offsets, and waits for those held back."""
    return Consumer(
        {
            **settings.kafka.properties(),
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": settings.kafka.group_id,
            "isolation.level": "read_committed",
            "log_level": 0,  # its worker says what cannot be reached
        }
    )


def _is_one_held_back(
    consumer: Consumer, topic: str, partitions: Collection[Partition] | None, for_s: float
) -> bool:
    """Look once.

    Raises:
        KafkaException: the cluster does not tell.
    """
    if partitions is None:
        found = consumer.list_topics(topic, ANSWER_S).topics[topic].partitions
        partitions = [Partition(topic, number) for number in found]
    places = [TopicPartition(*partition) for partition in partitions]
    nobodys = TopicPartition(topic, NOBODYS)
    consumer.committed([nobodys], timeout=ANSWER_S)  # so that below no connection is waited for
    if _are_told(consumer, places, for_s):
        return False
    held = any(not _are_told(consumer, [place], for_s) for place in places)
    consumer.committed([nobodys], timeout=ANSWER_S)  # nor was it the coordinator that went away
    return held


def _are_told(consumer: Consumer, places: list[TopicPartition], within_s: float) -> bool:
    """Ask again and again, as the client does while a transaction is open."""
    try:
        found = consumer.committed(places, timeout=within_s)
    except KafkaException as error:
        if error.args[0].code() == KafkaError._TIMED_OUT:  # noqa: SLF001 - a public constant
            return False
        raise
    unstable = KafkaError.UNSTABLE_OFFSET_COMMIT
    return not any(place.error and place.error.code() == unstable for place in found)
