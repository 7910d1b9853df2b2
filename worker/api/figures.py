"""Every figure that the API gives, in one list."""

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS: Final = (0.005, 0.01, 0.015, 0.025, 0.04, 0.065, 0.1, 0.25, 0.5, 1, 2.5)


class Figures:
    """What Prometheus reads. Names of calls and codes come from closed sets."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry, namespace="tidegate")
        # Answers, by call and HTTP code. 429: more is asked for than the machine can judge.
        self.answers = counter("api_answers", "Requests answered.", ["call", "code"])
        # From the last byte of a request to the answer: what a platform's users wait for.
        self.seconds = Histogram(
            "tidegate_api_seconds", "Seconds.", ["call"], registry=self.registry, buckets=SECONDS
        )
        # Comments judged, by action. More `remove` than usual: a raid, or a bad policy.
        self.comments = counter("api_comments", "Comments judged.", ["action"])
        # Very long comments of which a part was not judged: a way to hide an insult.
        self.truncated = counter("api_truncated", "Comments judged in part.")
        # Comments in a language that the operator holds or refuses.
        self.other_languages = counter("api_other_languages", "Held or refused.", ["what"])
        # How long a request that came now would wait. Near half the deadline: add machines.
        self.waits = Gauge("tidegate_api_waits_seconds", "Queue.", registry=self.registry)

        # Messages committed to the stream, if the API is joined to one.
        self.published = counter("api_published", "Verdicts, flags and feedback committed.")
        # Seconds of a transaction: what the join adds to a request, and half as much on top.
        self.publish_seconds = Histogram(
            "tidegate_api_publish_seconds", "Seconds.", registry=self.registry, buckets=SECONDS
        )

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)
