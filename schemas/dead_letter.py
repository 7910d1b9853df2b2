"""What could not be judged, and why: the closed list of reasons and the headers."""

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pydantic import NonNegativeInt

from schemas.contract import Contract, Name

HEADER_PREFIX: Final = "tidegate."


class Reason(StrEnum):
    """Why a record could not be judged. The list is closed; each has its place in the docs."""

    VALUE_TOO_LARGE = "value_too_large"
    KEY_TOO_LARGE = "key_too_large"
    TOO_MANY_HEADERS = "too_many_headers"
    HEADERS_TOO_LARGE = "headers_too_large"
    HEADERS_UNREADABLE = "headers_unreadable"
    KEY_MISSING = "key_missing"
    KEY_NOT_THE_ID = "key_not_the_id"
    VALUE_NOT_UTF8 = "value_not_utf8"
    VALUE_NOT_JSON = "value_not_json"
    SCHEMA = "schema"
    NOT_SCORABLE = "not_scorable"
    REFUSED_BY_BROKER = "refused_by_broker"
    LANGUAGE_NOT_SUPPORTED = "language_not_supported"  # over the API only: no dead letter has it


# Stands at the end of the detail when the broker refused the payload, whatever the reason is.
DIGEST: Final = re.compile(rb"sha256 ([0-9a-f]{64})")
_DETAIL: Final = f"{HEADER_PREFIX}detail"

# A run of these is the mark of a bad deploy, ours or the publisher's. The rest is what any
# hostile account can cause at will, and must never stop the worker.
MADE_BY_A_DEPLOY: Final = frozenset({Reason.VALUE_NOT_JSON, Reason.SCHEMA, Reason.NOT_SCORABLE})


def digest_of(payload: bytes) -> str:
    """Say in a detail what payload was left out, for `DIGEST` to find."""
    return f"value of {len(payload):,} bytes, sha256 {hashlib.sha256(payload).hexdigest()}"


def left_out(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """Return the digest of the payload that a dead letter without a value had, if it is one.

    Published again it must not pass for an erasure.
    """
    details = (DIGEST.search(value or b"") for name, value in headers if name == _DETAIL)
    return next((found[0].decode() for found in details if found), None)


class DeadLetterHeaders(Contract):
    """The headers that a dead letter carries beside those it came with, all as text.

    Key, value and the other headers of a dead letter are the bytes of the record as it
    came. Only where the broker itself refused the payload is the value left out.
    """

    reason: Reason
    detail: str
    source_topic: Name
    source_partition: NonNegativeInt
    source_offset: NonNegativeInt
    source_timestamp: int

    def encode(self) -> list[tuple[str, bytes]]:
        """Return the headers as Kafka wants them: `tidegate.source.offset`, and so on."""
        return [
            (HEADER_PREFIX + name.replace("_", "."), str(value).encode())
            for name, value in self.model_dump(mode="json").items()
        ]
