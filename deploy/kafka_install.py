"""Gets Apache Kafka's jars: once over the network, from then on from jgo's cache."""

import fcntl
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import ParseError

import jgo
from jgo.config import GlobalSettings
from jgo.maven import PythonResolver

from deploy.kafka_jars import COORDINATES, DOWNLOAD_MB, JARS, KAFKA_VERSION
from schemas.errors import BrokerError

Progress = Callable[[str], None]

# Cached jars are there long before this; only somebody who waits for the network sees a word.
QUIET_S: Final = 1.0
REPORT_EVERY_MB: Final = 5


def kafka_jars(progress: Progress) -> list[Path]:
    """Return the broker's class path, fetching what is not in jgo's cache.

    Every jar is checked against its listed hash each time. One that is damaged, as a download
    that was cut short leaves it, is fetched once more.

    Args:
        progress: is told how far the download is.

    Raises:
        BrokerError: the jars cannot be fetched, or are not the listed ones.
    """
    settings = GlobalSettings.load()
    with _one_at_a_time(settings.cache_dir):
        folder = _environment(progress, update=False)
        damaged = _damaged(folder)
        if damaged:
            progress(f"fetching {len(damaged)} damaged files of Apache Kafka once more")
            _forget(damaged, folder, settings.repo_cache)
            folder = _environment(progress, update=True)
            damaged = _damaged(folder)
    if damaged:
        raise BrokerError(
            f"Apache Kafka {KAFKA_VERSION}: {', '.join(damaged)} in `{folder}` "
            "are missing or have another sha256 than deploy/kafka_jars.py lists",
            "a registry or proxy in between may have changed them; do not use them",
        )
    return [_find(folder, name) for name in JARS]


def _environment(progress: Progress, *, update: bool) -> Path:
    """Let jgo resolve the coordinates and return the folder with the jars."""
    download = _Download(progress)
    waiting = threading.Timer(QUIET_S, download.announce)
    waiting.start()
    try:
        resolver = PythonResolver(progress_callback=download.file)
        return Path(jgo.build(COORDINATES, update=update, resolver=resolver).path)
    # jgo asserts, raises RuntimeError for what no registry has, and requests' errors are OSErrors.
    except (OSError, RuntimeError, AssertionError, ParseError) as error:
        raise BrokerError(
            f"Apache Kafka {KAFKA_VERSION} could not be fetched: {type(error).__name__} after "
            f"{download.megabytes:.0f} of about {DOWNLOAD_MB} MB",
            "the first start needs Maven Central: look at the network, HTTPS_PROXY and the space "
            "on disk, then start again; what has arrived is kept",
        ) from error
    finally:
        waiting.cancel()


class _Download:
    """Counts the bytes that arrive and says so every few megabytes.

    jgo's threads write `_bytes` under `_lock`; the one that crosses a mark reports it.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._bytes = 0

    @property
    def megabytes(self) -> float:
        return self._bytes / 1e6

    def announce(self) -> None:
        """Say that this takes a while, and why."""
        self._progress(f"fetching Apache Kafka {KAFKA_VERSION}, about {DOWNLOAD_MB} MB, once")

    @contextmanager
    def file(self, _name: str, _total: int) -> Iterator[Callable[[int], None]]:
        """Follow one file; jgo calls what this yields with each chunk's length in bytes."""
        yield self._arrived

    def _arrived(self, count: int) -> None:
        with self._lock:
            before, self._bytes = self._bytes, self._bytes + count
            mark = int(self.megabytes) // REPORT_EVERY_MB * REPORT_EVERY_MB
            crossed = before < mark * 1_000_000
        if crossed:
            self._progress(f"fetching Apache Kafka: {mark} of about {DOWNLOAD_MB} MB")


def _find(folder: Path, name: str) -> Path:
    """Return where a jar lies: jgo sorts them by whether they are Java modules."""
    in_jars = folder / "jars" / name
    return in_jars if in_jars.exists() else folder / "modules" / name


def _damaged(folder: Path) -> list[str]:
    """Return the names of the jars that are missing or not what they should be."""
    return [name for name, sha256 in JARS.items() if _sha256(_find(folder, name)) != sha256]


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _forget(names: list[str], folder: Path, repository: Path) -> None:
    """Remove jars where jgo would find them again: its own folder and the local repository."""
    for name in names:
        for path in (_find(folder, name), *repository.rglob(name)):
            path.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Keep a second process from fetching into the same cache; it waits and finds all there."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "tidegate.lock").open("a")
    except OSError as error:
        raise BrokerError(
            f"jgo's cache `{cache}` cannot be written: {error.strerror}",
            "set JGO_CACHE_DIR and M2_REPO to folders that can",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
