"""Distillation: a teacher moves the targets of rows to learn from, and never a held-out row."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from schemas.bundle import read_manifest
from schemas.errors import TrainingError
from schemas.labels import LABELS
from trainer.command import train
from trainer.data import LabelledFile, Labels, Rows, read_files
from trainer.distil import Distillation, targets
from trainer.loss import Loss, positive_weights
from trainer.recipe import FitSettings
from trainer.split import Split, split_rows
from trainer.teacher import Teacher

FRACTIONS = st.floats(0, 1, width=32) | st.just(float("nan"))
WORDS = [f"word{chr(97 + i)}{chr(97 + j)}" for i in range(20) for j in range(20)]


def tables(rows: int) -> st.SearchStrategy[Labels]:
    """Draw [rows, labels] in 0..1, some of them not known."""
    return arrays.arrays(np.float32, (rows, len(LABELS)), elements=FRACTIONS)


def made_rows(count: int, seed: int) -> Rows:
    """Make comments of random words with random labels, a fifth of the rows partly labelled."""
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, 12)) for _ in range(count)]
    labels = (random.random((count, len(LABELS))) < 0.3).astype(np.float32)
    labels[: count // 5, 2:] = np.nan
    return Rows(texts, labels)


def teacher_of(texts: list[str], held_out: str | None = None) -> Teacher:
    """Return a teacher that says 0.25 of every label of every text."""
    quarter = np.full(len(LABELS), 0.25, np.float32)
    return Teacher(Path("t.jsonl"), dict.fromkeys(texts, quarter), held_out)


def near(text: str) -> str:
    """Return a near duplicate: the last word is another."""
    return f"{text.rsplit(' ', 1)[0]} another"


@settings(deadline=None)
@given(labels=tables(4), teacher=tables(4), share=st.floats(0, 1))
def test_a_target_is_the_mix_of_both_or_the_one_that_is_known(
    labels: Labels, teacher: Labels, share: float
) -> None:
    """In 0..1; not known only where neither is."""
    found = targets(labels, teacher, share)

    for target, label, said in zip(found.flat, labels.flat, teacher.flat, strict=True):
        if np.isnan(label) or np.isnan(said):
            expected = said if np.isnan(label) else label
            assert np.array_equal(target, expected, equal_nan=True)
        else:
            assert target == pytest.approx(share * said + (1 - share) * label, abs=1e-6)
            assert min(label, said) - 1e-6 <= target <= max(label, said) + 1e-6
            assert 0 <= target <= 1


@settings(deadline=None)
@given(labels=tables(4), teacher=tables(4))
def test_a_share_of_none_keeps_the_labels_and_of_all_the_teacher(
    labels: Labels, teacher: Labels
) -> None:
    """What is not known of the one is taken from the other all the same."""
    of_none, of_all = targets(labels, teacher, 0), targets(labels, teacher, 1)

    assert np.array_equal(of_none, np.where(np.isnan(labels), teacher, labels), equal_nan=True)
    assert np.array_equal(of_all, np.where(np.isnan(teacher), labels, teacher), equal_nan=True)


@pytest.mark.parametrize("share", [-0.1, 1.01, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    """It would leave the scale of probabilities."""
    with pytest.raises(TrainingError, match=r"--teacher-share is .*, not a number from 0 to 1"):
        Distillation(teacher_of(["a"]), share)


def assert_same(found: Rows, expected: Rows) -> None:
    """Assert that two parts hold the same rows."""
    assert found.texts == expected.texts
    assert np.array_equal(found.labels, expected.labels, equal_nan=True)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999), extra=st.integers(0, 60))
@example(seed=396, extra=0)  # two that share ten of twelve pairs, and no four hashes in a row
def test_a_teacher_changes_nothing_that_is_held_out(seed: int, extra: int) -> None:
    """The same rows with their real labels, whatever it says of them and adds to learn from."""
    rows, more = made_rows(150, seed), made_rows(extra, seed + 1_000).texts
    plain = split_rows(rows, {}, seed=0)
    lesson = Distillation(teacher_of(rows.texts + more + list(map(near, rows.texts))))

    split = split_rows(lesson.with_unlabelled(rows), {}, seed=0)
    taught = lesson.taught(split)

    assert split.held_out_fingerprint == plain.held_out_fingerprint
    assert_same(split.validation, plain.validation)
    assert_same(split.test, plain.test)
    held_out = {*plain.validation.texts, *plain.test.texts}
    assert set(taught.texts).isdisjoint(held_out | set(map(near, held_out)))
    assert set(more) <= set(taught.texts)
    assert np.isfinite(taught.labels).all()


def test_unlabelled_rows_are_learnt_from_by_the_teacher_alone() -> None:
    """Each weighs 1 and is of a file of its own; near duplicates of texts kept apart are not."""
    rows = made_rows(150, 0)
    apart = " ".join(WORDS[:12])
    lesson = Distillation(teacher_of([*rows.texts, "a new one", near(apart), "and yet another"]))

    both = lesson.with_unlabelled(rows)
    split = split_rows(both, {"kept.csv": [apart]}, seed=0)
    taught = lesson.taught(split)

    assert both.texts == [*rows.texts, "a new one", near(apart), "and yet another"]
    assert both.files[-3:].tolist() == [1, 1, 1]
    assert near(apart) not in taught.texts
    at = [taught.texts.index("a new one"), taught.texts.index("and yet another")]
    assert taught.labels[at].tolist() == [[0.25] * len(LABELS)] * 2
    assert taught.weights[at].tolist() == [1, 1]


def split_of(rows: Rows) -> Split:
    """Split rows, nothing being kept apart."""
    return split_rows(rows, {}, seed=0)


def test_labelled_rows_keep_their_weights_and_mix_their_labels() -> None:
    """Three quarters of the label and one of the teacher."""
    rows = made_rows(150, 0)
    rows.weights[:] = 0.3
    split = split_of(rows)

    taught = Distillation(teacher_of(rows.texts), share=0.25).taught(split)

    expected = np.where(np.isnan(split.train.labels), 0.25, 0.75 * split.train.labels + 0.25 * 0.25)
    assert taught.labels == pytest.approx(expected)
    assert taught.weights.tolist() == split.train.weights.tolist()


def test_rows_that_the_teacher_has_not_seen_are_counted() -> None:
    """It was made from other files: half a teacher would be taken for a whole one."""
    rows = made_rows(150, 0)
    split = split_of(rows)
    known = split.train.texts[:-7]

    with pytest.raises(TrainingError, match=r"t\.jsonl: 7 of .* rows to learn from are not in it"):
        Distillation(teacher_of(known)).taught(split)


def test_a_teacher_that_has_learnt_from_rows_held_out_here_is_refused() -> None:
    """Its members' split is named beside ours."""
    rows = made_rows(150, 0)
    split = split_of(rows)

    Distillation(teacher_of(rows.texts, split.held_out_fingerprint)).taught(split)
    says = f"held out the rows aaaa, here {split.held_out_fingerprint} are"
    with pytest.raises(TrainingError, match=says):
        Distillation(teacher_of(rows.texts, "aaaa")).taught(split)


