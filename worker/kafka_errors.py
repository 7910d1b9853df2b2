"""Kafka's failures in three words: the one place that says what an error asks of us."""

from enum import Enum
from typing import Final

from confluent_kafka import KafkaError


class Answer(Enum):
    """What a failed call of a transaction asks of us."""

    EXIT = "exit"
    PUBLISH_AGAIN = "publish again"
    CALL_AGAIN = "call again"


# librdkafka has no KIP-588: a producer that outlived its transaction's timeout is told that
# it was fenced, as if another one had taken its name. The code says which calls may hope.
FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH})  # noqa: SLF001 - public constants

# The generation moved on without us noticing. Ordinary in every rolling deploy.
STALE_MEMBER: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)

# What any client says while the cluster, or the coordinator, cannot be asked: that passes.
AWAY: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - a public constant
        KafkaError._TIMED_OUT,  # noqa: SLF001 - a public constant
        KafkaError._TRANSPORT,  # noqa: SLF001 - a public constant
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)

# What a call says of a transaction or a client that has failed before it, and not why.
FAILED_BEFORE: Final = frozenset({KafkaError._STATE, KafkaError._FATAL})  # noqa: SLF001 - public constants

# What a delivery report says of messages that only went down with their transaction.
PURGED: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001 - public constants

# Said of each message in a batch, of which one alone, or all together, may be at fault.
TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

# Refused for what the message itself is: it will be refused again.
CULPRIT: Final = TOO_LARGE | {
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_TIMESTAMP,
}


# What no repetition mends: a right that is missing, a topic that is gone, or set up for others.
HOPELESS: Final = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - a public constant
    }
)


def answer_to(error: KafkaError) -> Answer:
    """Say what a failed transactional call asks of us (KIP-98, KIP-447).

    An abort is asked for before a retry: an error can be both, and only the first is safe.
    """
    if error.fatal() or error.code() in HOPELESS:
        return Answer.EXIT
    if error.txn_requires_abort() or error.code() in STALE_MEMBER:
        return Answer.PUBLISH_AGAIN
    return Answer.CALL_AGAIN if error.retriable() else Answer.EXIT
