"""Where a stream application reads and writes, as its command line has it, and what it writes."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.peers.engines.engine import labels_of


@dataclass(frozen=True, slots=True)
class Place:
    """Topics and a group of one turn, and the model.

    Attributes:
        servers: the broker.
        name: of the group; the topics begin with it.
        folder: the model.
    """

    servers: str
    name: str
    folder: Path

    @classmethod
    def of_command_line(cls) -> Self:
        """Read it from the command line: SERVERS NAME FOLDER."""
        servers, name, folder = sys.argv[1:]
        return cls(servers, name, Path(folder))

    @property
    def comments(self) -> str:
        """The topic to read."""
        return f"{self.name}.comments"

    @property
    def verdicts(self) -> str:
        """The topic to write."""
        return f"{self.name}.verdicts"

    def labels(self) -> list[str]:
        """Return the labels of the model."""
        return labels_of(self.folder)


def verdict(
    event: Mapping[str, Any], scores: Sequence[float], labels: Sequence[str]
) -> dict[str, Any]:
    """Return what an application says of a comment: less than tidegate's verdict."""
    return {
        "comment_id": event["id"],
        "community": event["community"],
        "scores": dict(zip(labels, scores, strict=True)),
    }
