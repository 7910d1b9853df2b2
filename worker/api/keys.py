"""Who may ask, and how often: API keys, known by their hashes alone.

A file has a line for each: a name, the SHA-256 of the key in hex, and how many comments a second
it may have judged if that is bounded. `printf %s "$KEY" | sha256sum` makes the second.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from schemas.errors import SettingsError
from worker.api.errors import ApiError

LINE: Final = re.compile(r"(\S+)\s+([0-9a-fA-F]{64})(?:\s+(\d+(?:\.\d+)?))?")
BURST_S: Final = 1.0  # what was not asked for in the last second may be made up for


@dataclass
class Key:
    """One key, and what is left of its allowance.

    Args:
        name: for figures.
        per_second: comments it may have judged; None: as many as it likes.
    """

    name: str
    per_second: float | None
    _left: float = field(init=False)
    _counted_at: float = field(init=False, default=0.0)  # monotonic

    def __post_init__(self) -> None:
        self._left = self._most

    @property
    def _most(self) -> float:
        return max(1.0, (self.per_second or 0) * BURST_S)

    def spend(self, comments: int) -> None:
        """Count the comments of a request. A large one is let in, and waited for afterwards.

        Raises:
            ApiError: 429, the allowance is spent.
        """
        if self.per_second is None:
            return
        now = monotonic()
        self._left = min(self._most, self._left + (now - self._counted_at) * self.per_second)
        self._counted_at = now
        if self._left < 1:
            wait_s = (1 - self._left) / self.per_second
            message = f"Quota exceeded: {self.per_second:g} comments a second for key {self.name}"
            raise ApiError(429, message, retry_after_s=wait_s)
        self._left -= comments

    def give_back(self, comments: int) -> None:
        """Count comments no more that were not judged."""
        self._left += comments

    @contextmanager
    def spending(self, comments: int) -> Iterator[None]:
        """Count the comments of a request, unless it is refused after all.

        Raises:
            ApiError: as `spend`.
        """
        self.spend(comments)
        try:
            yield
        except ApiError as refused:
            if not refused.is_counted:
                self.give_back(comments)
            raise


ANYBODY: Final = Key("anybody", None)


class Keys:
    """The keys of a file.

    Args:
        file: with a line for each key; None: everybody may ask.

    Raises:
        SettingsError: the file cannot be read, or a line of it is no key; the line is named.
    """

    def __init__(self, file: Path | None) -> None:
        self._by_hash = _by_hash(file) if file else None

    @property
    def are_needed(self) -> bool:
        """Whether one must have a key."""
        return self._by_hash is not None

    def admit(self, given: str | None) -> Key:
        """Let a request in, and return whose it is.

        It is looked up by its hash: how long that takes says nothing about the keys.

        Raises:
            ApiError: 403, the key is missing or unknown.
        """
        if self._by_hash is None:
            return ANYBODY
        if not given:
            raise ApiError(403, "The request is missing a valid API key.")
        key = self._by_hash.get(hashlib.sha256(given.encode(errors="replace")).hexdigest())
        if key is None:
            raise ApiError(403, "API key not valid. Please pass a valid API key.")
        return key


def _by_hash(file: Path) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for digest, key in _keys_of(file):
        if before := found.get(digest):
            raise SettingsError(
                f"keys {file}: {before.name} and {key.name} are the same key", "leave one out"
            )
        found[digest] = key
    if not found:
        raise SettingsError(f"keys {file}: it holds no key", "nobody could ask")
    return found


def _keys_of(file: Path) -> Iterator[tuple[str, Key]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"keys {file}: it cannot be read: {error}", "check TIDEGATE_API__KEYS"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not (found := LINE.fullmatch(line.strip())):
            raise SettingsError(  # without the line: it may hold a key
                f"keys {file}, line {number}: expected a name, the key's SHA-256 in hex, and "
                "perhaps comments a second",
                'printf %s "$KEY" | sha256sum',
            )
        name, digest, per_second = found.groups()
        if per_second is not None and float(per_second) == 0:
            raise SettingsError(f"keys {file}, line {number}: 0 comments a second", "leave it out")
        yield digest.lower(), Key(name, float(per_second) if per_second else None)
