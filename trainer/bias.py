"""Unintended bias: whether comments that name a group of people are judged worse than others.

Source: Borkan et al. 2019, "Nuanced metrics for measuring unintended bias with real data for
text classification".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from schemas.errors import CommentsFileError
from trainer import bootstrap
from trainer.archives import contents
from trainer.bootstrap import Floats, Mask, draws, interval, once
from trainer.columns import TEXT_COLUMNS
from trainer.evaluate import Figures
from trainer.files import columns_found, records
from trainer.identities import IDENTITIES, named

SAMPLE: Final = 20_000  # rows of a file that are judged at most, drawn with a fixed seed
LEAST: Final = 10  # rows of each class that a term needs
RESAMPLES: Final = 200

_CLASSES: Final = {
    "bad": True,
    "true": True,
    "1": True,
    "1.0": True,
    "not_bad": False,
    "false": False,
    "0": False,
    "0.0": False,
}
_CLASS_COLUMNS: Final = ("label", "toxic")


@dataclass(frozen=True, slots=True)
class BiasRows:
    """Comments that are toxic or not, some of which name a group.

    Attributes:
        name: of the file.
        texts: n comments.
        toxic: [n].
        of_all: rows of the file, of which these are a sample if there are more.
    """

    name: str
    texts: list[str]
    toxic: Mask
    of_all: int


def read_bias(path: Path) -> BiasRows:
    """Read a CSV with a column of texts and a column `label` (BAD, NOT_BAD) or `toxic`.

    Raises:
        CommentsFileError: the file cannot be read, has no rows, no such column, or another class.
    """
    texts, toxic = [], []
    for stored in contents(path):
        for record in records(stored):
            texts.append(str(_value(path, record.values, TEXT_COLUMNS)))
            found = str(_value(path, record.values, _CLASS_COLUMNS)).lower()
            if found not in _CLASSES:
                raise CommentsFileError(
                    f"{record.place}: neither BAD nor NOT_BAD, true nor false",
                    "mend the row",
                )
            toxic.append(_CLASSES[found])
    if not texts:
        raise CommentsFileError(f"{path}: it has no rows", "give a file that has some")
    every = np.arange(len(texts))
    if len(texts) > SAMPLE:
        every = np.sort(np.random.default_rng(0).permutation(len(texts))[:SAMPLE])
    classes = np.asarray(toxic, np.bool_)[every]
    return BiasRows(path.name, [texts[i] for i in every], classes, len(texts))


def bias(rows: BiasRows, scores: Floats) -> Figures:
    """Judge the label `toxic` on comments that name a group and on the others.

    For each term: `subgroup_auc` within the comments that name it; `bpsn_auc`, harmless ones
    that name it against toxic ones that do not (low: naming it is taken for toxic); `bnsp_auc`,
    toxic ones that name it against harmless ones that do not (low: toxic ones are missed).

    Args:
        rows: n comments.
        scores: [n] probabilities of the label `toxic`.

    Returns:
        `rows`, `of`; `auc` over all and its interval; `worst`: for each of the three the term
        and its value, interval and distance to `auc`; `terms`: all of them.
    """
    named_in = [named(text) for text in rows.texts]
    terms = {
        term: found
        for term in IDENTITIES
        for mask in [np.asarray([term in names for names in named_in], np.bool_)]
        if min((mask & rows.toxic).sum(), (mask & ~rows.toxic).sum()) >= LEAST
        for found in [_subsets(mask, rows.toxic)]
    }
    overall = _auc(scores, rows.toxic)
    of_terms = {
        term: {kind: _auc(scores[rows_of], rows.toxic[rows_of]) for kind, rows_of in found.items()}
        for term, found in terms.items()
    }
    return {
        "file": rows.name,
        "rows": len(rows.texts),
        "of": rows.of_all,
        "auc": overall,
        "auc_interval": _interval(scores, rows.toxic),
        "worst": {
            kind: _worst(kind, of_terms, terms, scores, rows.toxic, overall)
            for kind in ("subgroup_auc", "bpsn_auc", "bnsp_auc")
            if of_terms
        },
        "terms": of_terms,
    }


def _subsets(named: Mask, toxic: Mask) -> dict[str, Mask]:
    return {
        "subgroup_auc": named,
        "bpsn_auc": (named & ~toxic) | (~named & toxic),
        "bnsp_auc": (named & toxic) | (~named & ~toxic),
    }


def _worst(  # noqa: PLR0913, PLR0917 - all that its figures are taken from
    kind: str,
    of_terms: dict[str, dict[str, float | None]],
    subsets: dict[str, dict[str, Mask]],
    scores: Floats,
    toxic: Mask,
    overall: float | None,
) -> Figures:
    def value(term: str) -> float:
        found = of_terms[term][kind]
        return 1.0 if found is None else found

    term = min(of_terms, key=value)
    rows = subsets[term][kind]
    return {
        "term": term,
        "value": value(term),
        "interval": _interval(scores[rows], toxic[rows]),
        "below_overall": round((overall or 0) - value(term), 4),
    }


def _auc(scores: Floats, toxic: Mask) -> float | None:
    found = float(bootstrap.roc_auc(scores, toxic, once(len(scores)))[0])
    return round(found, 4) if np.isfinite(found) else None


def _interval(scores: Floats, toxic: Mask) -> list[float] | None:
    parts = [bootstrap.roc_auc(scores, toxic, w) for w in draws(len(scores), RESAMPLES)]
    return interval(np.concatenate(parts))


def _value(path: Path, record: Mapping[str, object], columns: Sequence[str]) -> object:
    for column in columns:
        if column in record:
            return record[column]
    raise CommentsFileError(
        f"{path}: no column {' or '.join(columns)}; found {columns_found(record)}",
        "name the column so",
    )
