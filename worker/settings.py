"""Every setting of a worker, validated before a thread starts.

From the environment (`TIDEGATE_` and `__` between levels), over a TOML file, under flags.
Durations are in seconds (`_s`), sizes in bytes, messages, tokens or characters as named.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from schemas.errors import SettingsError

PREFIX: Final = "TIDEGATE_"

SHIPPED_BUNDLE: Final = Path(__file__).parent.parent / "deploy" / "bundle"

# Names in the environment that are tidegate's, but no settings of a worker.
NOT_OURS: Final = frozenset({"TIDEGATE_DATA"})

Port = Annotated[int, Field(ge=0, le=65_535)]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
GroupId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Slot = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]

# As Java's clients have it, where librdkafka takes 10 s. It asks for a coordinator anew only when a
# connection to the old one fails, so that this is how long one that moved may go unfound.
RECONNECT_MS: Final = 1_000

SEND_CALL_S: Final = 6.0  # what one call to send offsets may take

# librdkafka's properties that stay ours, each with the promise that it would break.
REFUSED_PROPERTIES: Final = {
    "acks": "a verdict counts as published only when all in-sync replicas have it",
    "auto.offset.reset": "a lost offset must stop the worker, not skip comments",
    "batch.num.messages": "a record that is too large must stand alone in its batch",
    "batch.size": "the topics are checked to take a batch as it is",
    "bootstrap.servers": "set TIDEGATE_KAFKA__BOOTSTRAP_SERVERS",
    "debug": "it puts records and sign-in steps into the log",
    "delivery.report.only.error": "reports name what the broker refuses, and nothing else",
    "enable.auto.commit": "offsets are committed with the verdicts, never on a timer",
    "enable.auto.offset.store": "offsets are committed with the verdicts, never before",
    "enable.idempotence": "without it a retry doubles or reorders verdicts",
    "enable.partition.eof": "the intake has no use for end-of-partition events",
    "group.id": "set TIDEGATE_KAFKA__GROUP_ID",
    "group.protocol": "set TIDEGATE_KAFKA__GROUP_PROTOCOL",
    "isolation.level": "comments of aborted transactions must not be judged",
    "max.in.flight": "idempotence allows at most five",
    "max.in.flight.requests.per.connection": "idempotence allows at most five",
    "max.poll.interval.ms": "set TIDEGATE_INTAKE__MAX_POLL_INTERVAL_S",
    "log.connection.close": "a producer is rebuilt when it says that a connection broke",
    "message.max.bytes": "the topics decide how large a record may be",
    "message.timeout.ms": "it follows the transaction's timeout",
    "metadata.recovery.strategy": "a producer that starts over may wait for ever",
    "partition.assignment.strategy": "the claims need cooperative assignment",
    "partitioner": "verdicts and tombstones of a comment must meet on one partition",
    "queued.max.messages.kbytes": "set TIDEGATE_INTAKE__PREFETCH_KIB",
    "statistics.interval.ms": "readiness and the rebuilding of producers rest on it",
    "transaction.timeout.ms": "set TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S",
    "transactional.id": "it is made of the group and TIDEGATE_SLOT",
}


class Section(BaseModel):
    """A group of settings: closed, and silent about values when one is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class GroupProtocol(StrEnum):
    """How the consumer group shares its partitions."""

    AUTO = "auto"
    CONSUMER = "consumer"
    CLASSIC = "classic"


class KafkaSettings(Section):
    """Where Kafka is, and who we are there."""

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092", min_length=1, description="host:port, comma separated."
    )
    group_id: GroupId = Field(default="tidegate", description="Workers of one group share work.")
    group_protocol: GroupProtocol = Field(
        default=GroupProtocol.AUTO,
        description="consumer (KIP-848), classic (cooperative-sticky), or auto: what it has.",
    )
    client: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Any librdkafka property: TIDEGATE_KAFKA__CLIENT__SASL_USERNAME is "
        "sasl.username.",
    )
    client_file: Path | None = Field(
        default=None, description="A file of librdkafka properties, name=value a line, for secrets."
    )

    @field_validator("client", mode="before")
    @classmethod
    def properties_are_named_as_librdkafka_names_them(cls, client: Any) -> Any:
        """An environment variable cannot hold a dot, so sasl_username means sasl.username."""
        if not isinstance(client, Mapping):
            return client
        return {_property(str(name).lower()): value for name, value in client.items()}

    @model_validator(mode="after")
    def no_property_breaks_a_promise(self) -> Self:
        """Refuse, by name and with the reason, what delivery depends on."""
        for name in self.properties():
            if name in REFUSED_PROPERTIES:
                raise ValueError(f"property {name} cannot be set: {REFUSED_PROPERTIES[name]}")
        return self

    def properties(self) -> dict[str, str]:
        """Return the librdkafka properties of file and settings; the settings win.

        Raises:
            ValueError: the file cannot be read, or a line of it is no name=value.
        """
        found = dict(_lines_of(self.client_file)) if self.client_file else {}
        return found | {name: value.get_secret_value() for name, value in self.client.items()}


