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
from threading import Event
from time import monotonic, sleep
from typing import Final

import structlog
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from worker.kafka_errors import AWAY
from worker.settings import Settings
from worker.topics import admin_client
from worker.window import Partition

log = structlog.get_logger()

LOOK_S: Final = 5.0  # for one answer
LOOK_EVERY_S: Final = 0.2


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

    Args:
        settings: where the cluster is, and the group.
        partitions: to look at; None: all of the topic of comments.
        for_s: how long the same partition has to be held back.
        goes_on: asked between two looks, of which one may take LOOK_S.

    Returns:
        False, too, where the cluster never tells, or nobody wants to know any more.
    """
    held: set[Partition] | None = None
    since = 0.0
    while True:
        found = _held_back(settings, partitions)
        if found is not None:
            since = monotonic() if held is None else since
            held = found if held is None else held & found
            if not held:
                return False
            if monotonic() - since >= for_s:
                return True
        if not goes_on():
            return False
        sleep(LOOK_EVERY_S)


def _held_back(
    settings: Settings, partitions: Collection[Partition] | None
) -> set[Partition] | None:
    """Look once; None: the cluster does not tell yet."""
    topic = settings.topics.comments
    admin = admin_client(settings)  # an answer never comes to one that is gone
    try:
        if partitions is None:  # the broker's own "all" leaves out what was never committed
            found_topic = admin.list_topics(topic, LOOK_S).topics[topic]
            partitions = [Partition(topic, number) for number in found_topic.partitions]
        if not partitions:  # the topic was deleted: intake says so
            return set()
        places = [TopicPartition(*place) for place in partitions]
        asked = ConsumerGroupTopicPartitions(settings.kafka.group_id, places)
        (answer,) = admin.list_consumer_group_offsets(
            [asked], require_stable=True, request_timeout=LOOK_S
        ).values()
        found = answer.result().topic_partitions
    except KafkaException as error:
        if error.args[0].code() in AWAY:
            return None
        log.warning("the group's offsets cannot be looked at", code=error.args[0].name())
        return set()
    return {
        Partition(place.topic, place.partition)
        for place in found
        if place.error and place.error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT
    }
