"""What one writes in an afternoon: a message at a time, a pipeline, a commit for each batch."""

import json

from confluent_kafka import Consumer, KafkaException, Producer

from benchmarks.peers.engines.pipeline import load
from benchmarks.peers.stream.place import Place, verdict

BATCH = 100  # messages between commits


def main(place: Place) -> None:
    """Judge until the process is ended."""
    score, labels = load(place.folder, batch=1), place.labels()
    servers = {"bootstrap.servers": place.servers}
    producer = Producer(servers)
    consumer = Consumer(
        {
            **servers,
            "group.id": place.name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([place.comments])
    since_commit = 0
    while True:
        message = consumer.poll(1.0)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            event = json.loads(message.value() or b"")
            found = verdict(event, score([event["text"]])[0], labels)
            producer.produce(place.verdicts, json.dumps(found), message.key())
            since_commit += 1
        if since_commit and (message is None or since_commit == BATCH):
            producer.flush()
            consumer.commit(asynchronous=False)
            since_commit = 0


if __name__ == "__main__":
    main(Place.of_command_line())
