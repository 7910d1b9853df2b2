"""Settings: each wrong one named, unknown names refused, secrets unseen."""

import os
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import SettingsError
from worker.run import run_worker
from worker.settings import (
    REFUSED_PROPERTIES,
    HealthSettings,
    IntakeSettings,
    KafkaSettings,
    PublishSettings,
    Settings,
    load_settings,
    setting_help,
    setting_names,
)

WRONG = {
    "TIDEGATE_BUNDLE": "",
    "TIDEGATE_ALLOW_UNSIGNED": "perhaps",
    "TIDEGATE_BUNDLE_KEY": "/no/such/file",
    "TIDEGATE_SLOT": "a b",
    "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": "",
    "TIDEGATE_KAFKA__GROUP_ID": "",
    "TIDEGATE_KAFKA__GROUP_PROTOCOL": "modern",
    "TIDEGATE_KAFKA__CLIENT_FILE": "/no/such/file",
    "TIDEGATE_TOPICS__COMMENTS": "^comments",
    "TIDEGATE_TOPICS__VERDICTS": "",
    "TIDEGATE_TOPICS__FLAGS": "a/b",
    "TIDEGATE_TOPICS__DEAD_LETTERS": "x" * 250,
    "TIDEGATE_TOPICS__FEEDBACK": "ä",
    "TIDEGATE_TOPICS__POLICIES": " ",
    "TIDEGATE_INTAKE__MAX_MESSAGES": "0",
    "TIDEGATE_INTAKE__MAX_BYTES": "0",
    "TIDEGATE_INTAKE__MAX_WAIT_S": "soon",
    "TIDEGATE_INTAKE__MAX_POLL_INTERVAL_S": "1",
    "TIDEGATE_INTAKE__PREFETCH_KIB": "-1",
    "TIDEGATE_LIMITS__VALUE_BYTES": "0",
    "TIDEGATE_LIMITS__KEY_BYTES": "1.5",
    "TIDEGATE_LIMITS__HEADERS": "none",
    "TIDEGATE_LIMITS__HEADER_BYTES": "-1",
    "TIDEGATE_LIMITS__CHARACTERS": "99",
    "TIDEGATE_LIMITS__PIECES": "1",
    "TIDEGATE_LIMITS__OVERLAP": "-1",
    "TIDEGATE_SCORING__ENGINE": "steam",
    "TIDEGATE_SCORING__THREADS": "0",
    "TIDEGATE_SCORING__BUDGET": "-5",
    "TIDEGATE_SCORING__NUMBER_TYPE": "fp4",
    "TIDEGATE_SCORING__TIME_LIMIT_S": "inf",
    "TIDEGATE_PUBLISH__DELIVERY": "at-most-once",
    "TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": "0.5",
    "TIDEGATE_PUBLISH__REVOKE_DEADLINE_S": "0",
    "TIDEGATE_PUBLISH__DRAIN_S": "-1",
    "TIDEGATE_BREAKER__SHARE": "1.1",
    "TIDEGATE_BREAKER__RECORDS": "0",
    "TIDEGATE_HEALTH__PORT": "65536",
    "TIDEGATE_HEALTH__STUCK_AFTER_S": "0",
    "TIDEGATE_API__PORT": "-1",
    "TIDEGATE_API__DEADLINE_S": "0",
    "TIDEGATE_API__BATCH": "0",
    "TIDEGATE_API__BODY_BYTES": "0",
    "TIDEGATE_API__TEXT_BYTES": "few",
    "TIDEGATE_API__COMMENTS": "0",
    "TIDEGATE_API__SENTENCES": "0",
    "TIDEGATE_API__KEYS": "/no/such/file",
    "TIDEGATE_API__PUBLIC_URL": "example.org/no/scheme",
    "TIDEGATE_API__PUBLISH": "true",
    "TIDEGATE_API__TLS_CERTIFICATE": "/no/such/file",
    "TIDEGATE_API__TLS_KEY": "/no/such/file",
    "TIDEGATE_API__OTHER_LANGUAGES": "shrug",
    "TIDEGATE_API__OTHER_LANGUAGES_IN": '{"gaming": "shrug"}',
    "TIDEGATE_API__UNKNOWN_ATTRIBUTES": "invent",
    "TIDEGATE_LOG__LEVEL": "loud",
    "TIDEGATE_LOG__FORMAT": "xml",
}
# Any text is one of these; what is behind it is found out when it is opened. A client property
# is librdkafka's to judge, save those that are ours.
ANY_TEXT = {
    "TIDEGATE_POLICY",
    "TIDEGATE_HEALTH__HOST",
    "TIDEGATE_SCORING__CRASH_RECORD",
    "TIDEGATE_KAFKA__CLIENT__",
    "TIDEGATE_API__HOST",
    "TIDEGATE_API__CORS",
    "TIDEGATE_API__LANGUAGES",
    "TIDEGATE_API__SCALE",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the settings of whoever runs the tests."""
    for name in os.environ:
        if name.upper().startswith("TIDEGATE_"):
            monkeypatch.delenv(name)


def test_every_setting_has_a_wrong_value_here() -> None:
    """A new setting needs its row above."""
    assert set(setting_names()) == WRONG.keys() | ANY_TEXT


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_named_without_its_value(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name that a person would set; before a thread starts."""
    monkeypatch.setenv(name, WRONG[name])

    with pytest.raises(SettingsError) as caught:
        load_settings()

    section, _, field = name.removeprefix("TIDEGATE_").lower().partition("__")
    assert name in caught.value.what or (
        f"TIDEGATE_{section.upper()}" in caught.value.what and field in caught.value.what
    )
    assert "input_value" not in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        ("TIDEGATE_KAFKA__GROUPID", "TIDEGATE_KAFKA__GROUP_ID"),
        ("TIDEGATE_KAFKA_BOOTSTRAP_SERVERS", "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"),
        ("TIDEGATE_BUNDEL", "TIDEGATE_BUNDLE"),
        ("tidegate_slott", "TIDEGATE_SLOT"),
        ("TIDEGATE_INTAKE__MAX_MESSAGE", "TIDEGATE_INTAKE__MAX_MESSAGES"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    found: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pydantic-settings passes over a misspelt name in silence; a person would look for hours."""
    monkeypatch.setenv(found, "1")

    with pytest.raises(SettingsError, match=found) as caught:
        load_settings()

    assert f"did you mean {meant}?" in (caught.value.hint or "")


def test_names_that_are_not_ours_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other people's variables, and that of the tests' data."""
    monkeypatch.setenv("TIDEGATE_DATA", "/data")
    monkeypatch.setenv("TIDE", "1")

    load_settings()


@pytest.mark.parametrize("name", REFUSED_PROPERTIES)
def test_a_property_that_breaks_a_promise_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, and with the promise that it would break."""
    monkeypatch.setenv(f"TIDEGATE_KAFKA__CLIENT__{name.upper().replace('.', '_')}", "0")

    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()

    assert REFUSED_PROPERTIES[name] in caught.value.what


def test_other_properties_reach_the_client_by_their_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An underscore stands for a dot, which an environment variable cannot hold."""
    monkeypatch.setenv("TIDEGATE_KAFKA__CLIENT__SASL_USERNAME", "moderator")
    monkeypatch.setenv("TIDEGATE_KAFKA__CLIENT__CLIENT_RACK", "r1")

    found = load_settings().kafka.properties()

    assert found == {"sasl.username": "moderator", "client.rack": "r1"}


def test_no_secret_shows_in_any_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither in repr and str, nor in a dump, nor in the error about another setting."""
    secrets = tmp_path / "client.properties"
    secrets.write_text("ssl.key.password=hunter3\n")
    monkeypatch.setenv("TIDEGATE_KAFKA__CLIENT__SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("TIDEGATE_KAFKA__CLIENT_FILE", str(secrets))

    settings = load_settings()

    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hunter" not in shown
    assert settings.kafka.properties()["sasl.password"] == "hunter2"
    monkeypatch.setenv("TIDEGATE_KAFKA__CLIENT__ACKS", "hunter4")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter" not in f"{caught.value} {caught.value.hint}"


def test_a_client_file_gives_properties_under_the_settings(tmp_path: Path) -> None:
    """Comments and empty lines are passed over; a setting wins over a line."""
    path = tmp_path / "client.properties"
    path.write_text("# ours\n\nsasl.username = a\n ssl.ca.location=/ca\nsasl.password=x=y\n")

    kafka = KafkaSettings.model_validate({"client_file": path, "client": {"sasl_username": "b"}})

    assert kafka.properties() == {
        "sasl.username": "b",
        "ssl.ca.location": "/ca",
        "sasl.password": "x=y",
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fine=1\nhunter2\n", "line 2: expected name=value"),
        ("acks=0\n", "property acks cannot be set"),
        ("\ud83d", "cannot be read"),
    ],
)
def test_a_client_file_that_is_wrong_is_named(
    text: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the line, and nothing that stands in it."""
    path = tmp_path / "client.properties"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    monkeypatch.setenv("TIDEGATE_KAFKA__CLIENT_FILE", str(path))

    with pytest.raises(SettingsError, match=named) as caught:
        load_settings()

    assert "hunter2" not in caught.value.what


def test_flags_are_stronger_than_environment_than_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file is stronger than the defaults; levels are mixed, not replaced."""
    path = tmp_path / "worker.toml"
    path.write_text(
        'slot = "file"\nbundle = "file"\npolicy = "file"\n'
        '[kafka]\ngroup_id = "file"\nbootstrap_servers = "file:1"\n'
    )
    monkeypatch.setenv("TIDEGATE_SLOT", "environment")
    monkeypatch.setenv("TIDEGATE_BUNDLE", "environment")
    monkeypatch.setenv("TIDEGATE_KAFKA__GROUP_ID", "environment")

    found = load_settings(path, bundle="flag")

    assert ("environment", "flag", Path("file")) == (found.slot, found.bundle, found.policy)
    assert (found.kafka.group_id, found.kafka.bootstrap_servers) == ("environment", "file:1")
    assert found.transactional_id == "environment-environment"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("slott = 1", "SLOTT"),
        ("[kafka]\ngroup = 1", "TIDEGATE_KAFKA__GROUP"),
        ("slot = ", "settings file .*worker.toml: "),
    ],
)
def test_a_settings_file_that_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    """An unknown key, a key of an unknown section, a line that is no TOML."""
    path = tmp_path / "worker.toml"
    path.write_text(text)

    with pytest.raises(SettingsError, match=named):
        load_settings(path)


def test_a_settings_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """The path, and the flag that names it."""
    with pytest.raises(SettingsError, match=r"none\.toml: there is no such file") as caught:
        load_settings(tmp_path / "none.toml")

    assert caught.value.hint == "check --config"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"TOPICS__VERDICTS": "comments"}, "two topics share a name"),
        ({"INTAKE__MAX_WAIT_S": "9", "INTAKE__MAX_POLL_INTERVAL_S": "12"}, "max_wait_s is 9"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    environment: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is fine by itself; together they would end nowhere."""
    for name, value in environment.items():
        monkeypatch.setenv(f"TIDEGATE_{name}", value)

    with pytest.raises(SettingsError, match=named):
        load_settings()


@pytest.mark.parametrize(
    ("settings", "needed_s"),
    [
        (Settings(health=HealthSettings(stuck_after_s=43)), "43.5"),
        (Settings(publish=PublishSettings(transaction_timeout_s=60)), "66"),
        (
            Settings(
                publish=PublishSettings(delivery="at-least-once"),
                health=HealthSettings(stuck_after_s=29),
            ),
            "30",
        ),
    ],
)
def test_liveness_leaves_time_for_a_revocation_and_for_the_window_at_the_gate(
    settings: Settings, needed_s: str
) -> None:
    """Else it would end a healthy worker within a rebalance; an API has neither."""
    with pytest.raises(SettingsError, match=f"must be {needed_s} or more"):
        run_worker(settings)


def test_no_revocation_takes_longer_than_a_quarter_of_the_time_to_poll() -> None:
    """So that little time between polls needs no patience of liveness."""
    settings = Settings(
        intake=IntakeSettings(max_poll_interval_s=60), health=HealthSettings(stuck_after_s=30)
    )

    assert settings.revocation_s == 15
    settings.a_revocation_may_take_no_longer_than_a_thread_may_stand()


def test_help_lists_every_setting_with_its_default() -> None:
    """What `tidegate worker --help` prints."""
    text = setting_help()

    assert all(name in text for name in setting_names())
    assert "TIDEGATE_INTAKE__MAX_MESSAGES [500]" in text


def test_settings_cannot_be_changed_afterwards() -> None:
    """Threads share them without a lock."""
    settings: Any = Settings()

    with pytest.raises(ValueError, match="frozen"):
        settings.slot = "1"


def test_a_list_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a person writes it into an environment."""
    monkeypatch.setenv("TIDEGATE_API__LANGUAGES", "en, de,")

    assert load_settings().api.languages == ("en", "de")


def test_a_language_is_its_first_part_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in requests; else all comments would be in another one."""
    monkeypatch.setenv("TIDEGATE_API__LANGUAGES", "EN,de-AT")

    assert load_settings().api.languages == ("en", "de")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("LANGUAGES", "en,english"),
        ("CORS", "forum.example"),
        ("CORS", "https://forum.example/"),
        ("HOST", ""),
    ],
)
def test_what_would_never_hold_is_refused(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request has such a language, no page such an origin; no host is every host."""
    monkeypatch.setenv(f"TIDEGATE_API__{name}", wrong)

    with pytest.raises(SettingsError, match=f"TIDEGATE_API__{name}"):
        load_settings()


def test_what_must_be_json_and_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its whole name, with an example."""
    monkeypatch.setenv("TIDEGATE_API__OTHER_LANGUAGES_IN", "gaming=hold")

    with pytest.raises(SettingsError, match="TIDEGATE_API__OTHER_LANGUAGES_IN: expected JSON"):
        load_settings()


def test_origins_are_taken_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a port or without, of an extension, or all of them."""
    origins = ("https://forum.example", "http://[::1]:8080", "chrome-extension://abcdefgh", "*")
    monkeypatch.setenv("TIDEGATE_API__CORS", ",".join(origins))

    assert load_settings().api.cors == origins


def test_a_certificate_without_its_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be served in the clear, or not at all."""
    certificate = tmp_path / "tls.crt"
    certificate.touch()
    monkeypatch.setenv("TIDEGATE_API__TLS_CERTIFICATE", str(certificate))

    with pytest.raises(SettingsError, match="TLS_CERTIFICATE and TIDEGATE_API__TLS_KEY go"):
        load_settings()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("https://example.org", "https://example.org"),
        ("http://10.0.0.5:8080/", "http://10.0.0.5:8080"),
        ("https://[2001:db8::1]/moderation/v2/", "https://[2001:db8::1]/moderation/v2"),
    ],
)
def test_a_public_url_has_a_host_and_perhaps_a_path(
    said: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slash at its end makes no difference."""
    monkeypatch.setenv("TIDEGATE_API__PUBLIC_URL", said)

    assert load_settings().api.public_url == kept


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "example.org/moderation",
        "ftp://example.org",
        "https://",
        "https:///moderation",
        "https://example.org/moderation?key=wave-4711",
        "https://example.org/#moderation",
        "https://us:wave-4711@example.org",
        "https://example.org/modera tion",
        "https://example.org:port",
    ],
)
def test_a_public_url_that_no_path_can_follow_is_refused(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At start and by name, without what was written: there may be a secret in it."""
    monkeypatch.setenv("TIDEGATE_API__PUBLIC_URL", wrong)

    with pytest.raises(SettingsError, match="TIDEGATE_API__PUBLIC_URL: expected http") as refused:
        load_settings()

    assert "wave-4711" not in refused.value.what
