"""What a broker may leave open under our name: a transaction that it calls complete.

Kafka 4.3.1 does, after a hard restart of the only broker that has a partition. Its coordinator has
loaded a transaction whose end is decided, and cannot write the markers of that end yet; then the
partitions have no leader for a moment, are taken for deleted, and the transaction is open on them
for good. The next end of one of ours, whatever it is, is the end of that one, too: an abort would
undo a window that we know as committed, a commit would bring back one that was aborted.

So nobody guesses. What was left open is aborted while no partition is ours, and then all are begun
at the group's offsets: a window that is undone by it is judged again, and nobody has seen it.
"""

from collections.abc import Sequence
from threading import Event
from time import monotonic, sleep
from typing import Final

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from worker.settings import Settings
from worker.topics import admin_client
from worker.window import Partition

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


def are_held_back(settings: Settings, partitions: Sequence[Partition], for_s: float) -> bool:
    """Say whether a transaction holds back the group's offsets of any of these partitions.

    Args:
        settings: where the cluster is, and the group.
        partitions: to look at.
        for_s: how long it has to do so, from now on.

    Returns:
        False, too, where the cluster does not tell.
    """
    if not partitions:
        return False
    end = monotonic() + for_s
    places = [TopicPartition(topic, number) for topic, number in partitions]
    asked = ConsumerGroupTopicPartitions(settings.kafka.group_id, places)
    admin = admin_client(settings)
    while True:
        (answer,) = admin.list_consumer_group_offsets(
            [asked], require_stable=True, request_timeout=LOOK_S
        ).values()
        try:
            found = answer.result().topic_partitions
        except KafkaException:
            return False
        codes = {place.error.code() for place in found if place.error}
        if KafkaError.UNSTABLE_OFFSET_COMMIT not in codes:
            return False
        if monotonic() >= end:
            return True
        sleep(LOOK_EVERY_S)
