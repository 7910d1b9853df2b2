"""Perspective's requests and answers (Comment Analyzer API, v1alpha1)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import AliasChoices, AliasGenerator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.contract import MOST_CHARACTERS_OF_A_NAME, ForeignContract
from worker.api.errors import ApiError, invalid
from worker.api.html_text import covered, shown

PROBABILITY: Final = "PROBABILITY"
# Left out or unspecified it is the probability; other types have no model here, nor had they
# lately there.
SCORE_TYPES: Final = (None, PROBABILITY, "SCORE_TYPE_UNSPECIFIED")
HTML: Final = "HTML"
TEXT_TYPES: Final = (None, "PLAIN_TEXT", HTML, "TEXT_TYPE_UNSPECIFIED")
MOST_ATTRIBUTES: Final = 100  # in a request: each may have a score for each sentence


def _either(name: str) -> AliasChoices:
    return AliasChoices(to_camel(name), name)


class Message(ForeignContract):
    """A message of the API: fields in camelCase or snake_case, as JSON of protobuf allows."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=_either, serialization_alias=to_camel)
    )


class TextEntry(Message):
    """A text, and what kind of text it is."""

    text: str | None = Field(default=None, description="The comment as its author wrote it.")
    type: str | None = Field(default=None, description="PLAIN_TEXT, or HTML.")


class ArticleAndParentComment(Message):
    """What a comment answers to."""

    article: TextEntry | None = None
    parent_comment: TextEntry | None = None


class Context(Message):
    """What a comment refers to. Accepted, and used by no model, there as here."""

    entries: list[TextEntry] | None = None
    article_and_parent_comment: ArticleAndParentComment | None = None


class AttributeParameters(Message):
    """How an attribute is to be scored."""

    score_type: str | None = Field(default=None, description="PROBABILITY.")
    score_threshold: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Below it the attribute is left out of the answer.",
    )


class Score(Message):
    """A score."""

    value: float | None = None
    type: str | None = None


class SpanScore(Message):
    """A score of a part of the text, in UTF-16 code units."""

    begin: int | None = None
    end: int | None = None
    score: Score | None = None


class AttributeScores(Message):
    """The scores of an attribute."""

    summary_score: Score | None = None
    span_scores: list[SpanScore] | None = None


class CommentRequest(Message):
    """What both calls have in common."""

    comment: TextEntry = TextEntry()
    context: Context | None = None
    languages: list[str] | None = Field(default=None, description="ISO 639-1 or BCP 47.")
    do_not_store: bool | None = Field(default=None, description="Keep nothing of it.")
    client_token: str | None = Field(default=None, description="Echoed; joins calls.")
    session_id: str | None = None
    community_id: str | None = Field(
        default=None, max_length=MOST_CHARACTERS_OF_A_NAME, description="Whose policy holds."
    )

    def text(self, most_bytes: int) -> str:
        """Return the comment's text, every letter in its place; of HTML the markup is covered.

        Raises:
            ApiError: it is empty, too long, of an unknown type, or has two contexts.
        """
        if self.comment.type not in TEXT_TYPES:
            raise invalid("Unknown text type")
        sent = self.comment.text or ""
        if (found := len(sent.encode(errors="replace"))) > most_bytes:
            message = "Comment text was too many bytes. "
            message += f"Value ({found}) exceeded limit ({most_bytes})."
            raise invalid(message, "COMMENT_TOO_LONG")
        text = covered(sent) if self.comment.type == HTML else sent
        if not self.read(text).strip():
            raise invalid("Comment must be non-empty.", "COMMENT_EMPTY")
        context = self.context
        if context and context.entries and context.article_and_parent_comment:
            raise invalid(
                "Context can have either entries or article_and_parent_comment, "
                "but both fields were populated."
            )
        return text

    def read(self, text: str) -> str:
        """Return the comment's text, or a part of it, as it is to be judged."""
        return shown(text) if self.comment.type == HTML else text


class AnalyzeRequest(CommentRequest):
    """`comments:analyze`."""

    requested_attributes: dict[str, AttributeParameters | None] = Field(
        default_factory=dict, description="By name, such as TOXICITY."
    )
    span_annotations: bool | None = Field(default=None, description="Score each sentence, too.")
    drop_unsupported_attributes: bool | None = Field(
        default=None, description="Leave out what has no model here, in place of an error."
    )


class SuggestRequest(CommentRequest):
    """`comments:suggestscore`."""

    attribute_scores: dict[str, AttributeScores | None] = Field(default_factory=dict)


class AnalyzeResponse(Message):
    """The answer to an analysis. What is empty is left out."""

    attribute_scores: dict[str, AttributeScores] | None = None
    languages: list[str] | None = Field(default=None, description="As given, or as detected.")
    detected_languages: list[str] | None = None
    client_token: str | None = None


class SuggestResponse(Message):
    """The answer to a suggestion. What is empty is left out."""

    client_token: str | None = None
    requested_languages: list[str] | None = None
    detected_languages: list[str] | None = None


class ErrorDetail(Message):
    """What Perspective calls the error, or else Google."""

    error_type: str | None = None
    reason: str | None = None


class Error(Message):
    """Why a request was refused."""

    code: int
    message: str
    status: str = Field(description="Google's name of the code.")
    details: list[ErrorDetail]


class ErrorResponse(Message):
    """The body of every answer but 200."""

    error: Error


def analyzed(
    request: AnalyzeRequest,
    labels: Mapping[str, str],
    whole: Mapping[str, float],
    spans: Sequence[tuple[int, int, Mapping[str, float]]],
    detected: str,
) -> dict[str, Any]:
    """Return the answer to an analysis.

    Args:
        request: what was asked for.
        labels: the label behind each attribute that is answered for.
        whole: the comment's scores by label.
        spans: begin, end and scores of each part; the whole text if nobody asked for parts.
        detected: the language that the text seems to have.
    """
    scores: dict[str, Any] = {}
    for attribute, label in labels.items():
        parameters = request.requested_attributes[attribute] or AttributeParameters()
        if whole[label] < (parameters.score_threshold or 0):
            continue
        scores[attribute] = {
            "spanScores": [
                {"begin": begin, "end": end, "score": _score(of_part[label])}
                for begin, end, of_part in spans
            ],
            "summaryScore": _score(whole[label]),
        }
    answer = {
        "attributeScores": scores,
        "languages": request.languages or [detected],
        "detectedLanguages": [detected],
        "clientToken": request.client_token,
    }
    return {name: found for name, found in answer.items() if found}


def suggested(request: SuggestRequest, detected: str) -> dict[str, Any]:
    """Return the answer to a suggestion."""
    answer = {
        "clientToken": request.client_token,
        "requestedLanguages": request.languages,
        "detectedLanguages": [detected],
    }
    return {name: found for name, found in answer.items() if found}


def _score(value: float) -> dict[str, Any]:
    return {"value": value, "type": PROBABILITY}


def language_not_supported(attribute: str, languages: Sequence[str]) -> ApiError:
    """Return the error of a language that the operator does not want judged."""
    named = ", ".join(language[:35] for language in languages[:10])
    return invalid(
        f"Attribute {attribute[:60]} does not support request languages: {named}",
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        languageNotSupportedByAttributeError={
            "detectedLanguages": [language[:35] for language in languages[:10]],
            "attribute": attribute[:60],
        },
    )
