"""What the topics must be like, and whether they are: looked at before the model loads."""

from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    ResourceType,
    TopicMetadata,
)

from schemas.errors import ClusterError, TopicError
from worker.settings import Settings, TopicSettings

log = structlog.get_logger()

ANSWER_S: Final = 15.0  # for a broker to answer at all

# Our headers on a dead letter come on top of the record as it came.
ROOM_FOR_HEADERS: Final = 65_536

CLIENT_BATCH: Final = 1_000_000  # bytes; librdkafka fills a batch up to this (batch.size)

# What stands in the way of a connection, and what to do about it.
NO_CONNECTION: Final = {
    KafkaError._AUTHENTICATION: "the broker lets nobody in who cannot sign in: see "  # noqa: SLF001 - a public constant
    "TIDEGATE_KAFKA__CLIENT__SASL_… and TIDEGATE_KAFKA__CLIENT_FILE",
    KafkaError._SSL: "see TIDEGATE_KAFKA__CLIENT__SSL_… and SECURITY_PROTOCOL",  # noqa: SLF001 - a public constant
    KafkaError._RESOLVE: "no address is known for that name: set "  # noqa: SLF001 - a public constant
    "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS, or mend the resolver",
}

# Below this what is acknowledged may go with a broker; the topics in which the cluster keeps
# transactions and offsets are as much a part of the promise as ours.
COPIES: Final = 3
IN_SYNC: Final = 2
STATE: Final = frozenset({"__transaction_state", "__consumer_offsets"})

DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
MONTH_MS: Final = 30 * DAY_MS


class TopicPlan(NamedTuple):
    """How a topic should be made. `needed` by a worker; `cleanup` is checked, not the rest."""

    name: str
    cleanup: frozenset[str]
    config: dict[str, str]
    needed: bool


def plans(topics: TopicSettings) -> list[TopicPlan]:
    """Return the plan of each topic.

    Verdicts, flags and feedback are compacted, so that an erasure's tombstone makes them forget;
    late readers learn of it for a week. Dead letters cannot be compacted and hold what people
    wrote: they go after 28 days, since the law's answer to an erasure is due in 30.
    """
    forgets = {"delete.retention.ms": str(WEEK_MS), "max.compaction.lag.ms": str(DAY_MS)}
    month = {"retention.ms": str(MONTH_MS)}
    return [
        _plan(topics.comments, "delete", {"retention.ms": str(WEEK_MS)}, needed=True),
        _plan(topics.verdicts, "compact", forgets, needed=True),
        _plan(topics.flags, "compact,delete", forgets | month, needed=True),
        _plan(
            topics.dead_letters,
            "delete",
            {"retention.ms": str(28 * DAY_MS), "max.message.bytes": str(2_097_152)},
            needed=True,
        ),
        _plan(topics.feedback, "compact", forgets, needed=True),
        _plan(topics.policies, "compact", {}, needed=False),
    ]


def _plan(name: str, cleanup: str, config: dict[str, str], *, needed: bool) -> TopicPlan:
    return TopicPlan(
        name, frozenset(cleanup.split(",")), {"cleanup.policy": cleanup, **config}, needed
    )


def admin_client(settings: Settings) -> AdminClient:
    """Return a client for looking at the cluster.

    Raises:
        ClusterError: librdkafka refuses a property; it is named.
    """
    properties: dict[str, Any] = {
        **settings.kafka.properties(),
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "log_level": 0,  # what it cannot reach is said below, once
    }
    try:
        return _Admin(properties)
    except KafkaException as error:
        raise ClusterError(
            f"kafka client: {error.args[0].str()}", "see TIDEGATE_KAFKA__CLIENT__… and CLIENT_FILE"
        ) from error


def check_topics(
    settings: Settings, admin: AdminClient, names: Collection[str] | None = None
) -> None:
    """Check that topics exist and forget in the right way.

    Args:
        settings: where the cluster is, and what the topics are called.
        admin: asks it.
        names: of the topics; by default those that a worker needs.

    Raises:
        ClusterError: no broker answers.
        TopicError: topics are missing, or have the wrong clean-up policy; all are named.
    """
    needed = [
        plan
        for plan in plans(settings.topics)
        if (plan.needed if names is None else plan.name in names)
    ]
    wrong = list(_wrong(settings, admin, needed))
    if wrong:
        raise TopicError(
            "; ".join(wrong),
            "`tidegate topics create` makes what is missing, and says what to alter",
        )


def existing_topics(settings: Settings, admin: AdminClient) -> frozenset[str]:
    """Return the names of the topics that exist.

    Raises:
        ClusterError: no broker answers.
    """
    return frozenset(_metadata(settings, admin).topics)


