"""In which language a comment is written, and when we are sure of it.

A short English comment looks Turkish, or Zulu, to every detector, and Perspective refused it for
that. So a language is only ever held against a comment if the detector is sure.
"""

from typing import Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier

UNKNOWN: Final = "und"  # BCP 47: undetermined
NONE: Final = "zxx"  # ISO 639: no language, which the detector calls a comment with mashed keys
ENOUGH: Final = 1_000  # characters; what comes behind them changes no mind
SURE: Final = 0.9  # the detector's confidence, which it says is calibrated
LEAST: Final = 20  # letters


class LanguageDetector:
    """py3langid's model of 139 languages, loaded once."""

    def __init__(self) -> None:
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def __call__(self, text: str) -> str:
        """Return a language's ISO 639-1 or 639-3 code, or UNKNOWN where it is a guess."""
        text = text[:ENOUGH]
        if sum(map(str.isalpha, text)) < LEAST:
            return UNKNOWN
        language, confidence = self._identifier.classify(text)
        return str(language) if confidence >= SURE and language != NONE else UNKNOWN


def base_of(tag: str) -> str:
    """Return the language of a BCP 47 tag: en of en-GB."""
    return tag.strip().replace("_", "-").partition("-")[0].lower()
