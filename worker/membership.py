"""What the metadata of a consumer group says of our membership in it.

Offsets are sent with them, and are all by which a broker knows whose they are. Brokers take offsets
that come without a generation and a member from anybody: those must never be sent with a window.
"""

import struct
from typing import Final

from schemas.errors import ClusterError

_MAGIC: Final = b"CGMDv2:"  # librdkafka's, from 2.0 on: generation, group, member
_GENERATION: Final = struct.Struct("=i")  # an epoch with KIP-848


def member_of(metadata: bytes) -> bytes | None:
    """Return whose membership a group's metadata speak of; None: there is none.

    Raises:
        ClusterError: they are of another form, so that nothing can be said.
    """
    generation, member = _parts(metadata)
    return member if generation >= 0 and member else None


def is_joined(metadata: bytes) -> bool:
    """Say whether the group has let us in, with or without a partition.

    Raises:
        ClusterError: as above.
    """
    generation, member = _parts(metadata)
    return generation > 0 and member != b""  # 0 is a client's that has to join again


def _parts(metadata: bytes) -> tuple[int, bytes]:
    if not metadata.startswith(_MAGIC):
        raise ClusterError(
            "the consumer group's metadata have another form than librdkafka 2's",
            "install the versions of the lock file",
        )
    (generation,) = _GENERATION.unpack_from(metadata, len(_MAGIC))
    _, member, *_ = metadata[len(_MAGIC) + _GENERATION.size :].split(b"\0", 2)
    return generation, member
