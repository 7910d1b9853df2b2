"""Scoring without Kafka: the worker's rooms from prepare to judge, over lines of text."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from schemas.errors import CommentsFileError
from schemas.verdict import Verdict
from schemas.wire import encode
from worker.bundle import open_bundle
from worker.judge import Judge
from worker.policies import load_policies
from worker.prepare import Prepare
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring.load import load_scorer
from worker.settings import Settings
from worker.window import Claim, Fetched, Outcome, Partition, Record, Refusal

WINDOW: Final = 500  # lines scored at once: enough to pad little

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
        bundle = open_bundle(settings.bundle, allow_unsigned=settings.allow_unsigned)
        tokenise = tokeniser(bundle, settings)
        policies = load_policies(settings.policy, bundle.manifest)
        self._prepare = Prepare(settings.limits, tokenise)
        self._score = load_scorer(bundle, settings.scoring, tokenise, Pulse())
        self._judge = Judge(bundle.manifest, policies, settings.topics)

    def verdicts(self, lines: Iterable[Line], *, events: bool) -> Iterator[Verdict]:
        """Judge lines in order, a window at a time.

        Args:
            lines: texts, or CommentEvents as JSON.
            events: which of the two.

        Raises:
            CommentsFileError: a line cannot be judged; those before it were yielded.
        """
        rest = iter(lines)
        while window := list(islice(rest, WINDOW)):
            records = [_record(line, events=events) for line in window]
            fetched = Fetched(Claim({}), records)
            for outcome in self._judge(self._score(self._prepare(fetched))).outcomes:
                yield _verdict_of(outcome)


def _record(line: Line, *, events: bool) -> Record:
    """Wrap a line as the record that would have brought it."""
    key = str(line.number).encode()
    value = line.text if events else encode({"id": str(line.number), "text": _text(line)})
    return Record(Partition("stdin", 0), line.number, None, 0, key, value, ())


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
