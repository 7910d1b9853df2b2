"""Whether comments are being judged at the moment: what readiness rests on."""

from threading import Lock


class Readiness:
    """The troubles of this moment, by what they are about. None: ready.

    A trouble here is no reason to restart: a broker that is away comes back by itself.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._troubles = {"group": "the group has not let this worker in yet"}

    def trouble(self, about: str, what: str) -> None:
        """Note a trouble; it replaces an older one about the same thing."""
        with self._lock:
            self._troubles[about] = what

    def clear(self, about: str) -> None:
        """Note that a thing is well."""
        with self._lock:
            self._troubles.pop(about, None)

    def troubles(self) -> list[str]:
        """Return what is wrong, in words."""
        with self._lock:
            return list(self._troubles.values())
