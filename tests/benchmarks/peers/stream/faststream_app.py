"""FastStream around tidegate's own scorer, in batches, acknowledged after they are judged."""

import asyncio
import logging
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker, KafkaPublishMessage

from benchmarks.peers.engines.tidegate import load
from benchmarks.peers.stream.place import Place, verdict

WINDOW = 500  # messages, as in tidegate's windows


def main(place: Place) -> None:
    """Judge until the process is ended."""
    score, labels = load(place.folder), place.labels()
    # without its checks of types, which cost time and are not what is compared
    broker = KafkaBroker(place.servers, log_level=logging.WARNING, apply_types=False)

    def judge(events: list[dict[str, Any]]) -> list[Any]:
        scores = score([event["text"] for event in events])
        return [
            KafkaPublishMessage(verdict(event, row, labels), key=event["id"].encode())
            for event, row in zip(events, scores, strict=True)
        ]

    subscriber = broker.subscriber(
        place.comments,
        group_id=place.name,
        auto_offset_reset="earliest",
        batch=True,
        max_records=WINDOW,
        ack_policy=AckPolicy.ACK,
    )
    broker.publisher(place.verdicts, batch=True)(subscriber(judge))
    asyncio.run(FastStream(broker).run())


if __name__ == "__main__":
    main(Place.of_command_line())
