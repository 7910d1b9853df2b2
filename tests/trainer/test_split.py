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

    parts = texts_of(split_rows(both, {}, seed))

    of = {text: number for number, part in enumerate(parts) for text in part}
    for original, near in zip(rows.texts[:copies], altered[copies:], strict=True):
        versions = {of[t] for t in (original, f"{original.upper()}!", near) if t in of}
        assert len(versions) == 1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_nothing_is_learnt_from_that_is_near_a_held_out_row(seed: int) -> None:
    """What the comparison by which rows are dealt has missed is left out of training."""
    rows = made_rows(120, seed)
    altered = [f"{text.rsplit(' ', 1)[0]} other" for text in rows.texts]
    both = Rows(rows.texts + altered, np.concatenate([rows.labels, rows.labels]))

    learnt, *held_out = texts_of(split_rows(both, {}, seed))

    family = dict(zip(rows.texts + altered, [*range(120), *range(120)], strict=True))
    assert {family[t] for t in learnt}.isdisjoint(family[t] for t in set[str]().union(*held_out))


def test_each_part_has_its_share_of_every_label() -> None:
    """A rare label is dealt out, not left to chance: a tenth and a fifth, within two rows."""
    rows = made_rows(1_000)

    split = split_rows(rows, {}, seed=3)

    total = is_set(rows.labels).sum(axis=0)
    for part, share in ((split.validation, 0.1), (split.test, 0.2)):
        assert np.abs(is_set(part.labels).sum(axis=0) - total * share).max() <= 4


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    """The fingerprint tells the two apart."""
    rows = made_rows(200)

    fingerprints = [split_rows(rows, {}, seed).fingerprint for seed in (1, 1, 2)]

    assert fingerprints[0] == fingerprints[1]
    assert fingerprints[0] != fingerprints[2]


def test_texts_kept_for_evaluation_are_in_no_part_nor_are_their_near_duplicates() -> None:
    """One of them in other dress is left out as well."""
    rows = made_rows(200)
    kept = {
        "a.csv": [rows.texts[0].title(), "something else altogether"],
        "b.csv": [rows.texts[0] + " too", rows.texts[1] + " more"],
    }

    split = split_rows(rows, kept, seed=0)

    assert set(rows.texts[:2]).isdisjoint(set[str]().union(*texts_of(split)))
    assert split.evaluation_only == 2
    assert split.leaks == {"a.csv": 1, "b.csv": 2}


def test_of_a_text_that_stands_there_twice_the_better_labelled_row_stays() -> None:
    """Its known labels are not lost to the row that came first."""
    rows = made_rows(200)
    poorer = np.full((1, 6), np.nan, np.float32)
    both = Rows([rows.texts[7], *rows.texts], np.concatenate([poorer, rows.labels]))

    split = split_rows(both, {}, seed=0)

    assert split.repeated == 1
    assert all(np.isfinite(p.labels).all() for p in (split.train, split.validation, split.test))


def test_rows_with_unknown_labels_are_learnt_from_but_never_held_out() -> None:
    """Figures on a part of the labels could not be compared."""
    rows = made_rows(300)
    labels = rows.labels.copy()
    labels[::2, 3:] = np.nan

    split = split_rows(Rows(rows.texts, labels), {}, seed=0)

    assert np.isfinite(split.validation.labels).all()
    assert np.isfinite(split.test.labels).all()
    assert np.isnan(split.train.labels).any()


def near(text: str, word: str) -> str:
    """Return a near duplicate: the last word is another."""
    return f"{text.rsplit(' ', 1)[0]} {word}"


def with_partly_labelled(rows: Rows, texts: list[str]) -> Rows:
    """Return the rows and, behind them, texts of which only `toxic` is known."""
    labels = np.full((len(texts), 6), np.nan, np.float32)
    labels[:, 0] = 0
    return Rows([*rows.texts, *texts], np.concatenate([rows.labels, labels]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), data=st.data())
def test_other_files_never_move_a_held_out_row(seed: int, data: st.DataObject) -> None:
    """Whatever they hold and wherever they stand: copies, near ones, bridges, full rows."""
    base = made_rows(120, seed)
    pick = st.integers(0, len(base) - 1)
    texts = [f"{base.texts[i].upper()}?" for i in data.draw(st.lists(pick, max_size=20))]
    texts += [near(base.texts[i], "other") for i in data.draw(st.lists(pick, max_size=20))]
    pairs = data.draw(st.lists(st.tuples(pick, pick), max_size=10))
    texts += [f"{base.texts[i]} {base.texts[j]}" for i, j in pairs]  # half of each
    others = with_partly_labelled(made_rows(30, seed + 1), texts)
    mixed = [base, others] if data.draw(st.booleans()) else [others, base]
    rows = Rows(
        [text for part in mixed for text in part.texts],
        np.concatenate([part.labels for part in mixed]),
        files=np.repeat([0, 1], [len(part) for part in mixed]),
    )

    alone = split_rows(base, {}, seed)
    together = split_rows(rows, {}, seed, held_out_from=[0 if mixed[0] is base else 1])

    assert together.validation.texts == alone.validation.texts
    assert together.test.texts == alone.test.texts
    assert together.held_out_fingerprint == alone.held_out_fingerprint
    assert set(alone.train.texts) <= set(together.train.texts)


