"""Harmless rows that name a group of people, so that the name alone says nothing.

Where most comments that name a group are toxic, a model takes the name for the insult. Harmless
ones are added until the group is named in toxic rows no more often than rows are toxic at all
(Dixon et al. 2018, "Measuring and mitigating unintended bias in text classification"). They are
made of harmless rows that name another group: the whole comment or one sentence of it, with the
name exchanged (Garg et al. 2019, "Counterfactual fairness in text classification through
robustness").
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.data import Rows, is_set
from trainer.identities import NAME, named

Mask = npt.NDArray[np.bool_]

# Mostly said of things; a sentence about an old revision says nothing of people.
OF_THINGS: Final = frozenset({"blind", "old", "older", "straight", "young", "younger"})
SHORTEST: Final = 4  # words of a sentence that is learnt from by itself
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")


class Source(NamedTuple):
    """A harmless text that names one group of people, and no other.

    Attributes:
        text: a comment, or one sentence of it.
        row: of the comment.
    """

    text: str
    row: int


def with_balanced_identities(rows: Rows, seed: int) -> Rows:
    """Return the rows, and after them harmless ones that name groups mostly named in toxic ones.

    An added row has the labels, the weight and the file of the one that it is made of.

    Args:
        rows: to learn from; never those that a model is judged by.
        seed: of the choice of texts.
    """
    names = [named(text) for text in rows.texts]
    toxic = rows.labels[:, rows.names.index("toxic")]
    missing = _missing(names, rows.weights, is_set(toxic), np.isfinite(toxic))
    harmless = np.isfinite(toxic) & ~is_set(rows.labels).any(axis=1)
    sources = list(_sources(rows.texts, names, harmless, missing.keys() | OF_THINGS))
    if not sources:
        return rows
    random = np.random.default_rng(seed)
    each = float(np.mean([rows.weights[source.row] for source in sources]))
    added = [
        Source(_exchanged(source.text, name), source.row)
        for name, weight in missing.items()
        for source in _drawn(sources, round(weight / each), random)
    ]
    again = rows.take([source.row for source in added])
    return Rows(
        rows.texts + [source.text for source in added],
        np.concatenate([rows.labels, again.labels]),
        rows.names,
        np.concatenate([rows.weights, again.weights]),
        np.concatenate([rows.files, again.files]),
    )


def _missing(
    names: Sequence[set[str]], weights: npt.NDArray[np.float32], toxic: Mask, known: Mask
) -> dict[str, float]:
    """Return, for each name seen too often in toxic rows, the weight of harmless ones it lacks."""
    harmless_to_toxic = weights[known & ~toxic].sum() / max(weights[toxic].sum(), 1e-9)
    missing = {}
    for name in sorted(set().union(*names)):
        naming = np.asarray([name in those for those in names], np.bool_)
        wanted = weights[naming & toxic].sum() * harmless_to_toxic
        if (lacks := float(wanted - weights[naming & known & ~toxic].sum())) > 0:
            missing[name] = lacks
    return missing


def _sources(
    texts: Sequence[str], names: Sequence[set[str]], harmless: Mask, unfit: set[str]
) -> Iterator[Source]:
    """Yield harmless comments, and their sentences, that name one group, and none that is unfit."""
    for row in np.flatnonzero(harmless).tolist():
        if not names[row]:
            continue
        sentences = [part for part in _SENTENCE.split(texts[row]) if len(part.split()) >= SHORTEST]
        for text in dict.fromkeys([texts[row], *sentences]):
            if len(found := named(text)) == 1 and not found & unfit:
                yield Source(text, row)


def _drawn(sources: Sequence[Source], number: int, random: np.random.Generator) -> Iterator[Source]:
    """Yield so many sources, each as often as the others, give or take one."""
    while number > 0:
        order = random.permutation(len(sources))[:number]
        yield from (sources[i] for i in order)
        number -= len(order)


def _exchanged(text: str, name: str) -> str:
    """Put a name in the place of the one that is there, written as large as that."""
    return NAME.sub(lambda found: name.title() if found.group()[0].isupper() else name, text)
