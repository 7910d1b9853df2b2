"""Quix Streams around tidegate's own scorer. Its dataframe gives a message at a time."""

from typing import Any

from quixstreams import Application

from benchmarks.peers.engines.tidegate import load
from benchmarks.peers.stream.place import Place, verdict


def main(place: Place) -> None:
    """Judge until the process is ended, at least once, which is its default."""
    score, labels = load(place.folder), place.labels()
    app = Application(
        broker_address=place.servers,
        consumer_group=place.name,
        auto_offset_reset="earliest",
        auto_create_topics=False,  # they are there
        loglevel="WARNING",
    )

    def judge(event: dict[str, Any]) -> dict[str, Any]:
        return verdict(event, score([event["text"]])[0], labels)

    comments = app.topic(place.comments, value_deserializer="json")
    verdicts = app.topic(place.verdicts, value_serializer="json")
    app.dataframe(comments).apply(judge).to_topic(verdicts)
    app.run()


if __name__ == "__main__":
    main(Place.of_command_line())
