"""The attributes of a CloudEvent on what we publish, in Kafka's binary mode (CloudEvents 1.0.2)."""

from functools import lru_cache
from typing import Final

Attribute = tuple[str, bytes]

ALWAYS: Final[tuple[Attribute, ...]] = (
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/tidegate"),
    ("content-type", b"application/json"),
)


def cloud_event(kind: str, identity: str, now: str) -> tuple[Attribute, ...]:
    """Return the headers: attributes stand there, so that a record without data stays a tombstone.

    Args:
        kind: verdict, flag or feedback.
        identity: of the event.
        now: in ISO 8601.
    """
    return (("ce_id", identity.encode()), *_shared(kind, now))


@lru_cache(maxsize=8)
def _shared(kind: str, now: str) -> tuple[Attribute, ...]:
    """Return what all that is judged at one time has in common."""
    own = (("ce_type", f"tidegate.{kind}.v1".encode()), ("ce_time", now.encode()))
    return (*ALWAYS, *own)
