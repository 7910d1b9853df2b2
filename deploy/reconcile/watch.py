"""The group's committed offsets, looked at again and again while the topics are read."""

from time import monotonic
from typing import Final

from deploy.reconcile.cluster import Cluster, UnreadableError
from deploy.reconcile.findings import Findings, Promise
from deploy.reconcile.place import place

EVERY_S: Final = 1.0


class Watch:
    """Looks at the committed offsets, and remembers where they went back.

    Args:
        cluster: is asked.
        topic: of the comments.

    Raises:
        UnreadableError: the group cannot be looked at.
    """

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self.first = cluster.committed(topic)
        self._last = self.first
        self._started = self._looked_at = monotonic()
        self._back: list[int] = []
        self.looks = 1

    @property
    def seconds(self) -> float:
        """From the first look to the last."""
        return self._looked_at - self._started

    def glance(self) -> None:
        """Look if the last look is some time ago; one that fails is none."""
        if monotonic() - self._looked_at > EVERY_S:
            try:
                self.look()
            except UnreadableError:
                self._looked_at = monotonic()

    def look(self) -> list[int | None]:
        """Look now.

        Raises:
            UnreadableError: the group cannot be looked at.
        """
        found = self._cluster.committed(self._topic)
        self.looks += 1
        self._looked_at = monotonic()
        for number, (before, now) in enumerate(zip(self._last, found, strict=False)):
            if before is not None and (now is None or now < before):
                self._back.append(place(number, before))
        self._last = found
        return found

    def tell(self, findings: Findings) -> None:
        """Say where the offsets went back."""
        what = "committed offsets that went back from here"
        findings.refute(Promise.OFFSETS, what, self._topic, sorted(set(self._back)))
