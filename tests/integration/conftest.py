"""A stream for each test, on one broker that forgets dead workers fast."""

from rig.streams import broker, make_stream

__all__ = ["broker", "make_stream"]  # fixtures