def _property(name: str) -> str:
    return name if name == "log_level" else name.replace("_", ".")


def _lines_of(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"client_file {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"client_file {path}, line {number}: expected name=value")
        yield name.strip(), value.strip()


class TopicSettings(Section):
    """What the topics are called."""

    comments: TopicName = "comments"
    verdicts: TopicName = "verdicts"
    flags: TopicName = "flags"
    dead_letters: TopicName = "dead-letters"
    feedback: TopicName = "feedback"
    policies: TopicName = "policies"

    @model_validator(mode="after")
    def no_two_share_a_name(self) -> Self:
        """A worker that reads what it writes never ends."""
        names = list(self.model_dump().values())
        if len(set(names)) < len(names):
            raise ValueError(f"two topics share a name: {', '.join(sorted(names))}")
        return self


class IntakeSettings(Section):
    """How comments are fetched."""

    max_messages: PositiveInt = Field(
        default=500,
        le=100_000,
        description="Most messages in a window. 500 pads little and is 1.5 s of work for two "
        "CPU cores; a GPU wants some thousands.",
    )
    max_bytes: PositiveInt = Field(
        default=524_288,
        description="Most bytes in a window. Long comments cost many times what short ones do.",
    )
    max_wait_s: PositiveFloat = Field(
        default=0.02,
        le=10,
        description="How long a window may wait for more after its first message.",
    )
    max_poll_interval_s: PositiveFloat = Field(
        default=300, ge=6, description="A silence of this length evicts the worker."
    )
    prefetch_kib: PositiveInt = Field(
        default=32_768, le=2_097_151, description="Comments fetched ahead, in KiB of memory."
    )

    @model_validator(mode="after")
    def a_window_takes_at_most_half_the_poll_interval(self) -> Self:
        """Else the group evicts a worker that only waits."""
        if self.max_wait_s > self.max_poll_interval_s / 2:
            raise ValueError(
                f"max_wait_s is {self.max_wait_s:g}, more than half of max_poll_interval_s "
                f"({self.max_poll_interval_s:g}): the group would evict the worker"
            )
        return self


class LimitSettings(Section):
    """What a record may weigh before it is parsed, and a text before it is tokenised."""

    value_bytes: PositiveInt = Field(default=65_536, description="A larger value is refused.")
    key_bytes: PositiveInt = Field(default=1_024, description="A larger key is refused.")
    headers: PositiveInt = Field(default=100, description="A record with more is refused.")
    header_bytes: PositiveInt = Field(default=32_768, description="With larger ones, too.")
    characters: PositiveInt = Field(
        default=10_000, ge=100, description="Of a longer text head and tail are judged."
    )
    pieces: PositiveInt = Field(
        default=8, ge=2, description="Of more pieces the first and the last are judged."
    )
    overlap: NonNegativeInt = Field(default=32, description="Tokens that two pieces share.")


class EngineChoice(StrEnum):
    """What computes the logits."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TORCH = "torch"


class NumberType(StrEnum):
    """In what torch computes the products of a GPU."""

    BF16 = "bf16"
    FP8 = "fp8"


class ScoringSettings(Section):
    """How comments are scored."""

    engine: EngineChoice = Field(
        default=EngineChoice.AUTO,
        description="openvino or onnxruntime (int8, CPU), torch (float weights, GPU or CPU), or "
        "auto: torch where there is a GPU and the bundle has float weights; else onnxruntime where "
        "it is installed and the CPU has no VNNI; else openvino.",
    )
    threads: PositiveInt | None = Field(
        default=None, description="Requests at once, a thread each; default: one a core."
    )
    budget: PositiveInt | None = Field(
        default=None,
        description="Tokens in a micro-batch, padding included; default: the engine's.",
    )
    number_type: NumberType = Field(
        default=NumberType.BF16,
        description="Of products on a GPU: bf16, or fp8, for which its compute capability must be "
        "8.9 or more. On a CPU torch computes in fp32, with fp8 in what fp8 left of it.",
    )
    time_limit_s: PositiveFloat = Field(
        default=300,
        ge=10,
        le=86_400,
        description="A window that the engine has not scored after so long ends the process; so "
        "does an engine that is not loaded after so long.",
    )
    crash_record: Path | None = Field(
        default=None,
        description="A file that outlives the process, by which a comment that ends processes is "
        "found and held: over a window that ended two its comments are scored alone on the CPU. "
        "One a worker. Without it such a comment stops its partition.",
    )


class PublishSettings(Section):
    """How verdicts are published."""

    delivery: Literal["exactly-once", "at-least-once"] = "exactly-once"
    transaction_timeout_s: PositiveFloat = Field(
        default=15, ge=5, le=60, description="The broker aborts a transaction that is older."
    )
    revoke_deadline_s: PositiveFloat = Field(
        default=30, le=60, description="How long a partition is kept back to finish its windows."
    )
    drain_s: PositiveFloat = Field(
        default=20, description="How long after SIGTERM windows may still be finished."
    )

    @property
    def send_share_s(self) -> float:
        """From a transaction's begin to its offsets: calls are repeated for so long."""
        return self.transaction_timeout_s / 2

    @property
    def sending_s(self) -> float:
        """How long all that may take at most, with a last call that was begun just in time."""
        return self.send_share_s + SEND_CALL_S


class BreakerSettings(Section):
    """When so much cannot be judged that going on is worse than stopping."""

    share: float = Field(
        default=0.9, gt=0, le=1, description="Of dead letters that only a bad deploy makes."
    )
    records: PositiveInt = Field(default=10_000, description="Over how many records.")


class HealthSettings(Section):
    """Where probes and Prometheus ask."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: Port = Field(default=8_081, description="0 takes a free one.")
    stuck_after_s: PositiveFloat = Field(
        default=60, ge=15, description="A thread that has not turned for so long fails liveness."
    )


def _listed(value: Any) -> Any:
    """Read a list as a person writes it into an environment: with commas."""
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
OtherLanguage = Literal["judge", "hold", "refuse"]


def _in_json(value: Any) -> Any:
    """Read what the environment can only say in JSON; a settings file has a table for it."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError('expected JSON, as in {"gaming": "hold"}') from None


ByCommunity = Annotated[dict[str, OtherLanguage], NoDecode, BeforeValidator(_in_json)]


# A scheme, a host by name or address, perhaps a port, perhaps a path.
PUBLIC_URL: Final = re.compile(
    r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?(/[^\s?#\\]*)?", re.IGNORECASE
)
# A scheme (of browsers' extensions, too), a host, perhaps a port.
ORIGIN: Final = re.compile(
    r"\*|[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE
)
LANGUAGE: Final = re.compile(r"[a-z]{2,3}")


class ApiSettings(Section):
    """What `tidegate api` answers, and to whom."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: Port = Field(default=8_080, description="0 takes a free one.")
    deadline_s: PositiveFloat = Field(
        default=0.7, le=60, description="Past it a request is answered 503. Coral waits 0.8 s."
    )
    batch: PositiveInt = Field(
        default=32, le=10_000, description="Comments that are judged at once at most."
    )
    body_bytes: PositiveInt = Field(default=1_048_576, description="A larger body is refused.")
    text_bytes: PositiveInt = Field(
        default=20_480, description="Perspective's calls refuse a longer comment."
    )
    comments: PositiveInt = Field(default=100, description="Most in a request to /v1/score.")
    sentences: PositiveInt = Field(
        default=50, description="Most that are scored by themselves; the last has the rest."
    )
    keys: FilePath | None = Field(
        default=None,
        description="A file of API keys: a name, the SHA-256 of the key, perhaps comments a "
        "second, a line each. None: everybody may ask.",
    )
    public_url: str | None = Field(
        default=None,
        description="Where clients reach the API, if a proxy stands before it, with its path: "
        "https://example.org/moderation. None: as they asked.",
    )
    cors: Listed = Field(default=(), description="Origins of pages that may ask, with commas.")
    tls_certificate: FilePath | None = Field(default=None, description="In PEM, with its chain.")
    tls_key: FilePath | None = Field(default=None, description="In PEM.")
    languages: Listed = Field(
        default=("en",), min_length=1, description="What the bundle judges, with commas."
    )
    other_languages: OtherLanguage = Field(
        default="judge",
        description="What becomes of a comment that is surely in another language: judge, hold "
        "(for a person), or refuse.",
    )
    other_languages_in: ByCommunity = Field(
        default_factory=dict, description='By community, as JSON: {"gaming": "hold"}.'
    )
    unknown_attributes: Literal["refuse", "leave_out"] = Field(
        default="refuse", description="What becomes of attributes that have no model here."
    )
    publish: Literal["no", "before-answer", "after-answer"] = Field(
        default="no",
        description="Verdicts, flags and feedback to Kafka (TIDEGATE_KAFKA__…): before-answer, an "
        "answer says that they are committed; after-answer, nobody waits for Kafka, and a server "
        "that is killed loses its last moments.",
    )
    scale: str | None = Field(
        default=None,
        description="The scale of scores: perspective, or another that the bundle has a map to. "
        "None: the bundle's own probabilities.",
    )

    @field_validator("public_url")
    @classmethod
    def a_public_url_is_one_that_paths_can_follow(cls, url: str | None) -> str | None:
        """Clients put the path of a call behind it; a query or a fragment would swallow that."""
        if url is None:
            return None
        if not PUBLIC_URL.fullmatch(url):
            raise ValueError(
                "expected http:// or https://, a host, and perhaps a port and a path, "
                "without user, query and fragment"
            )
        return url.rstrip("/")

    @field_validator("cors")
    @classmethod
    def an_origin_is_what_browsers_send(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """A host alone, or a slash behind it, would never be the origin of a page."""
        if wrong := [origin for origin in origins if not ORIGIN.fullmatch(origin)]:
            raise ValueError(
                f"{wrong[0]} is no origin: expected a scheme, a host, and perhaps a port, with "
                "nothing behind it, as in https://example.org; or *"
            )
        return origins

    @field_validator("languages")
    @classmethod
    def a_language_is_known_by_its_first_part(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        """`EN` and `en-GB` are `en`, as in requests."""
        found = tuple(language.partition("-")[0].lower() for language in languages)
        if wrong := [each for each in found if not LANGUAGE.fullmatch(each)]:
            raise ValueError(
                f"{wrong[0]} is no language: expected two letters or three, as in en, de-AT"
            )
        return found

    @model_validator(mode="after")
    def a_certificate_has_its_key(self) -> Self:
        """One without the other would serve in the clear, or not at all."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TIDEGATE_API__TLS_CERTIFICATE and TIDEGATE_API__TLS_KEY go together")
        return self


class LogSettings(Section):
    """What is logged, and for whom."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: for people in a terminal, JSON elsewhere."
    )


class Settings(BaseSettings):
    """The settings of one worker."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    bundle: str = Field(
        default=str(SHIPPED_BUNDLE),
        min_length=1,
        description="A bundle's folder, or a checkpoint's name; default: the shipped bundle.",
    )
    allow_unsigned: bool = Field(
        default=False, description="Load a checkpoint that has no bundle.json: you trust it."
    )
    bundle_key: FilePath | None = Field(
        default=None,
        description="A public key in PEM: the bundle must be signed with its private half. "
        "Needs tidegate[sign].",
    )
    policy: Path | None = Field(
        default=None, description="A policy as JSON; default: the bundle's own thresholds."
    )
    slot: Slot = Field(default="0", description="The worker's stable place in its group.")
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    intake: IntakeSettings = IntakeSettings()
    limits: LimitSettings = LimitSettings()
    scoring: ScoringSettings = ScoringSettings()
    publish: PublishSettings = PublishSettings()
    breaker: BreakerSettings = BreakerSettings()
    health: HealthSettings = HealthSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()

    @property
    def revocation_s(self) -> float:
        """How long a revocation may keep partitions back: a poll that is overdue would cost all."""
        return min(self.publish.revoke_deadline_s, self.intake.max_poll_interval_s / 4)

    def a_revocation_may_take_no_longer_than_a_thread_may_stand(self) -> None:
        """Check what only a worker needs; else liveness ends it in the middle of a rebalance.

        Raises:
            SettingsError: a window that is being sent keeps a revocation for longer.
        """
        sending_s = self.publish.sending_s if self.publish.delivery == "exactly-once" else 0.0
        stuck_s, least_s = self.health.stuck_after_s, self.revocation_s + sending_s
        if least_s > stuck_s:
            raise SettingsError(
                f"TIDEGATE_HEALTH__STUCK_AFTER_S is {stuck_s:g}, and must be {least_s:g} or more: "
                f"a revocation may take {self.revocation_s:g} s, and a window that is being sent "
                f"{sending_s:g}",
                "or set TIDEGATE_PUBLISH__REVOKE_DEADLINE_S or __TRANSACTION_TIMEOUT_S lower",
            )

    @property
    def transactional_id(self) -> str:
        """Stable over restarts, so that a successor ends its predecessor's transaction at once."""
        return f"{self.kafka.group_id}-{self.slot}"


def load_settings(file: Path | None = None, **flags: Any) -> Settings:
    """Read the settings of flags, environment and file, in that order of strength.

    Raises:
        SettingsError: a setting is wrong, unknown or missing; it is named, its value is not.
    """
    _refuse_unknown_names(os.environ)
    if file is not None and not file.is_file():
        raise SettingsError(f"settings file {file}: there is no such file", "check --config")

    class SettingsOfFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    try:
        return SettingsOfFile(**flags)
    except ValidationError as error:
        raise SettingsError(_name_the_wrong(error), "see `tidegate worker --help`") from error
    except ValueError as error:  # a TOML file or a JSON value that cannot be parsed
        where = f"settings file {file}" if file else "settings"
        raise SettingsError(f"{where}: {error}", "see `tidegate worker --help`") from error


def setting_names(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """Yield the environment name of every setting; one that ends in `__` takes any suffix."""
    for name, field in model.model_fields.items():
        kind, env = field.annotation, f"{prefix}{name.upper()}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from setting_names(kind, f"{env}__")
        elif name == "client":
            yield f"{env}__"
        else:
            yield env


def setting_help(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> str:
    """List every setting with its default and what it means, for `--help`."""
    lines = []
    for name, field in model.model_fields.items():
        kind, env = field.annotation, f"{prefix}{name.upper()}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            lines.append(setting_help(kind, f"{env}__"))
            continue
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, {}) or name == "bundle" else f" [{default}]"
        lines.append(f"  {env}{'__…' if name == 'client' else ''}{shown}")
        if field.description:
            lines.append(f"      {field.description}")
    return "\n".join(lines)


def _refuse_unknown_names(environ: Mapping[str, str]) -> None:
    """pydantic-settings passes over a misspelt name in silence; we don't."""
    known = set(setting_names())
    open_ended = tuple(name for name in known if name.endswith("__"))
    for name in sorted(environ):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in NOT_OURS or upper in known:
            continue
        if upper.startswith(open_ended):
            continue
        raise SettingsError(
            f"environment: {name} is no setting of tidegate",
            f"did you mean {_nearest(upper, known)}? `tidegate worker --help` lists them all",
        )


def _nearest(name: str, known: set[str]) -> str:
    import difflib  # noqa: PLC0415 - only on the way out

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0)), PREFIX)


def _name_the_wrong(error: ValidationError) -> str:
    """Say which settings are wrong, under the names that a person would set."""
    wrong = []
    for item in error.errors(include_input=False, include_url=False):
        is_unknown = item["type"] == "extra_forbidden"
        message = "no such setting" if is_unknown else item["msg"].removeprefix("Value error, ")
        where = PREFIX + "__".join(str(part).upper() for part in item["loc"])
        wrong.append(f"{where}: {message}" if item["loc"] else message)
    return "; ".join(wrong)
