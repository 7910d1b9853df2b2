"""What takes up room in a text and shows nothing: it must not push out what a reader sees."""

import re
from typing import Final

# Blanks, control characters, what Unicode calls default ignorable, the blank of Braille, what
# fonts have no sign for (private use), and marks that pile up over one letter: a tokeniser makes
# nothing of any.
UNSEEN: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\xad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    r"\U000e0000-\U000e0fff]{2,}"
)


def without_padding(text: str) -> str:
    """Return the text with one blank for each run of what is not seen, or none that had none."""
    return UNSEEN.sub(lambda run: " " if any(map(str.isspace, run[0])) else "", text)
