"""The six labels, their order and their meaning.

A bundle may carry other labels; these are the ones that the shipped bundle knows and
that the trainer reads from Jigsaw's files.
"""

from typing import Final

LABELS: Final = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")

MEANING: Final = {
    "toxic": "rude, disrespectful or unreasonable: likely to make people leave the talk",
    "severe_toxic": "very hateful, aggressive or disrespectful; plain swearing is not",
    "obscene": "swear words, or other obscene or profane language",
    "threat": "an intention to inflict pain, injury or violence on somebody",
    "insult": "insulting, inflammatory or negative towards a person or a group",
    "identity_hate": "hateful about a person or a group because of who they are",
}
