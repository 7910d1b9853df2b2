"""What there is to read: partitions, offsets, the topics' settings, the group's offsets."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import ConfigResource, OffsetSpec, ResourceType

from schemas.errors import ClusterError
from worker.settings import Settings
from worker.topics import admin_client, existing_topics

ANSWER_S: Final = 15.0  # for a broker to answer at all
COMMITTED_S: Final = 20.0  # the group's offsets wait for transactions that are open


class UnreadableError(Exception):
    """A topic or a group that cannot be looked at, and why; what rests on it is unproven."""


class Cluster:
    """Asks the cluster; never joins the group, and never writes.

    Raises:
        ClusterError: no broker answers, or the client refuses a property.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = admin_client(settings)
        self._exist = existing_topics(settings, self._admin)
        # The group's name gives it no membership: it never subscribes.
        self._looker_on = Consumer(self.properties(settings.kafka.group_id))

    def properties(self, group: str) -> dict[str, Any]:
        """Return what a consumer is made with that commits nothing."""
        return {
            "queued.max.messages.kbytes": 32_768,
            "fetch.queue.backoff.ms": 20,
            **self._settings.kafka.properties(),
            "bootstrap.servers": self._settings.kafka.bootstrap_servers,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",  # what is gone must be said, not passed over
            "log_level": 0,  # errors come with the messages
        }

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has.

        Raises:
            UnreadableError: it does not exist, or may not be seen.
        """
        if topic not in self._exist:
            raise UnreadableError(f"topic {topic} does not exist, or this user may not see it")
        return len(self._admin.list_topics(topic, ANSWER_S).topics[topic].partitions)

    def begins(self, topic: str) -> list[int]:
        """Return the first offset of each partition that is still there.

        Raises:
            UnreadableError: this user may not ask.
        """
        earliest: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        return self._offsets(topic, earliest)

    def ends(self, topic: str) -> list[int]:
        """Return the offset behind the last record of each partition, open transactions included.

        Raises:
            UnreadableError: this user may not ask.
        """
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return self._offsets(topic, latest)

    def at(self, topic: str, since_ms: int) -> list[int]:
        """Return for each partition the first offset of a record as new as that, or its end.

        Raises:
            UnreadableError: this user may not ask.
        """
        spec: OffsetSpec = OffsetSpec.for_timestamp(since_ms)
        found = self._offsets(topic, spec)
        ends = self.ends(topic)
        return [end if offset < 0 else offset for offset, end in zip(found, ends, strict=True)]

    def _offsets(self, topic: str, spec: OffsetSpec) -> list[int]:
        places = [TopicPartition(topic, number) for number in range(self.partitions(topic))]
        futures = self._admin.list_offsets(
            dict.fromkeys(places, spec),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=ANSWER_S,
        )
        try:
            found = {p.partition: f.result().offset for p, f in futures.items()}
        except KafkaException as error:
            raise UnreadableError(f"topic {topic}: {error.args[0].str()}") from error
        return [found[number] for number in range(len(places))]

    def committed(self, topic: str) -> list[int | None]:
        """Return the group's offset of each partition, once open transactions let it be known.

        Raises:
            UnreadableError: the group may not be looked at, or does not settle in time.
        """
        group = self._settings.kafka.group_id
        wanted = [TopicPartition(topic, number) for number in range(self.partitions(topic))]
        try:
            found = self._looker_on.committed(wanted, COMMITTED_S)
        except KafkaException as error:
            raise UnreadableError(f"group {group}: {error.args[0].str()}") from error
        for partition in found:
            if partition.error:
                raise UnreadableError(f"group {group}: {partition.error.str()}")
        by_number = {p.partition: p.offset for p in found}
        return [o if (o := by_number[n]) >= 0 else None for n in range(len(wanted))]

    def configuration(self, topic: str) -> Mapping[str, str] | None:
        """Return a topic's settings; None if this user may not see them.

        Raises:
            ClusterError: the broker does not answer.
        """
        resource = ConfigResource(ResourceType.TOPIC, topic)
        (future,) = self._admin.describe_configs([resource], request_timeout=ANSWER_S).values()
        try:
            return {name: entry.value for name, entry in future.result().items()}
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return None
            raise ClusterError(f"topic {topic}: {error.args[0].str()}") from error

    def close(self) -> None:
        """Let the clients go."""
        with suppress(KafkaException):
            self._looker_on.close()