def test_a_teacher_of_which_nothing_is_known_is_warned_of(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Peers from the hub may have seen any row."""
    rows = made_rows(150, 0)

    Distillation(teacher_of(rows.texts)).taught(split_of(rows))

    assert "WARNING: nothing says which rows the members behind t.jsonl" in capfd.readouterr().err


@settings(deadline=None)
@given(
    share=st.floats(0, 1, width=32),
    positives=st.integers(1, 400),
    balance=st.sampled_from([0.5, 1.0]),
)
def test_a_soft_positive_counts_as_the_share_that_it_is(
    share: float, positives: int, balance: float
) -> None:
    """A calibrated teacher leaves the weight of positives where hard labels have it."""
    labels = np.zeros((400, 1), np.float32)
    labels[:positives] = 1
    calibrated = np.full((400, 1), positives / 400, np.float32)

    hard, soft = (
        positive_weights(each, balance).item()
        for each in (labels, targets(labels, calibrated, share))
    )

    assert soft == pytest.approx(hard, rel=1e-3)


@settings(deadline=None)
@given(target=st.floats(0.01, 0.99), weight=st.floats(1, 20))
def test_a_soft_target_is_learnt_as_odds_times_the_weight(target: float, weight: float) -> None:
    """The same shift of the logit for every target, log(weight), which calibration takes back."""
    best = torch.tensor([[np.log(weight * target / (1 - target))]], dtype=torch.float64)
    logit = best.requires_grad_()
    loss = Loss("bce", torch.tensor([weight], dtype=torch.float64))

    torch.autograd.backward(loss.mean(logit, torch.full_like(best.detach(), target)))

    assert logit.grad is not None
    assert logit.grad.item() == pytest.approx(0, abs=1e-9)


def test_a_student_of_a_teacher_that_is_always_wrong_is_wrong_by_the_real_labels(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """The whole command: it learns what the teacher says, and is judged by what is so."""
    rows = read_files([made_file])
    held_out = split_of(rows).held_out_fingerprint
    wrong = dict(zip(rows.texts, 1 - rows.labels, strict=True))
    wrong["a song about the harbour"] = np.ones(len(LABELS), np.float32)
    lesson = Distillation(Teacher(Path("wrong.jsonl"), wrong, held_out), share=1)
    settings = FitSettings(epochs=200, learning_rate=5e-3, load_best_model_at_end=False)

    train(
        [LabelledFile(made_file)],
        tmp_path / "student",
        str(tiny_base),
        settings=settings,
        max_length=48,
        distillation=lesson,
    )

    metrics = read_manifest(tmp_path / "student").metrics
    assert metrics["training"]["teacher"] == lesson.figures()
    assert metrics["data"]["held_out_fingerprint"] == held_out
    assert metrics["held_out"]["mean_roc_auc"] < 0.3
    assert metrics["baseline"]["mean_roc_auc"] > 0.8
    assert "wrong.jsonl" in (tmp_path / "student.run" / "data.md").read_text()
