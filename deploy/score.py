"""Scoring without Kafka: the worker's rooms from prepare to judge, over lines of text."""

import sys
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from schemas.errors import CommentsFileError
from schemas.verdict import Verdict
from schemas.wire import WireError, decode_comment, encode
from worker.bundle import open_bundle
from worker.judge import Judge
from worker.policies import load_policies
from worker.prepare import Prepare
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring.load import load_scorer
from worker.settings import Settings
from worker.window import Claim, Fetched, Outcome, Partition, Record, Refusal

_verdict: Final = TypeAdapter(Verdict)


class Line(NamedTuple):
    """A line of input, from 1, as bytes."""

    number: int
    text: bytes


class Rooms:
    """Prepare, score and judge, opened as a worker opens them.

    Raises:
        TidegateError: as `worker.run`.
    """

    def __init__(self, settings: Settings) -> None:
        bundle = open_bundle(
            settings.bundle, allow_unsigned=settings.allow_unsigned, key=settings.bundle_key
        )
        tokenise = tokeniser(bundle, settings)
        policies = load_policies(settings.policy, bundle.manifest)
        # What comes by hand is no publisher's bug: of a long text head and tail are judged.
        limits = settings.limits.model_copy(update={"value_bytes": sys.maxsize})
        self._prepare = Prepare(limits, tokenise)
        self._score = load_scorer(bundle, settings.scoring, tokenise, Pulse())
        self._judge = Judge(bundle.manifest, policies, settings.topics)

    def verdicts(self, window: Sequence[Line], *, events: bool) -> Iterator[Verdict]:
        """Judge lines in order, all at once.

        Args:
            window: texts, or CommentEvents as JSON.
            events: which of the two.

        Raises:
            CommentsFileError: a line cannot be judged; those before it were yielded.
        """
        records, failure = [], None
        for line in window:
            try:
                records.append(_record(line, events=events))
            except CommentsFileError as error:
                failure = error
                break
        for outcome in self._judge(
            self._score(self._prepare(Fetched(Claim({}), records)))
        ).outcomes:
            yield _verdict_of(outcome)
        if failure:
            raise failure


def _record(line: Line, *, events: bool) -> Record:
    """Wrap a line as the record that would have brought it."""
    if events:
        value, key = line.text, _id_in(line.text)
    else:
        value = encode({"id": str(line.number), "text": _text(line)})
        key = str(line.number).encode()
    return Record(Partition("stdin", 0), line.number, None, 0, key, value, ())


def _id_in(value: bytes) -> bytes | None:
    """Return the key that a publisher would give an event: its id, where it can be read."""
    try:
        return decode_comment(value).id.encode()
    except WireError:
        return b"unknown"  # what is wrong is said when it is prepared


def _text(line: Line) -> str:
    try:
        return line.text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommentsFileError(
            f"line {line.number}, byte {error.start + 1}: no UTF-8", "convert it: iconv -t UTF-8"
        ) from None


def _verdict_of(outcome: Outcome) -> Verdict:
    if isinstance(outcome.entry, Refusal):
        raise CommentsFileError(
            f"line {outcome.record.offset}: {outcome.entry.reason}: {outcome.entry.detail}",
            'with --jsonl each line is a CommentEvent: {"id": "1", "text": "…"}',
        )
    return _verdict.validate_json(outcome.messages[0].value or b"")
