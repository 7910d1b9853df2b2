"""Splits leak nothing, keep the shares of the labels, and are the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import TrainingError
from trainer import duplicates
from trainer.data import Rows, evaluation_texts, is_set, read_files
from trainer.split import Split, split_rows

WORDS = [f"word{chr(97 + i)}{chr(97 + j)}" for i in range(20) for j in range(20)]


def made_rows(count: int, seed: int = 0) -> Rows:
    """Make comments of random words with random labels, rarer from label to label."""
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, 12)) for _ in range(count)]
    labels = random.random((count, 6)) < np.linspace(0.4, 0.03, 6)
    return Rows(texts, labels.astype(np.float32))


def texts_of(split: Split) -> list[set[str]]:
    """Return the texts of the three parts."""
    return [set(part.texts) for part in (split.train, split.validation, split.test)]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000), copies=st.integers(1, 60))
def test_near_duplicates_stand_on_one_side(seed: int, copies: int) -> None:
    """A text with one word changed, in upper case or punctuated, never crosses the split."""
    rows = made_rows(120, seed)
    altered = [f"{text.upper()}!" for text in rows.texts[:copies]]
    altered += [text.rsplit(" ", 1)[0] + " other" for text in rows.texts[:copies]]
    both = Rows(
        rows.texts + altered,
        np.concatenate([rows.labels, rows.labels[:copies], rows.labels[:copies]]),
    )

    parts = texts_of(split_rows(both, [], seed))

    of = {text: number for number, part in enumerate(parts) for text in part}
    for original, near in zip(rows.texts[:copies], altered[copies:], strict=True):
        versions = {of[t] for t in (original, f"{original.upper()}!", near) if t in of}
        assert len(versions) == 1


def test_each_part_has_its_share_of_every_label() -> None:
    """A rare label is dealt out, not left to chance: a tenth and a fifth, within two rows."""
    rows = made_rows(1_000)

    split = split_rows(rows, [], seed=3)

    total = is_set(rows.labels).sum(axis=0)
    for part, share in ((split.validation, 0.1), (split.test, 0.2)):
        assert np.abs(is_set(part.labels).sum(axis=0) - total * share).max() <= 4


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    """The fingerprint tells the two apart."""
    rows = made_rows(200)

    fingerprints = [split_rows(rows, [], seed).fingerprint for seed in (1, 1, 2)]

    assert fingerprints[0] == fingerprints[1]
    assert fingerprints[0] != fingerprints[2]


def test_texts_kept_for_evaluation_are_in_no_part_nor_are_their_near_duplicates() -> None:
    """One of them in other dress is left out as well."""
    rows = made_rows(200)
    kept = [rows.texts[0].title(), rows.texts[1] + " more"]

    split = split_rows(rows, kept, seed=0)

    assert set(rows.texts[:2]).isdisjoint(set[str]().union(*texts_of(split)))
    assert split.evaluation_only == 2


def test_of_a_text_that_stands_there_twice_the_better_labelled_row_stays() -> None:
    """Its known labels are not lost to the row that came first."""
    rows = made_rows(200)
    poorer = np.full((1, 6), np.nan, np.float32)
    both = Rows([rows.texts[7], *rows.texts], np.concatenate([poorer, rows.labels]))

    split = split_rows(both, [], seed=0)

    assert split.repeated == 1
    assert all(np.isfinite(p.labels).all() for p in (split.train, split.validation, split.test))


def test_rows_with_unknown_labels_are_learnt_from_but_never_held_out() -> None:
    """Figures on a part of the labels could not be compared."""
    rows = made_rows(300)
    labels = rows.labels.copy()
    labels[::2, 3:] = np.nan

    split = split_rows(Rows(rows.texts, labels), [], seed=0)

    assert np.isfinite(split.validation.labels).all()
    assert np.isfinite(split.test.labels).all()
    assert np.isnan(split.train.labels).any()


def test_too_few_rows_are_refused_with_both_numbers() -> None:
    """Ten rows cannot be learnt from and judged on."""
    with pytest.raises(TrainingError, match="10 distinct comments have all labels, at least 50"):
        split_rows(made_rows(10), [], seed=0)


@pytest.mark.data
def test_the_real_file_splits_without_a_leak(six_labels: Path) -> None:
    """1,503 rows with twelve threats: no near duplicate crosses, every part has a threat."""
    rows = read_files([six_labels])
    split = split_rows(rows, evaluation_texts([six_labels]), seed=0)

    parts = (split.train, split.validation, split.test)
    group = duplicates.groups([text for part in parts for text in part.texts])
    side = np.repeat(range(3), [len(part) for part in parts])
    assert all(len(set(side[group == g])) == 1 for g in set(group.tolist()))
    assert all(is_set(part.labels)[:, 3].any() for part in parts)