def _metadata(settings: Settings, admin: AdminClient) -> ClusterMetadata:
    try:
        return admin.list_topics(timeout=ANSWER_S)
    except KafkaException as error:
        why = (admin.why() if isinstance(admin, _Admin) else None) or error.args[0]
        raise ClusterError(
            f"no broker answered at {settings.kafka.bootstrap_servers} within {ANSWER_S:g} s "
            f"({why.name()}: {why.str()})",
            NO_CONNECTION.get(why.code())
            or "start one (`tidegate broker`), or set TIDEGATE_KAFKA__BOOTSTRAP_SERVERS",
        ) from error


class _Admin(AdminClient):
    """An AdminClient that can say why it has no connection; its calls only time out."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self._heard: list[KafkaError] = []
        heeding: dict[str, Any] = {**properties, "error_cb": self._heard.append}
        super().__init__(heeding)

    def why(self) -> KafkaError | None:
        """Return the last error that says more than that nobody answers."""
        self.poll(0)
        return next((e for e in reversed(self._heard) if e.code() in NO_CONNECTION), None)


def _wrong(settings: Settings, admin: AdminClient, needed: Collection[TopicPlan]) -> Iterator[str]:
    metadata = _metadata(settings, admin)
    exist = metadata.topics
    for plan in needed:
        if plan.name not in exist:
            yield f"topic {plan.name} does not exist, or this user may not see it"
    state = STATE & exist.keys()
    configs = _configs(admin, sorted({plan.name for plan in needed} & exist.keys() | state))
    for plan in needed:
        if plan.name in configs:
            yield from _wrong_cleanup(plan, configs[plan.name])
    for name, config in configs.items():
        _warn_of_weak_durability(name, config)
    if len(metadata.brokers) > 1:  # a single one is somebody's laptop, and has nowhere to copy to
        for name in sorted({plan.name for plan in needed} | state):
            _warn_of_few_copies(name, exist.get(name), configs.get(name, {}))
    yield from _too_small(settings.topics, configs)


def _wrong_cleanup(plan: TopicPlan, config: dict[str, str]) -> Iterator[str]:
    found = config["cleanup.policy"]
    if ("compact" in plan.cleanup) != ("compact" in found.split(",")):
        yield (
            f"topic {plan.name} has cleanup.policy={found}, "
            f"expected {plan.config['cleanup.policy']}"
        )


def _too_small(topics: TopicSettings, configs: dict[str, dict[str, str]]) -> Iterator[str]:
    """A record that is refused must fit the dead letters, and a batch its topic."""
    largest = {name: int(config["max.message.bytes"]) for name, config in configs.items()}
    comments = largest.get(topics.comments, 0)
    least = {
        topics.verdicts: CLIENT_BATCH,
        topics.flags: CLIENT_BATCH,
        topics.feedback: CLIENT_BATCH,
        topics.dead_letters: max(CLIENT_BATCH, comments + ROOM_FOR_HEADERS),
    }
    for name, bytes_ in least.items():
        if largest.get(name, bytes_) < bytes_:
            yield f"topic {name} has max.message.bytes={largest[name]}, expected {bytes_} or more"


def _warn_of_weak_durability(name: str, config: dict[str, str]) -> None:
    if config.get("unclean.leader.election.enable") == "true":
        log.warning("topic may lose what was acknowledged: unclean leader election", topic=name)


def _warn_of_few_copies(name: str, topic: TopicMetadata | None, config: dict[str, str]) -> None:
    """KIP-98's promise is that of the topics: what has one copy goes with one broker."""
    copies = [len(partition.replicas) for partition in topic.partitions.values()] if topic else []
    if copies and min(copies) < COPIES:
        log.warning(
            "topic may be lost with a broker or two: few replicas", topic=name, replicas=min(copies)
        )
    in_sync = int(config.get("min.insync.replicas", IN_SYNC))
    if in_sync < IN_SYNC:
        log.warning(
            "topic may lose what was acknowledged: min.insync.replicas", topic=name, found=in_sync
        )


def _configs(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Read the topics' settings; those that we may not read are left out, with a warning."""
    if not names:
        return {}  # the client refuses to ask for none
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=ANSWER_S).items():
        try:
            entries = future.result()
        except KafkaException as error:
            refused = error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            if not refused and resource.name not in STATE:
                raise ClusterError(f"topic {resource.name}: {error.args[0].str()}") from error
            log.warning("topic's settings cannot be read: not checked", topic=resource.name)
            continue
        found[resource.name] = {name: entry.value for name, entry in entries.items()}
    return found
