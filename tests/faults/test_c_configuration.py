"""C1: bundles, rights and sign-ins that are wrong: the worker refuses, and names what is wrong."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from socket import socket
from typing import NamedTuple

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from deploy.broker import HOST
from faults.report import Row
from rig.stream import PATIENCE_S, Stream, Worker, eventually
from rig.streams import FAST_GROUPS, broker_with
from schemas.bundle import INT8_MODEL, MANIFEST, TOKENIZER
from worker.settings import SHIPPED_BUNDLE

pytestmark = [pytest.mark.broker, pytest.mark.row("C1")]

MakeStream = Callable[[int], Stream]

REAL = ("deploy.cli", "worker")  # what users start

USER, PASSWORD = "worker", "not-a-secret"

# A second door for those who sign in. Whoever comes by the first may do anything.
GUARDED = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listeners=PLAINTEXT://{{host}}:{{port}},CONTROLLER://{{host}}:{{controller_port}},GUARDED://{{host}}:{port}
advertised.listeners=PLAINTEXT://{{host}}:{{port}},CONTROLLER://{{host}}:{{controller_port}},GUARDED://{{host}}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT
listener.name.guarded.sasl.enabled.mechanisms=PLAIN,OAUTHBEARER
listener.name.guarded.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.guarded.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
"""


# -- bundles


def wrong_hash(folder: Path) -> None:
    """Change one byte of the weights."""
    path = folder / INT8_MODEL
    weights = bytearray(path.read_bytes())
    weights[len(weights) // 2] ^= 1
    path.unlink()
    path.write_bytes(weights)


def missing_file(folder: Path) -> None:
    """Leave the tokeniser behind."""
    (folder / TOKENIZER).unlink()


def other_labels(folder: Path) -> None:
    """Call the labels something else, after the manifest was written."""
    path = folder / MANIFEST
    manifest = path.read_text().replace('"toxic"', '"poisonous"')
    path.unlink()
    path.write_text(manifest)


def no_manifest(folder: Path) -> None:
    """Cut the manifest off in the middle."""
    path = folder / MANIFEST
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.unlink()
    path.write_bytes(half)


BUNDLES = {
    wrong_hash: f"{INT8_MODEL} has sha256",
    missing_file: f"{TOKENIZER} is needed and is not in the folder",
    other_labels: f"{MANIFEST} says version",
    no_manifest: f"{MANIFEST} cannot be read",
}


def test_c1_a_bundle_that_is_wrong_is_refused_by_name(
    row: Row, make_plain_stream: MakeStream, tmp_path: Path
) -> None:
    """Before a comment is fetched; the successor with a whole bundle judges them all."""
    stream = make_plain_stream(1)
    stream.produce_comments(range(200))
    with ExitStack() as stack:
        for number, spoil in enumerate(BUNDLES):
            folder = tmp_path / spoil.__name__
            shutil.copytree(SHIPPED_BUNDLE, folder, copy_function=link)
            spoil(folder)
            stack.enter_context(real_worker(stream, f"{number}", folder))
        for worker, (spoil, words) in zip(stream.workers, BUNDLES.items(), strict=True):
            assert worker.ended() == 1, worker.said
            assert words in worker.said, spoil.__name__
            assert "hint:" in worker.said
            row.bit()
    assert stream.committed() == {0: 0}

    with stream.worker() as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0
    row.judged(stream.check())


def test_c1_a_model_that_cannot_be_loaded_holds_up_no_transaction(
    row: Row, make_plain_stream: MakeStream, tmp_path: Path
) -> None:
    """What a predecessor left open is ended first: readers wait for it, and models take long."""
    stream = make_plain_stream(1)
    predecessor = Producer(
        {
            "bootstrap.servers": stream.servers,
            "transactional.id": f"{stream.name}-0",
            "transaction.timeout.ms": 300_000,
        }
    )
    predecessor.init_transactions(PATIENCE_S)
    predecessor.begin_transaction()
    predecessor.produce(stream.topics.verdicts, b"never committed", b"k")
    predecessor.flush(PATIENCE_S)
    assert not stream.no_transaction_is_open()
    folder = tmp_path / "bundle"
    shutil.copytree(SHIPPED_BUNDLE, folder, copy_function=link)
    wrong_hash(folder)

    with real_worker(stream, "0", folder) as worker:
        assert worker.ended() == 1, worker.said
        assert BUNDLES[wrong_hash] in worker.said
        row.bit()

    eventually(stream.no_transaction_is_open)
    assert stream.read(stream.topics.verdicts) == []


def test_c1_a_crash_record_that_cannot_be_written_is_named(
    row: Row, make_plain_stream: MakeStream, tmp_path: Path
) -> None:
    """Before a comment is fetched: whoever names it wants it kept."""
    stream = make_plain_stream(1)
    stream.produce_comments(range(50))
    record = tmp_path / "no" / "such" / "folder" / "record"

    with stream.worker("0", *REAL, TIDEGATE_SCORING__CRASH_RECORD=record) as worker:
        assert worker.ended() == 1, worker.said
        assert f"TIDEGATE_SCORING__CRASH_RECORD: {record}" in worker.said
        row.bit()
    assert stream.committed() == {0: 0}


def link(source: str, target: str) -> str:
    """Copy a file without its bytes."""
    Path(target).hardlink_to(source)
    return target


def real_worker(stream: Stream, slot: str, bundle: Path) -> Worker:
    """Start the worker that users start."""
    return stream.worker(slot, *REAL, TIDEGATE_BUNDLE=bundle)


# -- rights


class Right(NamedTuple):
    """What a worker must be allowed, and what it says when it is not."""

    kind: ResourceType
    resource: str  # a topic's name in the settings, or "group" for what the group's name begins
    operation: AclOperation
    says: str


Grant = tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]

