"""Making the topics with the settings that the worker relies on."""

from collections.abc import Iterator
from time import monotonic
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.errors import TopicError
from worker.settings import Settings
from worker.topics import check_topics, existing_topics, plans

SHOWN_S: Final = 30.0


def create_topics(
    settings: Settings, admin: AdminClient, partitions: int, replication: int
) -> Iterator[str]:
    """Create what is missing, and yield the name of each topic when it is there.

    In-sync replicas are one fewer than replicas, so that one broker may be away.

    Raises:
        ClusterError: no broker answers.
        TopicError: a topic could not be made, or one that exists has the wrong settings.
    """
    exist = existing_topics(settings, admin)
    in_sync = {"min.insync.replicas": str(max(1, replication - 1))}
    missing = [plan for plan in plans(settings.topics) if plan.name not in exist]
    wanted = [
        NewTopic(plan.name, partitions, replication, config=plan.config | in_sync)
        for plan in missing
    ]
    for name, future in (admin.create_topics(wanted) if wanted else {}).items():
        try:
            future.result()
        except KafkaException as error:
            raise TopicError(
                f"topic {name} could not be made: {error.args[0].str()}",
                "check the rights of this user, and --replication against the number of brokers",
            ) from error
        yield name
    _await({plan.name for plan in missing}, settings, admin)
    check_topics(settings, admin)


def _await(names: set[str], settings: Settings, admin: AdminClient) -> None:
    """What was made shows in the metadata a moment later."""
    end = monotonic() + SHOWN_S
    while not names <= existing_topics(settings, admin) and monotonic() < end:
        admin.poll(0.1)
