"""What a worker refuses to start or go on with: it names the thing and ends, non-zero."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from confluent_kafka import TopicPartition

from deploy.broker import LocalBroker
from deploy.topics import create_topics
from rig.stream import PATIENCE_S, Stream
from schemas.errors import ClusterError, TopicError
from worker.settings import KafkaSettings, Settings, TopicSettings
from worker.topics import admin_client, check_topics

pytestmark = pytest.mark.broker


def test_missing_topics_are_all_named(broker: LocalBroker, tmp_path: Path) -> None:
    """The worker ends before it loads a model, and says what makes topics."""
    stream = Stream(broker.bootstrap_servers, "missing", 1, tmp_path)

    with stream.worker() as worker:
        assert worker.ended() == 1

        for name in ("comments", "verdicts", "flags", "dead-letters"):
            assert f"topic missing-{name} does not exist" in worker.said
        assert "tidegate topics create" in worker.said


def test_a_wrong_clean_up_policy_is_named(make_stream: Callable[[int], Stream]) -> None:
    """Dead letters that are compacted, and verdicts that are not: both, found and expected."""
    stream = make_stream(1)
    swapped = TopicSettings(
        comments=stream.topics.comments,
        verdicts=stream.topics.dead_letters,
        flags=stream.topics.flags,
        dead_letters=stream.topics.verdicts,
    )
    kafka = KafkaSettings(bootstrap_servers=stream.servers)
    settings = Settings(kafka=kafka, topics=swapped)

    with pytest.raises(TopicError) as caught:
        check_topics(settings, admin_client(settings))

    found = f"topic {stream.topics.dead_letters} has cleanup.policy=delete, expected compact"
    assert found in caught.value.what
    assert f"topic {stream.topics.verdicts} has cleanup.policy=compact" in caught.value.what


def test_dead_letters_must_hold_what_is_refused(make_stream: Callable[[int], Stream]) -> None:
    """A topic of comments that takes larger records than the dead letters do: both are named."""
    stream = make_stream(1)
    stream.alter(stream.topics.comments, "max.message.bytes", "5000000")
    kafka = KafkaSettings(bootstrap_servers=stream.servers)
    settings = Settings(kafka=kafka, topics=stream.topics)

    with pytest.raises(TopicError, match=r"bytes=2097152, expected 5065536") as caught:
        check_topics(settings, admin_client(settings))

    assert stream.topics.dead_letters in caught.value.what


def test_topics_of_the_cluster_itself_are_looked_at_too(
    make_stream: Callable[[int], Stream],
) -> None:
    """Offsets that a late leader forgets are comments judged twice, or never."""
    stream = make_stream(1)
    with stream.worker() as worker:
        worker.wait_for("partitions assigned")  # so that there are such topics
    kafka = KafkaSettings(bootstrap_servers=stream.servers)
    settings = Settings(kafka=kafka, topics=stream.topics)
    stream.alter("__consumer_offsets", "unclean.leader.election.enable", "true")

    with structlog.testing.capture_logs() as lines:
        check_topics(settings, admin_client(settings))

    stream.alter("__consumer_offsets", "unclean.leader.election.enable", "false")
    warned = [line["topic"] for line in lines if "unclean leader election" in line["event"]]
    assert warned == ["__consumer_offsets"]


def test_topics_are_created_once_and_found_again(make_stream: Callable[[int], Stream]) -> None:
    """Creating what exists does nothing, and yields nothing."""
    stream = make_stream(1)
    kafka = KafkaSettings(bootstrap_servers=stream.servers)
    settings = Settings(kafka=kafka, topics=stream.topics)

    assert list(create_topics(settings, stream.admin, 1, 1)) == []


def test_no_broker_is_named_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on port 1; the error says where it looked and for how long."""
    monkeypatch.setattr("worker.topics.ANSWER_S", 0.5)
    settings = Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))

    with pytest.raises(ClusterError, match=r"no broker answered at 127.0.0.1:1") as caught:
        check_topics(settings, admin_client(settings))

    assert "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS" in (caught.value.hint or "")


def test_an_unknown_client_property_is_named(broker: LocalBroker) -> None:
    """The client's own words, before anything is opened."""
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, client={"no_such": "x"})

    with pytest.raises(ClusterError, match=r"no\.such"):
        admin_client(Settings(kafka=kafka))


def test_an_expired_offset_stops_and_names_the_partition(
    make_stream: Callable[[int], Stream],
) -> None:
    """Comments that expired unjudged are a person's business, never passed over in silence."""
    stream = make_stream(1)
    stream.produce_comments(range(50))
    with stream.worker() as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0
    stream.produce_comments(range(50, 150))
    expired = TopicPartition(stream.topics.comments, 0, 100)
    stream.admin.delete_records([expired])[expired].result(PATIENCE_S)

    with stream.worker() as successor:
        assert successor.ended() == 1

        assert f"topic {stream.topics.comments}, partition 0" in successor.said
        assert "expired unjudged" in successor.said
    assert stream.committed() == {0: 50}


def test_a_run_of_senseless_values_stops_the_worker(
    make_stream: Callable[[int], Stream],
) -> None:
    """A publisher's bad deploy: what was dead-lettered is committed, and the end comes fast."""
    stream = make_stream(1)
    stream.produce((f"k{n}".encode(), b"no json", []) for n in range(500))
    settings = {"TIDEGATE_BREAKER__RECORDS": 200, "SCORE_S": 0.2}

    with stream.worker(**settings) as worker:
        worker.wait_for("partitions assigned")
        assert worker.ended(within_s=20) == 1

        assert "could not be judged" in worker.said
    letters = stream.read(stream.topics.dead_letters)
    assert 200 == len(letters) == stream.committed()[0]
