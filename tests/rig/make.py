"""Records and windows made by hand, for the tests of single rooms."""

import json
from collections.abc import Sequence
from typing import Any

from rig.stub import stub_manifest, stub_score, stub_tokenise
from worker.judge import Judge
from worker.policies import load_policies
from worker.prepare import Prepare
from worker.settings import (
    KafkaSettings,
    LimitSettings,
    PublishSettings,
    Settings,
    TopicSettings,
)
from worker.shared import Shared, Stop
from worker.window import Claim, Fetched, Headers, Judged, Partition, Prepared, Record

TOPIC = "comments"
TIMESTAMP = 1_700_000_000_000


def value_of(text: str = "hello there", comment_id: str = "c1", **rest: Any) -> bytes:
    """Return the value of a comment as a platform writes it."""
    return json.dumps({"id": comment_id, "text": text, **rest}).encode()


def make_record(  # noqa: PLR0913 - a record has these fields
    offset: int = 0,
    value: bytes | None = b"",
    key: bytes | None = b"c1",
    *,
    partition: int = 0,
    headers: Headers = (),
    leader_epoch: int | None = None,
) -> Record:
    """Return a record; without a value it holds a harmless comment."""
    value = value_of() if value == b"" else value
    place = Partition(TOPIC, partition)
    return Record(place, offset, leader_epoch, TIMESTAMP, key, value, headers)


def make_fetched(records: Sequence[Record]) -> Fetched:
    """Return a window of records, claimed under the first assignment of their partitions."""
    return Fetched(Claim({record.partition: 1 for record in records}), records)


def make_prepared(records: Sequence[Record], **limits: int) -> Prepared:
    """Return a window as the stub tokenises it."""
    return Prepare(LimitSettings(**limits), stub_tokenise)(make_fetched(records))


def make_judge() -> Judge:
    """Return the judge of the stub's labels, with thresholds of one half."""
    manifest = stub_manifest()
    return Judge(manifest, load_policies(None, manifest), TopicSettings())


def make_judged(records: Sequence[Record]) -> Judged:
    """Return a window as the stub scores it."""
    return make_judge()(stub_score(make_prepared(records)))


def make_shared(drain_s: float = 20, **publish: Any) -> Shared:
    """Return what threads share, with a group of its own and default settings."""
    settings = Settings(
        kafka=KafkaSettings(group_id="group"), publish=PublishSettings(drain_s=drain_s, **publish)
    )
    return Shared(settings, Stop(drain_s))
