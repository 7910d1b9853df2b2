"""The golden comments: ours, by which an engine shows that it scores as the model does."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from schemas.bundle import GoldenComment, GoldenComments
from schemas.errors import TrainingError
from trainer.calibrate import Floats

# Other CPUs round otherwise than the one that wrote the bundle. On AVX2 alone, where products of
# int8 saturate, the first bundle's largest difference was 0.085 in place of 0.036.
MARGIN: Final = 3.0
LEAST_TEXTS: Final = 8  # of them, as the contract asks
LEAST_TOLERANCE: Final = 0.05
MOST_TOLERANCE: Final = 0.20  # above it a wrong engine could pass
MOST_DIFFERENCE: Final = 0.10  # of the int8 model where it was made

# Of all kinds, each well under a piece: harmless, rude, threatening, disguised, nearly empty.
TEXTS: Final = (
    "Thanks for the quick reply, the new section reads much better now.",
    "Could you add a source for the second paragraph? I could not find one.",
    "I disagree with this edit, but I see why you made it.",
    "The match starts at 18:30, bring an umbrella.",
    "ok",
    "?!",
    "12345 67890",
    "What a lovely photo, my grandmother would have liked it very much.",
    "This recipe needs far less salt and about ten minutes more in the oven.",
    "Der Zug nach Hamburg hat heute zwanzig Minuten Verspätung.",
    "Привет, как дела?",
    "You are a stupid idiot and nobody wants you here.",
    "shut up you moron",
    "What a load of crap, this whole page is garbage.",
    "fuck this shit, I am done with you people",
    "You pathetic little loser, go cry to your mother.",
    "I will find out where you live and I will kill you.",
    "Watch your back, I am going to hurt you and your family.",
    "All immigrants are filthy animals and should be thrown out.",
    "Gay people are disgusting and have no place in this country.",
    "y0u are an 1d1ot",
    "Y\u200bo\u200bu a\u200br\u200be s\u200bt\u200bu\u200bp\u200bi\u200bd",
    "you are stuuuupiiiid!!!!!!!!",
    "\u0443\u043eu \u0430r\u0435 a f.u.c.k.i.n.g \u0456di\u043et",
)


def texts_within(tokenizer: Tokenizer, max_length: int) -> list[str]:
    """Return those of TEXTS that are one piece; pieces of a longer one are not the comment.

    Raises:
        TrainingError: hardly any is.
    """
    texts = [text for text in TEXTS if len(tokenizer.encode(text).ids) <= max_length]
    if len(texts) < LEAST_TEXTS:
        raise TrainingError(
            f"{len(texts)} golden comments fit into {max_length} tokens, {LEAST_TEXTS} needed",
            "raise --max-length",
        )
    return texts


def golden_comments(
    texts: Sequence[str],
    scores: Floats,
    found: Floats,
    labels: Sequence[str],
    *,
    lenient: bool,
) -> GoldenComments:
    """Return comments with their probabilities and the difference that an engine may show.

    Args:
        texts: as `texts_within` gives them.
        scores: [texts, labels] calibrated probabilities of the float model.
        found: [runs, texts, labels] the same by the int8 engine, in each of its number types.
        labels: the labels' names.
        lenient: as far off as a tolerance may ever be is near enough: the training was cut short.

    Raises:
        TrainingError: the int8 model is so far off that no useful tolerance holds.
    """
    difference = float(np.abs(found - scores).max())
    most = MOST_TOLERANCE if lenient else MOST_DIFFERENCE
    if difference > most:
        raise TrainingError(
            f"the int8 model is off by up to {difference:.3f} on the golden comments, "
            f"at most {most:.3f} expected",
            "train on more rows, of all labels: the scales of int8 are taken from them",
        )
    tolerance = math.ceil(difference * MARGIN * 100) / 100
    return GoldenComments(
        tolerance=min(MOST_TOLERANCE, max(LEAST_TOLERANCE, tolerance)),
        comments=[
            GoldenComment(text=text, scores=_named(row, labels))
            for text, row in zip(texts, scores, strict=True)
        ],
    )


def _named(row: Floats, labels: Sequence[str]) -> Mapping[str, float]:
    return {label: round(float(p), 5) for label, p in zip(labels, row, strict=True)}
