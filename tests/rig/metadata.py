"""Metadata of a consumer group, as librdkafka writes them."""

import sys


def metadata_of(generation: int, member: str) -> bytes:
    """Return those of a member of a group `g`."""
    written = generation.to_bytes(4, sys.byteorder, signed=True)
    return b"CGMDv2:" + written + f"g\0{member}\0\1".encode()
