"""What the metadata of a consumer group says of our membership in it.

Offsets are sent with them, and are all by which a broker knows whose they are. Brokers take offsets
that come without a generation and a member from anybody: those must never be sent with a window.
"""

import struct
from typing import Final, NamedTuple

_MAGIC: Final = b"CGMDv2:"  # librdkafka's, from 2.0 on: generation, group, member
_GENERATION: Final = struct.Struct("=i")


class Membership(NamedTuple):
    """Of a consumer. A generation is an epoch with KIP-848."""

    generation: int
    member: bytes


def membership_of(metadata: bytes) -> Membership | None:
    """Return the membership that a group's metadata speak of; None: there is none.

    Raises:
        ValueError: they are of another form, so that nothing can be said.
    """
    if not metadata.startswith(_MAGIC):
        raise ValueError("the consumer group's metadata have another form than librdkafka 2's")
    (generation,) = _GENERATION.unpack_from(metadata, len(_MAGIC))
    _, member, *_ = metadata[len(_MAGIC) + _GENERATION.size :].split(b"\0", 2)
    return Membership(generation, member) if generation >= 0 and member else None
