"""The attributes of a CloudEvent on what we publish, in Kafka's binary mode (CloudEvents 1.0.2)."""

from collections.abc import Iterable


def cloud_event(kind: str, identity: str, now: str) -> Iterable[tuple[str, bytes]]:
    """Return the headers: attributes stand there, so that a record without data stays a tombstone.

    Args:
        kind: verdict, flag or feedback.
        identity: of the event.
        now: in ISO 8601.
    """
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", identity.encode()),
        ("ce_source", b"/tidegate"),
        ("ce_type", f"tidegate.{kind}.v1".encode()),
        ("ce_time", now.encode()),
        ("content-type", b"application/json"),
    )