def test_near_duplicates_of_held_out_rows_from_other_files_are_left_out() -> None:
    """They would be learnt by heart."""
    rows = made_rows(200)
    test = split_rows(rows, {}, seed=0).test
    copies = [near(text, "otherwise") for text in test.texts]

    together = split_rows(with_partly_labelled(rows, copies), {}, seed=0)

    assert together.test.texts == test.texts
    assert together.near_held_out == len(copies)
    assert set(copies).isdisjoint(together.train.texts)


def test_a_bridge_between_two_parts_is_left_out_and_moves_neither() -> None:
    """Two comments that are not near, and a third from another file that is near both."""
    random = np.random.default_rng(0)
    runs = [random.choice(WORDS, 56).tolist() for _ in range(100)]
    ends = [" ".join(run[start : start + 40]) for run in runs for start in (0, 16)]
    labels = (random.random((200, 6)) < 0.3).astype(np.float32)
    bridges = [" ".join(run[8:48]) for run in runs]

    alone = split_rows(Rows(ends, labels), {}, seed=0)
    together = split_rows(with_partly_labelled(Rows(ends, labels), bridges), {}, seed=0)

    assert together.held_out_fingerprint == alone.held_out_fingerprint
    across = [
        bridge
        for one, other, bridge in zip(ends[::2], ends[1::2], bridges, strict=True)
        if duplicates.groups([one, bridge, other]).tolist() == [0, 0, 0]
        and (one in alone.train.texts) != (other in alone.train.texts)
    ]
    assert len(across) > 5
    assert set(across).isdisjoint(together.train.texts)
    assert set(alone.train.texts) <= set(together.train.texts)


def test_only_the_files_named_are_held_out_from() -> None:
    """Full rows of others are learnt from."""
    rows = made_rows(200)
    files = np.repeat([0, 1], 100)

    split = split_rows(Rows(rows.texts, rows.labels, files=files), {}, 0, held_out_from=[1])

    assert set(split.test.files) == set(split.validation.files) == {1}
    assert {0, 1} == set(split.train.files)


def test_weights_stay_with_their_rows_and_change_the_fingerprint_alone() -> None:
    """Another weight is another training, on which the same rows are held out."""
    rows = made_rows(200)
    weights = np.linspace(0.1, 1, 200).astype(np.float32)

    light = split_rows(Rows(rows.texts, rows.labels, weights=weights), {}, 0)
    plain = split_rows(rows, {}, 0)

    of = dict(zip(rows.texts, weights.tolist(), strict=True))
    assert light.train.weights.tolist() == [of[text] for text in light.train.texts]
    assert light.fingerprint != plain.fingerprint
    assert light.held_out_fingerprint == plain.held_out_fingerprint


def test_every_row_has_one_place() -> None:
    """Learnt from, held out, or left out for one reason."""
    rows = made_rows(300)
    both = rows.take([*range(300), *range(40)])

    split = split_rows(both, {"kept.csv": rows.texts[:10]}, seed=0)

    left_out = split.evaluation_only + split.repeated + split.near_held_out
    parts = (split.train, split.validation, split.test)
    assert len(both) == left_out + sum(map(len, parts))
    assert (split.evaluation_only, split.repeated) == (20, 30)


def test_too_few_rows_are_refused_with_both_numbers() -> None:
    """Ten rows cannot be learnt from and judged on."""
    with pytest.raises(TrainingError, match="10 distinct comments have all labels, at least 50"):
        split_rows(made_rows(10), {}, seed=0)


@pytest.mark.data
def test_the_real_file_splits_without_a_leak(six_labels: Path) -> None:
    """1,503 rows with twelve threats: no near duplicate crosses, every part has a threat."""
    rows = read_files([six_labels])
    kept = evaluation_texts([six_labels])
    del kept["bias-madlibs-77k.csv"]  # sentences from templates, near no comment; most of the time
    split = split_rows(rows, kept, seed=0)

    parts = (split.train, split.validation, split.test)
    group = duplicates.groups([text for part in parts for text in part.texts])
    side = np.repeat(range(3), [len(part) for part in parts])
    assert all(len(set(side[group == g])) == 1 for g in set(group.tolist()))
    assert all(is_set(part.labels)[:, 3].any() for part in parts)


@pytest.mark.data
def test_the_rows_of_the_first_bundle_are_held_out_whatever_is_added(six_labels: Path) -> None:
    """Figures stay comparable: the fingerprint is that of every bundle that was ever shipped."""
    folder = six_labels.parent
    names = ("jigsaw-six-labels.csv", "jigsaw-six-labels-more.csv", "jigsaw-partial-labels.csv")
    files = [folder / name for name in names]
    more = folder / "kaggle-insults-2012.csv"
    kept = evaluation_texts(files)
    del kept["bias-madlibs-77k.csv"]  # as above

    alone = split_rows(read_files(files), kept, seed=0)
    together = split_rows(read_files([more, *files]), kept, seed=0)

    assert (alone.held_out_fingerprint, len(alone.test)) == ("fb2354f406ebf64f", 2_456)
    assert together.test.texts == alone.test.texts
    assert together.validation.texts == alone.validation.texts
