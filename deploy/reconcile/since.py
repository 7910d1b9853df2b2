"""From where on: `--since`, as it is typed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from schemas.errors import SettingsError

POSITION: Final = re.compile(r"(\d{1,6}):(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Since:
    """A time for all partitions, or offsets for some; else each log's own start."""

    time_ms: int | None = None
    offsets: tuple[tuple[int, int], ...] = ()


def parse_since(given: Sequence[str]) -> Since:
    """Read what was given to `--since`.

    Raises:
        SettingsError: it is neither a time nor positions.
    """
    positions = [POSITION.fullmatch(text) for text in given]
    if given and all(positions):
        return Since(offsets=tuple((int(p[1]), int(p[2])) for p in positions if p))
    if len(given) > 1:
        raise SettingsError("--since: expected one time, or PARTITION:OFFSET for each partition")
    try:
        time = datetime.fromisoformat(given[0]) if given else None
    except ValueError:
        raise SettingsError(
            "--since: expected a time (2026-11-24T12:00:00Z) or PARTITION:OFFSET"
        ) from None
    if time is None:
        return Since()
    return Since(
        time_ms=int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
    )
