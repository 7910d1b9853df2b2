"""Raw messages to comments: checked, decoded, cut to bounds, tokenised.

Whatever a record holds, it leaves this room as a comment, a refusal or an erasure, beside
its record. Text is hostile: bytes are bounded before they are parsed, characters before
they are cleaned.
"""

from collections.abc import Sequence
from time import monotonic

from schemas.comment import CommentEvent
from schemas.dead_letter import Reason, left_out
from schemas.wire import WireError, decode_comment, id_in_key
from worker.padding import without_padding
from worker.settings import LimitSettings
from worker.tokenise import Pieces, Tokeniser
from worker.window import (
    Comment,
    Entry,
    Erasure,
    Fetched,
    Headers,
    Prepared,
    Record,
    Refusal,
)


class Prepare:
    """The room between intake and device; called in intake's thread."""

    def __init__(self, limits: LimitSettings, tokenise: Tokeniser) -> None:
        self._limits = limits
        self._tokenise = tokenise

    def __call__(self, fetched: Fetched) -> Prepared:
        """Prepare a window: an entry for each record, and the pieces of all comments."""
        start = monotonic()
        return self.decoded(fetched, [self._decode(r) for r in fetched.records], start)

    def decoded(
        self,
        fetched: Fetched,
        decoded: Sequence[CommentEvent | Refusal | Erasure],
        start: float | None = None,
    ) -> Prepared:
        """Prepare a window that is decoded already: by us, or because it came over no topic.

        Args:
            fetched: the window.
            decoded: what each of its records holds, in order.
            start: when it was begun, monotonic; None: now.
        """
        start = monotonic() if start is None else start
        texts = [self._bounded(e.text) for e in decoded if isinstance(e, CommentEvent)]
        tokenised = iter(self._tokenised([text for text, _ in texts]))
        cut = iter([was_cut for _, was_cut in texts])
        entries: list[Entry] = []
        pieces: list[Sequence[int]] = []
        for entry in decoded:
            if not isinstance(entry, CommentEvent):
                entries.append(entry)
            elif (found := next(tokenised)) is None:
                next(cut)
                entries.append(_not_tokenised(entry))
            else:
                place = range(len(pieces), len(pieces) + len(found.ids))
                entries.append(Comment(entry, place, next(cut) or found.truncated))
                pieces.extend(found.ids)
        return Prepared(fetched, entries, pieces, monotonic() - start)

    def _decode(self, record: Record) -> CommentEvent | Refusal | Erasure:
        """Check a record's outside, then read what is in it."""
        key, value = record.key, record.value
        if not record.headers_readable:
            detail = "a header's name is no UTF-8; the headers are left out"
            return _refuse(Reason.HEADERS_UNREADABLE, detail, id_in_key(key))
        if found := self._too_heavy(record):
            reason, detail = found
            return _refuse(reason, detail, id_in_key(key))
        if value is None:
            return _erasure(record)
        try:
            event = decode_comment(value)
        except WireError as error:
            return _refuse(error.reason, error.detail, error.comment_id or id_in_key(key))
        if id_in_key(key) != event.id:  # its erasure would never meet its verdict
            reason = Reason.KEY_MISSING if key is None else Reason.KEY_NOT_THE_ID
            return _refuse(reason, "the key must be the comment's id, in UTF-8", event.id, event)
        return event

    def _too_heavy(self, record: Record) -> tuple[Reason, str] | None:
        """Say what about a record is too heavy to look into."""
        limits, headers = self._limits, record.headers
        if (found := len(record.key or b"")) > limits.key_bytes:
            return Reason.KEY_TOO_LARGE, _over(found, limits.key_bytes)
        if (found := len(record.value or b"")) > limits.value_bytes:
            return Reason.VALUE_TOO_LARGE, _over(found, limits.value_bytes)
        if (found := len(headers)) > limits.headers:
            return Reason.TOO_MANY_HEADERS, _over(found, limits.headers, "headers")
        if headers and (found := _weight(headers)) > limits.header_bytes:
            return Reason.HEADERS_TOO_LARGE, _over(found, limits.header_bytes)
        return None

    def _bounded(self, text: str) -> tuple[str, bool]:
        """Keep head and tail of a text that is too long, before anything is run over it."""
        most = self._limits.characters
        if len(text) > most:
            text = without_padding(text)
        if len(text) <= most:
            return text, False
        return f"{text[: most // 2]}\n{text[-(most // 2) :]}", True

    def _tokenised(self, texts: list[str]) -> list[Pieces | None]:
        """Tokenise a window's texts; None for one on which the tokeniser itself fails."""
        try:
            return list(self._tokenise(texts)) if texts else []
        except BaseException as error:  # a panic in Rust is no Exception
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            if len(texts) == 1:
                return [None]
        middle = len(texts) // 2
        return self._tokenised(texts[:middle]) + self._tokenised(texts[middle:])


def _erasure(record: Record) -> Refusal | Erasure:
    if not record.key:
        return _refuse(Reason.KEY_MISSING, "an erasure needs a key")
    if digest := left_out(record.headers):
        detail = f"no erasure, but a dead letter whose payload the broker had refused; {digest}"
        return _refuse(Reason.REFUSED_BY_BROKER, detail, id_in_key(record.key))
    return Erasure(record.key)


def _over(found: int, most: int, unit: str = "bytes") -> str:
    return f"{found:,} {unit}, at most {most:,} are allowed"


def _weight(headers: Headers) -> int:
    """Return the bytes of all header values."""
    return sum(len(value or b"") for _, value in headers)


def _refuse(
    reason: Reason, detail: str, comment_id: str | None = None, event: CommentEvent | None = None
) -> Refusal:
    community, revision = (event.community, event.revision) if event else (None, None)
    return Refusal(reason, detail, comment_id, community, revision)


def _not_tokenised(event: CommentEvent) -> Refusal:
    return _refuse(Reason.NOT_SCORABLE, "the tokeniser failed on it", event.id, event)
