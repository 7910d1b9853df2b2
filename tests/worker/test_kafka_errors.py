"""Kafka's failures in three words: every crossing of what an error can be."""

from itertools import product

import pytest
from confluent_kafka import KafkaError

from worker.kafka_errors import (
    CULPRIT,
    FAILED_BEFORE,
    FENCED,
    HOPELESS,
    PURGED,
    STALE_MEMBER,
    Answer,
    answer_to,
)

ORDINARY = KafkaError._TIMED_OUT  # noqa: SLF001 - a public constant


def expected(*, fatal: bool, abort: bool, retry: bool, stale: bool) -> Answer:
    """Say by the table what is right."""
    if fatal:
        return Answer.EXIT
    if abort or stale:
        return Answer.PUBLISH_AGAIN
    return Answer.CALL_AGAIN if retry else Answer.EXIT


@pytest.mark.parametrize(
    ("fatal", "abort", "retry", "stale"), list(product([False, True], repeat=4))
)
def test_fatal_before_abort_before_retry_before_exit(
    *, fatal: bool, abort: bool, retry: bool, stale: bool
) -> None:
    """The stronger demand wins; a stale generation is an abort whatever the client calls it."""
    code = KafkaError.ILLEGAL_GENERATION if stale else ORDINARY
    error = KafkaError(code, "", fatal, retry, abort)

    assert expected(fatal=fatal, abort=abort, retry=retry, stale=stale) is answer_to(error)


@pytest.mark.parametrize("code", sorted(STALE_MEMBER))
def test_every_stale_generation_is_ordinary(code: int) -> None:
    """A rolling deploy makes these, and must not restart workers."""
    assert Answer.PUBLISH_AGAIN is answer_to(KafkaError(code))


@pytest.mark.parametrize("code", sorted(HOPELESS))
def test_what_no_repetition_mends_is_the_end_whatever_the_client_calls_it(code: int) -> None:
    """A window would be aborted again for ever, and nobody be told."""
    assert Answer.EXIT is answer_to(KafkaError(code, "", False, True, True))


def test_no_code_is_in_two_families() -> None:
    """A culprit is not fenced, a purged message is no culprit."""
    families = (FAILED_BEFORE, FENCED, STALE_MEMBER, PURGED, CULPRIT, HOPELESS)

    assert sum(map(len, families)) == len(frozenset().union(*families))
