"""What the API does with a request, once it is let in: languages, scores, scales."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Literal
from uuid import uuid4

from schemas.bundle import BundleManifest, ScoreMap
from schemas.comment import CommentEvent
from schemas.contract import MOST_CHARACTERS_OF_AN_ID
from schemas.dead_letter import Reason
from schemas.errors import SettingsError
from schemas.verdict import Action
from worker.api.attributes import Attributes
from worker.api.decisions import feedback, labels_of, scores_of
from worker.api.desk import Desk
from worker.api.errors import invalid
from worker.api.figures import Figures
from worker.api.language import UNKNOWN, LanguageDetector, base_of
from worker.api.perspective import (
    MOST_ATTRIBUTES,
    SCORE_TYPES,
    AnalyzeRequest,
    SuggestRequest,
    analyzed,
    language_not_supported,
    suggested,
)
from worker.api.publisher import Publisher
from worker.api.rooms import Answer, Passing, Rooms
from worker.api.scoring import CommentToScore, Result, Status
from worker.api.sentences import Sentence, sentences
from worker.judge import DECIMALS
from worker.settings import ApiSettings
from worker.trace import Trace
from worker.window import Outgoing

OWN: Final = "bundle"  # the name of the scale that probabilities are on without a map
NAMELESS: Final = "-"  # the id of what is not kept

Treatment = Literal["judge", "hold", "refuse"]
NOT_JUDGED: Final[Mapping[Treatment, Status]] = {"hold": Status.HELD, "refuse": Status.REFUSED}


def refuse_scale(scale: str | None, manifest: BundleManifest) -> None:
    """Refuse to start with a scale that the bundle has no map to.

    Raises:
        SettingsError: see above.
    """
    if scale not in (None, OWN) and scale not in manifest.score_maps:
        raise SettingsError(
            f"TIDEGATE_API__SCALE is {scale}: bundle `{manifest.name}` has maps to "
            f"{', '.join(manifest.score_maps) or 'no other scale'}",
            "leave it out, or add a map: `tidegate evaluate --write`",
        )


@dataclass(frozen=True)
class Api:
    """The calls. Every one may raise ApiError.

    Attributes:
        settings: of the API.
        manifest: of the bundle.
        policy: the version of the policy that is applied.
        desk: judges.
        rooms: say what is said of a comment that is held.
        detect: the language detector.
        figures: counted here.
        publisher: None: nothing is published.
        feedback: the topic of decisions.
    """

    settings: ApiSettings
    manifest: BundleManifest
    policy: str
    desk: Desk
    rooms: Rooms
    detect: LanguageDetector
    figures: Figures
    publisher: Publisher | None = None
    feedback: str = "feedback"

    # -- Perspective's calls

    async def analyze(
        self, request: AnalyzeRequest, scale: str | None, trace: Trace
    ) -> tuple[dict[str, Any], bool]:
        """Score a comment for Perspective's attributes.

        Returns:
            The answer, and whether the comment was too long to be scored as a whole, for which
            the answer has no word.
        """
        self.map_to(scale)  # a scale that is not there is said before anything is scored
        in_place = request.text(self.settings.text_bytes)
        text = request.read(in_place)
        labels = self._labels(request)
        detected = self.detect(text)
        languages = request.languages or [detected]
        community = request.community_id or None
        treatment = self._treatment(languages, community)
        whole = self._comment(
            text,
            request.client_token,
            community,
            keep=not request.do_not_store,
            named="clientToken",
        )
        end = self._deadline()
        if treatment != "judge":
            self.figures.other_languages.labels(NOT_JUDGED[treatment]).inc()
            if treatment == "hold":  # the client hears of an error, a person of the comment
                held = self.rooms.held(whole, Reason.LANGUAGE_NOT_SUPPORTED)
                await self._publish(held, trace, end)
            attribute = next(iter(labels or request.requested_attributes))
            refused = language_not_supported(attribute, languages)
            refused.is_counted = treatment == "hold"
            raise refused
        parts = self._parts(request, in_place)
        others = dict.fromkeys(part.text for part in parts if part.text != text)
        asked = [whole, *(Passing(id=NAMELESS, text=t, community=community) for t in others)]
        answers = await self._judged(asked)
        await self._publish(answers[0].messages, trace, end)
        by_text = {c.text: self._scored(a, scale) for c, a in zip(asked, answers, strict=True)}
        spans = [(part.begin, part.end, by_text[part.text]) for part in parts]
        answer = analyzed(request, labels, by_text[text], spans, detected)
        return answer, answers[0].truncated

    def _parts(self, request: AnalyzeRequest, in_place: str) -> list[Sentence]:
        """Return the parts that are scored by themselves, no more than there is time for."""
        text = request.read(in_place)
        if not request.span_annotations:
            return [Sentence(text, 0, len(in_place.encode("utf-16-le", "replace")) // 2)]
        most = self.settings.sentences
        while True:
            found = [s._replace(text=request.read(s.text)) for s in sentences(in_place, most)]
            parts = [sentence for sentence in found if sentence.text.strip()]
            if most == 1:  # the comment itself, whatever blanks it has: it is judged once
                return [part._replace(text=text) for part in parts]
            if self.desk.has_time_for([text, *(part.text for part in parts)]):
                return parts
            most //= 2

    async def suggest(self, request: SuggestRequest, trace: Trace) -> dict[str, Any]:
        """Take what a moderator decided."""
        text = request.read(request.text(self.settings.text_bytes))
        scores = scores_of(request)
        labels = labels_of(scores, Attributes(self.manifest.labels))
        comment = self._comment(
            text, request.client_token, None, keep=not request.do_not_store, named="clientToken"
        )
        if not isinstance(comment, Passing):
            record = feedback(request, comment, scores, labels, self.feedback)
            await self._publish([record], trace, self._deadline())
        return suggested(request, self.detect(text))

    def _labels(self, request: AnalyzeRequest) -> dict[str, str]:
        """Return the label behind each attribute that was asked for."""
        if not request.requested_attributes:
            raise invalid("Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES")
        if (asked := len(request.requested_attributes)) > MOST_ATTRIBUTES:
            raise invalid(f"{asked:,} requested attributes, at most {MOST_ATTRIBUTES} are allowed")
        attributes = Attributes(self.manifest.labels)
        leave_out = (
            request.drop_unsupported_attributes or self.settings.unknown_attributes == "leave_out"
        )
        labels, unknown = {}, []
        for name, parameters in request.requested_attributes.items():
            label = attributes.label(name)
            if label is not None:
                labels[name] = label
            elif not leave_out:
                unknown.append(name)
            if parameters and parameters.score_type not in SCORE_TYPES:
                raise invalid(
                    f"Requested score type {str(parameters.score_type)[:60]} is not supported "
                    f"by attribute {name[:60]}"
                )
        if unknown:
            raise _unknown(unknown, attributes)
        return labels

    # -- our own

    async def score(
        self,
        comments: Sequence[CommentToScore],
        scale: str | None,
        trace: Trace,
        deadline_s: float | None = None,
    ) -> list[Result]:
        """Judge comments by the policy of their communities.

        Args:
            comments: of one request.
            scale: of their scores.
            trace: headers of the request that go with all that is published of it.
            deadline_s: another one than that of the settings.
        """
        self.map_to(scale)  # a scale that is not there is said before anything is scored
        languages = [c.language or self.detect(c.text) for c in comments]
        treatments = [
            self._treatment([language], comment.community)
            for language, comment in zip(languages, comments, strict=True)
        ]
        events = [
            self._comment(c.text, c.id, c.community, keep=not c.do_not_store) for c in comments
        ]
        end = self._deadline(deadline_s)
        to_judge = [
            e for e, treatment in zip(events, treatments, strict=True) if treatment == "judge"
        ]
        answers = iter(await self._judged(to_judge, deadline_s))
        results: list[Result] = []
        messages: list[Outgoing] = []
        for comment, event, language, treatment in zip(
            comments, events, languages, treatments, strict=True
        ):
            if treatment == "judge":
                answer = next(answers)
                messages += answer.messages
                results.append(self._result(comment, language, answer, scale))
                continue
            if treatment == "hold":
                messages += self.rooms.held(event, Reason.LANGUAGE_NOT_SUPPORTED)
            results.append(self._not_judged(comment, language, treatment))
        await self._publish(messages, trace, end)
        return results

    def _result(
        self, comment: CommentToScore, language: str, answer: Answer, scale: str | None
    ) -> Result:
        return Result(
            id=comment.id,
            status=Status.HELD if answer.reason else Status.SCORED,
            reason=answer.reason,
            scores=self._on_scale(answer, scale),
            labels=list(answer.labels),
            borderline=list(answer.borderline),
            action=Action(answer.action),
            truncated=answer.truncated,
            pieces=answer.pieces,
            language=language,
        )

    def _not_judged(self, comment: CommentToScore, language: str, treatment: Treatment) -> Result:
        """A comment that nobody judged is for a person: tidegate fails closed."""
        status = NOT_JUDGED[treatment]
        self.figures.other_languages.labels(status).inc()
        return Result(
            id=comment.id,
            status=status,
            reason=Reason.LANGUAGE_NOT_SUPPORTED,
            scores={},
            labels=[],
            borderline=[],
            action=Action.REVIEW,
            truncated=False,
            pieces=0,
            language=language,
        )

    # -- what both have in common

    def _comment(
        self, text: str, name: str | None, community: str | None, *, keep: bool, named: str = "id"
    ) -> CommentEvent:
        """Return a comment to judge: under its name if something of it is to be published.

        Args:
            text: of the comment.
            name: the platform's; one is made up for what came without.
            community: whose policy holds.
            keep: its author's site lets us.
            named: the field that the name came in.

        Raises:
            ApiError: 400, the name is too long for a key; 503, the cluster is away.
        """
        if not keep or self.publisher is None:
            return Passing(id=NAMELESS, text=text, community=community)
        self.publisher.admit()
        if name and len(name) > MOST_CHARACTERS_OF_AN_ID:
            raise invalid(f"{named} is longer than {MOST_CHARACTERS_OF_AN_ID} characters")
        return CommentEvent(id=name or f"api-{uuid4()}", text=text, community=community)

    def _deadline(self, within_s: float | None = None) -> float:
        return monotonic() + (within_s or self.settings.deadline_s)

    async def _publish(self, messages: Sequence[Outgoing], trace: Trace, deadline: float) -> None:
        """Publish what was made of a request: it is answered when that is committed."""
        if messages and self.publisher is not None:
            traced = [m._replace(headers=[*m.headers, *trace]) for m in messages]
            await self.publisher.publish(traced, max(0.0, deadline - monotonic()))

    async def _judged(
        self, comments: Sequence[CommentEvent], deadline_s: float | None = None
    ) -> list[Answer]:
        answers = await self.desk.judge(comments, deadline_s) if comments else []
        for answer in answers:
            self.figures.comments.labels(answer.action).inc()
            if answer.truncated:
                self.figures.truncated.inc()
        return answers

    def _treatment(self, languages: Sequence[str], community: str | None) -> Treatment:
        """Say what the operator wants done with a comment in these languages."""
        known = {UNKNOWN, *self.settings.languages}
        if all((base_of(language) or UNKNOWN) in known for language in languages):
            return "judge"
        settings = self.settings
        return settings.other_languages_in.get(community or "", settings.other_languages)

    def _scored(self, answer: Answer, scale: str | None) -> dict[str, float]:
        """Return an answer's scores, or refuse: Perspective has no word for `held`."""
        if answer.reason:
            raise invalid(f"The comment cannot be scored: {answer.reason}")
        return self._on_scale(answer, scale)

    def _on_scale(self, answer: Answer, scale: str | None) -> dict[str, float]:
        maps = self.map_to(scale)
        return {
            label: round(maps[label](score), DECIMALS) if label in maps else score
            for label, score in zip(self.manifest.labels, answer.scores, strict=False)
        }

    def scale(self, asked_for: str | None) -> str | None:
        """Return the scale of an answer: the request's, the setting's, or None: our own."""
        scale = asked_for or self.settings.scale
        return None if scale == OWN else scale

    def map_to(self, asked_for: str | None) -> Mapping[str, ScoreMap]:
        """Return the maps to a scale; a label without one stays as it is."""
        scale = self.scale(asked_for)
        if scale is None:
            return {}
        if scale not in self.manifest.score_maps:
            known = ", ".join([OWN, *self.manifest.score_maps])
            raise invalid(f"Unknown scale; known are: {known}")
        return self.manifest.score_maps[scale]


def _unknown(names: Sequence[str], attributes: Attributes) -> Exception:
    shown = ", ".join(name[:60] for name in names[:10])
    return invalid(
        f"Unknown requested attribute: {shown}; known are: {', '.join(attributes.names)}"
    )