RIGHTS = [
    Right(ResourceType.TOPIC, "comments", AclOperation.READ, "Read and Describe on the topic of"),
    Right(ResourceType.TOPIC, "verdicts", AclOperation.WRITE, "Write and Describe on the output"),
    Right(ResourceType.TOPIC, "flags", AclOperation.WRITE, "Write and Describe on the output"),
    Right(ResourceType.TOPIC, "dead_letters", AclOperation.WRITE, "Describe on the output topics"),
    Right(ResourceType.TOPIC, "feedback", AclOperation.WRITE, "Write and Describe on the output"),
    Right(ResourceType.GROUP, "group", AclOperation.READ, "allow Read on the group"),
    Right(
        ResourceType.TRANSACTIONAL_ID,
        "group",
        AclOperation.WRITE,
        "transactional ids that begin with the group's name",
    ),
]
SEE = [
    Right(ResourceType.TOPIC, topic, AclOperation.DESCRIBE, "or this user may not see it")
    for topic in ("comments", "verdicts", "flags", "dead_letters", "feedback")
]


class Guarded(NamedTuple):
    """A broker with two doors."""

    open_door: str
    guarded_door: str


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """Give a broker that lets a user do only what he is allowed to."""
    with closing(socket()) as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    properties = GUARDED.format(port=port, user=USER, password=PASSWORD)
    with broker_with(FAST_GROUPS + properties) as node:
        yield Guarded(node.bootstrap_servers, f"{HOST}:{port}")


def guarded_stream(broker: Guarded, name: str, folder: Path) -> Stream:
    """Make a stream by the open door."""
    (folder / name).mkdir()
    stream = Stream(broker.open_door, f"c1-{name}", 1, folder / name).create()
    stream.produce_comments(range(200))
    stream.produce([(b"k1", b"no json", []), (b"k2", None, [])])
    return stream


def granted(stream: Stream, right: Right) -> Grant:
    """Return what a grant, or a filter that finds it, is made of."""
    is_topic = right.kind is ResourceType.TOPIC
    name = getattr(stream.topics, right.resource) if is_topic else stream.name
    pattern = ResourcePatternType.LITERAL if is_topic else ResourcePatternType.PREFIXED
    allowed = AclPermissionType.ALLOW
    return (right.kind, name, pattern, f"User:{USER}", "*", right.operation, allowed)


def allow(stream: Stream, rights: Iterable[Right]) -> None:
    """Let the user do these things on a stream, too."""
    bindings = [AclBinding(*granted(stream, right)) for right in rights]
    for future in stream.admin.create_acls(bindings).values():
        future.result(PATIENCE_S)


def take_away(stream: Stream, right: Right) -> None:
    """Let the user do this no longer."""
    (found,) = stream.admin.delete_acls([AclBindingFilter(*granted(stream, right))]).values()
    assert len(found.result(PATIENCE_S)) == 1


