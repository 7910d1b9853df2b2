"""Strength against disguise: what is still seen, and what is seen that is not there."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from trainer.bootstrap import RESAMPLES, Floats, Mask, draws, interval, once
from trainer.data import Labels, is_set
from trainer.disguise import KINDS, disguise_all
from trainer.evaluate import Figures

ALL: Final = "all"

Score = Callable[[Sequence[str]], Floats]


def strength(
    score: Score, texts: Sequence[str], labels: Labels, thresholds: Sequence[float]
) -> Figures:
    """Disguise rows in every way, judge them again, and compare with the rows as they are.

    A row is flagged if any label is over its threshold; it is toxic if any label is set, and
    harmless if none is and all are known.

    Args:
        score: texts to [texts, labels] probabilities.
        texts: n comments as their authors wrote them.
        labels: [n, labels] in 0..1, NaN where not known.
        thresholds: [labels].

    Returns:
        `toxic` and `harmless`: how many rows; `plain`: `recall` and `false_alarms` (shares)
        without disguise; and for each kind of disguise, and for `all` of them, `recall_kept`
        (recall over that without disguise) and `false_alarms_added` (share less that without
        disguise), each with its 95 % interval.
    """
    toxic = is_set(labels).any(axis=1)
    harmless = (labels < 0.5).all(axis=1)  # noqa: PLR2004 - half of those who were asked

    def flagged(kind: str | None) -> Mask:
        scores = score(disguise_all(texts, kind) if kind else texts)
        return np.asarray((scores >= np.asarray(thresholds)).any(axis=1))

    plain = flagged(None).astype(np.float64)
    disguised = {kind: flagged(kind).astype(np.float64) for kind in KINDS}
    disguised[ALL] = np.mean(list(disguised.values()), axis=0)
    return {
        "toxic": int(toxic.sum()),
        "harmless": int(harmless.sum()),
        "plain": {
            "recall": _share(plain[toxic]),
            "false_alarms": _share(plain[harmless]),
        },
        "kinds": {
            kind: _kept(plain[toxic], found[toxic]) | _added(plain[harmless], found[harmless])
            for kind, found in disguised.items()
        },
    }


def _kept(plain: Floats, disguised: Floats) -> Figures:
    def kept(weights: Floats) -> Floats:
        seen = weights @ plain
        share: Floats = np.divide(
            weights @ disguised, seen, out=np.full(len(seen), np.nan), where=seen > 0
        )
        return share

    return _with_interval("recall_kept", kept, len(plain))


def _added(plain: Floats, disguised: Floats) -> Figures:
    def added(weights: Floats) -> Floats:
        share: Floats = weights @ (disguised - plain) / max(1, len(plain))
        return share

    return _with_interval("false_alarms_added", added, len(plain))


def _with_interval(name: str, figure: Callable[[Floats], Floats], rows: int) -> Figures:
    if not rows:
        return {name: None, f"{name}_interval": None}
    drawn = np.concatenate([figure(weights) for weights in draws(rows, RESAMPLES)])
    found = float(figure(once(rows))[0])
    known = round(found, 4) if np.isfinite(found) else None
    return {name: known, f"{name}_interval": interval(drawn)}


def _share(flagged: Floats) -> float | None:
    return round(float(flagged.mean()), 4) if len(flagged) else None
