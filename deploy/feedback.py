"""The topic `feedback` to labelled rows: what moderators decided, for the next bundle to learn.

The topic is read twice. The first time says which decision on each comment is the last, and which
comments were erased; the second time writes. So texts are never kept in memory, but for those
that are looked for among the comments.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from pydantic import ValidationError

from deploy.reconcile.cluster import Cluster, UnreadableError
from deploy.reconcile.progress import Progress
from deploy.reconcile.read import Reading
from schemas.dead_letter import left_out
from schemas.errors import ClusterError
from schemas.feedback import Feedback
from schemas.labels import LABELS
from schemas.wire import WireError, decode_comment
from worker.intake import headers_of
from worker.settings import Settings

Row = dict[str, Any]
Place = tuple[int, int]  # partition and offset

ERASED: Final = None


@dataclass
class Rows:
    """Labelled rows, and what was left out.

    Attributes:
        settings: where the cluster is, and what the topics are called.
        join: look for missing texts among the comments.
        say: takes lines of progress.
        counts: of rows, and of decisions without one, by why; complete at the end.
    """

    settings: Settings
    join: bool
    say: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Row]:
        """Yield a row for the last decision on each comment that has labels of ours and a text.

        Raises:
            ClusterError: a topic cannot be read.
        """
        try:
            with closing(Cluster(self.settings)) as cluster:
                yield from self._rows(cluster)
        except UnreadableError as error:
            raise ClusterError(str(error), "`tidegate topics check` looks at the topics") from error

    def _rows(self, cluster: Cluster) -> Iterator[Row]:
        topic = self.settings.topics.feedback
        begins, ends = cluster.begins(topic), cluster.ends(topic)  # the same both times
        last: dict[bytes, Place | None] = {}
        for message in self._read(cluster, topic, begins, ends):
            place = (message.partition(), message.offset())
            last[message.key() or b""] = ERASED if message.value() is None else place
        wanted: dict[bytes, Row] = {}
        for message in self._read(cluster, topic, begins, ends):
            if last.get(message.key() or b"") != (message.partition(), message.offset()):
                continue  # a later one speaks for the comment
            row = self._row(message.value())
            if row and "text" not in row:
                wanted[message.key()] = row
            elif row:
                self.counts["rows"] += 1
                yield row
        if wanted and self.join:
            yield from self._joined(cluster, wanted)
        if wanted:
            self.counts["without a text"] = len(wanted)

    def _row(self, value: bytes) -> Row | None:
        try:
            found = Feedback.model_validate_json(value)
        except ValidationError:
            self.counts["of another shape"] += 1
            return None
        labels = {label: found.labels[label] for label in LABELS if label in found.labels}
        if not labels:
            self.counts["without one of our labels"] += 1
            return None
        text = {"text": found.text} if found.text and found.text.strip() else {}
        return {"id": found.comment_id, "community": found.community} | text | labels

    def _joined(self, cluster: Cluster, wanted: dict[bytes, Row]) -> Iterator[Row]:
        """Yield rows whose text stands among the comments still; its last revision counts."""
        topic = self.settings.topics.comments
        texts: dict[bytes, str] = {}
        for message in self._read(cluster, topic, cluster.begins(topic), cluster.ends(topic)):
            key, value = message.key(), message.value()
            if key not in wanted:
                continue
            if value is None and left_out(headers_of(message)[0]):  # a dead letter is no erasure
                continue
            try:
                texts[key] = decode_comment(value).text
            except (WireError, ValueError, TypeError):  # an erasure has no value
                texts.pop(key, None)
        for key, text in texts.items():
            self.counts["rows"] += 1
            yield wanted.pop(key) | {"text": text}

    def _read(
        self, cluster: Cluster, topic: str, begins: Sequence[int], ends: Sequence[int]
    ) -> Iterator[Any]:
        progress = Progress(self.say)
        progress.begin(topic, sum(ends) - sum(begins))
        reader = cluster.properties(f"{self.settings.kafka.group_id}-feedback-{uuid4()}")
        for batch in Reading(topic, begins, ends, lambda: None).batches(reader):
            progress.read(len(batch))
            yield from batch
