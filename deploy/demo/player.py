"""Plays comments to Kafka: a bounded number of them is unanswered at any time."""

from collections.abc import Sequence
from itertools import cycle
from time import monotonic
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from deploy.demo.comments_file import Playable
from deploy.demo.tally import Tally
from schemas.errors import ClusterError

# Unanswered comments a worker: enough for the three windows that it works on at once. More
# would only wait, and the latency would be that of a queue.
UNANSWERED: Final = 128


class Player:
    """Plays `comments` over and over, each time under a new id, until `total` were sent.

    Args:
        bootstrap_servers: where Kafka is.
        topic: where comments go.
        comments: at least one.
        total: how many to send.
        unanswered: how many may be without an answer at a time.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        comments: Sequence[Playable],
        total: int,
        unanswered: int,
    ) -> None:
        self._topic = topic
        self._unanswered = unanswered
        self._comments = zip(range(1, total + 1), cycle(comments))
        self._refused: KafkaError | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "log_level": 0,  # the broker stops before us
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # as Java's, so that revisions meet
                "linger.ms": 1,
            }
        )

    def play(self, tally: Tally) -> None:
        """Send as many comments as may go out now.

        Args:
            tally: knows how many have no answer, and is told of each that goes out.

        Raises:
            ClusterError: the broker refused one.
        """
        while tally.unanswered < self._unanswered and (following := next(self._comments, None)):
            number, comment = following
            comment_id = f"{number:06}-{comment.name}"
            tally.sent(comment_id, comment.text, monotonic())
            self._send(comment_id, comment.value(comment_id))
        self._producer.poll(0)
        if self._refused:
            raise ClusterError(f"the broker refused a comment: {self._refused.str()}")

    def _send(self, comment_id: str, value: bytes) -> None:
        try:
            self._producer.produce(self._topic, value, comment_id, on_delivery=self._delivered)
        except KafkaException as error:
            raise ClusterError(
                f"comment {comment_id} of {len(value):,} bytes cannot be sent: "
                f"{error.args[0].str()}",
                "leave it out of the file",
            ) from error

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._refused = self._refused or error
