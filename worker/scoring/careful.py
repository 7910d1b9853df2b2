"""Comments that may end the process: scored alone, on the CPU, and in the end not at all.

Within one process the culprit cannot be looked for: an engine that crashes takes the process
along, and after an error of the device nothing can be trusted (a window halved until the culprit
stands alone would condemn the innocent first). So the search goes over processes, by what
`crash_record` keeps: a window over which two ended is scored comment by comment; a comment over
which two more ended, alone, is held, and its partition goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import numpy as np
import structlog

from schemas.dead_letter import Reason
from schemas.errors import TidegateError
from worker.scoring.crash_record import CrashRecord
from worker.window import Comment, Entry, Prepared, Probabilities, Record, Refusal, Scored

log = structlog.get_logger()

Score = Callable[[Prepared], Scored]

DETAIL = "whenever it was scored the process ended"


@contextmanager
def careful(file: Path | None, usual: Score, load_alone: Callable[[], Score]) -> Iterator[Score]:
    """Give what scores windows with care, or `usual` where there is no file.

    Args:
        file: of the crash record.
        usual: scores a window.
        load_alone: loads what scores comments that are suspected, where there are such.

    Raises:
        SettingsError: the file cannot be read and written.
    """
    if file is None:
        yield usual
        return
    with CrashRecord(file) as record:
        alone = usual
        if record.has_suspects:
            try:
                alone = load_alone()
            except TidegateError as error:  # what is suspected may long be another worker's
                log.warning("comments are scored alone on the same device", why=error.what)
        yield Careful(usual, alone, record)


class Careful:
    """Scores a window, as ever or with care.

    Args:
        usual: scores a window.
        alone: scores a window of one comment that is suspected.
        record: says which are, and hears of what is on the device.
    """

    def __init__(self, usual: Score, alone: Score, record: CrashRecord) -> None:
        self._usual = usual
        self._alone = alone
        self._record = record

    def __call__(self, window: Prepared) -> Scored:
        """Score a window; comments that end processes become refusals, and have no scores."""
        start = monotonic()
        if any(map(self._record.condemned, window.fetched.records)):
            window = window.of(self._held(*row) for row in window.rows)
        rows = list(window.rows)
        alone = [place for place, row in enumerate(rows) if self._is_suspected(*row)]
        if not alone:
            return self._together(window)

        log.warning("comments are scored alone", number=len(alone))
        found = [self._by_itself(window.of([rows[place]])) for place in alone]
        self._record.passed([rows[place][0] for place in alone])
        others = sorted(set(range(len(rows))) - set(alone))
        found.append(self._together(window.of(rows[place] for place in others)).scores)
        beside = [place for place in others if isinstance(rows[place][1], Comment)]
        scores = np.concatenate(found)[np.argsort([*alone, *beside])]
        return Scored(window, scores, monotonic() - start)

    def _is_suspected(self, record: Record, entry: Entry) -> bool:
        return isinstance(entry, Comment) and self._record.suspected(record)

    def _together(self, window: Prepared) -> Scored:
        comments = [record for record, entry in window.rows if isinstance(entry, Comment)]
        with self._record.on_device(comments):
            scored = self._usual(window)
        self._record.passed(comments)
        return scored

    def _by_itself(self, window: Prepared) -> Probabilities:
        with self._record.on_device(window.fetched.records):
            return self._alone(window).scores

    def _held(self, record: Record, entry: Entry) -> tuple[Record, Entry]:
        if not isinstance(entry, Comment) or not self._record.condemned(record):
            return record, entry
        topic, partition = record.partition
        log.error(
            "comment held: it ends processes",
            topic=topic,
            partition=partition,
            offset=record.offset,
        )
        event = entry.event
        return record, Refusal(
            Reason.NOT_SCORABLE, DETAIL, event.id, event.community, event.revision
        )
