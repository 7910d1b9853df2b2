"""Getting Kafka's jars: what a person sees when the network or the cache fails them."""

from pathlib import Path

import pytest

from deploy.kafka_install import kafka_jars
from deploy.kafka_jars import JARS
from schemas.errors import BrokerError

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point jgo at folders of this test and cut it off from the network."""
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "jgo"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOBODY_LISTENS)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def copy_of_the_jars(cache: Path, jars: list[Path]) -> list[Path]:
    """Put copies of `jars` where jgo would have put them in another cache."""
    environment = jars[0].parent.parent
    to = cache / "jgo" / Path(*environment.parts[environment.parts.index("envs") :])
    copies = [to / jar.relative_to(environment) for jar in jars]
    (to / "jars").mkdir(parents=True)
    (to / "modules").mkdir()
    (to / "jgo.lock.toml").write_bytes((environment / "jgo.lock.toml").read_bytes())
    for jar, copy in zip(jars, copies, strict=True):
        copy.write_bytes(jar.read_bytes())
    return copies


@pytest.mark.broker
def test_every_listed_jar_is_on_the_class_path_once() -> None:
    """Nothing that is not listed with its hash gets into the JVM."""
    assert [jar.name for jar in kafka_jars(print)] == list(JARS)


@pytest.mark.usefixtures("empty_cache")
def test_a_failed_download_says_what_was_to_be_fetched_and_what_to_do() -> None:
    """Without a network the first start ends with advice, not with a stack of calls."""
    with pytest.raises(BrokerError, match=r"Apache Kafka [\d.]+ could not be fetched") as caught:
        kafka_jars(print)

    assert "HTTPS_PROXY" in (caught.value.hint or "")


@pytest.mark.broker
def test_a_jar_cut_short_is_noticed_and_fetched_again(
    request: pytest.FixtureRequest,
) -> None:
    """A download that was interrupted must not stay in the cache for ever."""
    jars = kafka_jars(print)
    cache: Path = request.getfixturevalue("empty_cache")
    damaged = copy_of_the_jars(cache, jars)[3]
    damaged.write_bytes(damaged.read_bytes()[:1000])
    said: list[str] = []

    with pytest.raises(BrokerError, match="could not be fetched"):
        kafka_jars(said.append)

    assert any("1 damaged" in line for line in said)
    assert not damaged.exists()
