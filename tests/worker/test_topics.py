"""What a worker says of the topics' settings before it starts."""

import structlog
from confluent_kafka.admin import PartitionMetadata, TopicMetadata

from worker.settings import TopicSettings
from worker.topics import _warn_of_few_copies, _warn_of_weak_durability, plans


def topic_with(*copies: int) -> TopicMetadata:
    """Return what a cluster says of a topic whose partitions have so many replicas."""
    topic = TopicMetadata()
    for number, replicas in enumerate(copies):
        partition = PartitionMetadata()
        partition.replicas = list(range(replicas))
        topic.partitions[number] = partition
    return topic


def test_a_topic_that_may_forget_what_was_acknowledged_is_named() -> None:
    """Durability is the topic's to give: a leader that lags behind must not be elected."""
    with structlog.testing.capture_logs() as lines:
        _warn_of_weak_durability("verdicts", {"unclean.leader.election.enable": "true"})
        _warn_of_weak_durability("flags", {"unclean.leader.election.enable": "false"})

    assert [(line["topic"], line["log_level"]) for line in lines] == [("verdicts", "warning")]


def test_a_topic_with_too_few_copies_is_named_with_what_it_has() -> None:
    """Its worst partition counts; a setting that may not be read is not guessed at."""
    with structlog.testing.capture_logs() as lines:
        _warn_of_few_copies("verdicts", topic_with(3, 2), {"min.insync.replicas": "1"})
        _warn_of_few_copies("flags", topic_with(3, 3), {"min.insync.replicas": "2"})
        _warn_of_few_copies("__transaction_state", topic_with(1), {})

    assert [(line["topic"], line.get("replicas"), line.get("found")) for line in lines] == [
        ("verdicts", 2, None),
        ("verdicts", None, 1),
        ("__transaction_state", 1, None),
    ]


def test_what_people_wrote_is_forgotten_in_time() -> None:
    """An erasure is owed within 30 days; late readers learn of it for a week."""
    day_ms = 24 * 60 * 60 * 1000
    plan = {plan.name: plan.config for plan in plans(TopicSettings())}

    assert int(plan["dead-letters"]["retention.ms"]) == 28 * day_ms
    for name in ("verdicts", "flags", "feedback"):
        assert int(plan[name]["delete.retention.ms"]) == 7 * day_ms
        assert int(plan[name]["max.compaction.lag.ms"]) == day_ms