def signed_in(broker: Guarded, **others: object) -> dict[str, object]:
    """Return settings of a worker that comes by the guarded door."""
    properties = {
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_MECHANISMS": "PLAIN",
        "SASL_USERNAME": USER,
        "SASL_PASSWORD": PASSWORD,
    }
    client = {f"TIDEGATE_KAFKA__CLIENT__{n}": value for n, value in (properties | others).items()}
    return {"TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": broker.guarded_door, **client}


def go_on(row: Row, broker: Guarded, streams: Sequence[Stream]) -> None:
    """Have each stream judged to its end, by a worker that may do all it must."""
    with ExitStack() as stack:
        for stream in streams:
            stack.enter_context(stream.worker(**signed_in(broker)))
        for stream in streams:
            stream.wait_until_judged()
            assert stream.workers[-1].stop() == 0
    for stream in streams:
        row.judged(stream.check())


def test_c1_each_missing_right_is_named(row: Row, guarded: Guarded, tmp_path: Path) -> None:
    """One right less, and the worker ends and says which; with all of them it judges."""
    every = [*RIGHTS, *SEE]
    missing_ones = [[right] for right in RIGHTS]
    missing_ones.append([SEE[3], RIGHTS[3]])  # who may write a topic may see it
    streams = [guarded_stream(guarded, f"without-{n}", tmp_path) for n in range(len(missing_ones))]
    with ExitStack() as stack:
        for missing, stream in zip(missing_ones, streams, strict=True):
            allow(stream, [right for right in every if right not in missing])
            stack.enter_context(stream.worker(**signed_in(guarded)))
        for missing, stream in zip(missing_ones, streams, strict=True):
            (worker,) = stream.workers
            assert worker.ended() == 1, worker.said
            assert missing[0].says in worker.said, worker.said[-600:]
            row.bit()

    for missing, stream in zip(missing_ones, streams, strict=True):
        allow(stream, missing)
    go_on(row, guarded, streams)


def test_c1_a_right_that_is_taken_away_from_a_running_worker_ends_it_and_is_named(
    row: Row, guarded: Guarded, tmp_path: Path
) -> None:
    """At its next window, which is judged once the right is back."""
    taken = [RIGHTS[0], RIGHTS[1], RIGHTS[5], RIGHTS[6]]  # comments, verdicts, group, transactions
    streams = [guarded_stream(guarded, f"taken-{n}", tmp_path) for n in range(len(taken))]
    with ExitStack() as stack:
        for stream in streams:
            allow(stream, [*RIGHTS, *SEE])
            stack.enter_context(stream.worker(**signed_in(guarded)))
        for right, stream in zip(taken, streams, strict=True):
            stream.wait_until_judged()
            take_away(stream, right)
            stream.produce_comments(range(200, 400))
        for right, stream in zip(taken, streams, strict=True):
            (worker,) = stream.workers
            assert worker.ended() == 1, worker.said
            assert right.says in worker.said, worker.said[-600:]
            row.bit()

    for right, stream in zip(taken, streams, strict=True):
        allow(stream, [right])
    go_on(row, guarded, streams)


@pytest.mark.slow_faults
def test_c1_a_sign_in_that_fails_is_named(
    row: Row, guarded: Guarded, elsewhere: Path, tmp_path: Path
) -> None:
    """A wrong password; and a token that has expired, since the worker's clock is an hour late."""
    stream = guarded_stream(guarded, "sign-in", tmp_path)
    expired = {
        "SASL_MECHANISMS": "OAUTHBEARER",
        "ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT": "true",
        "SASL_OAUTHBEARER_CONFIG": f"principal={USER} lifeSeconds=60",
    }
    late = {"LD_PRELOAD": elsewhere, "CLOCK_OFFSET_S": -3_600}
    with (
        stream.worker("password", **signed_in(guarded, SASL_PASSWORD="another")) as password,  # noqa: S106
        stream.worker("token", **signed_in(guarded, **expired), **late) as token,
    ):
        for worker in (password, token):
            assert worker.ended() == 1
            assert "_AUTHENTICATION" in worker.said, worker.said[-600:]
            assert "who cannot sign in" in worker.said
            assert "another" not in worker.said
            row.bit()
    assert stream.committed() == {0: 0}
