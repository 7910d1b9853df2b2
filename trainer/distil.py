"""Distillation: one small model learns from a teacher's probabilities beside the labels.

What is held out is as without a teacher: it changes targets of rows to learn from, and adds such
rows. Early choice, calibration, thresholds and figures stay on real labels.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.errors import TrainingError
from trainer.data import LabelledFile, Labels, Rows
from trainer.say import say
from trainer.split import Split
from trainer.teacher import Teacher

SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Distillation:
    """A teacher, and how much it is heeded where a label is known.

    Attributes:
        teacher: its probabilities, by text.
        share: in 0..1, of the teacher in a target; the rest is the label.

    Raises:
        TrainingError: the share is not in 0..1.
    """

    teacher: Teacher
    share: float = SHARE

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise TrainingError(
                f"--teacher-share is {self.share:g}, not a number from 0 to 1",
                "0.5 heeds the teacher as much as the labels",
            )

    @property
    def file(self) -> LabelledFile:
        """The teacher's file, behind the labelled ones, as that of its unlabelled rows."""
        return LabelledFile(self.teacher.path)

    def with_unlabelled(self, rows: Rows) -> Rows:
        """Return the rows and, as those of one more file, the teacher's other texts.

        Of these no label is known, so `split_rows` never holds one out, and leaves out those
        that are near a held-out or evaluation-only text.
        """
        there = set(rows.texts)
        texts = [text for text in self.teacher.labels if text not in there]
        more = Rows.unlabelled(texts, rows.names)
        return Rows(
            rows.texts + more.texts,
            np.concatenate([rows.labels, more.labels]),
            rows.names,
            np.concatenate([rows.weights, more.weights]),
            np.concatenate([rows.files, np.full(len(texts), rows.files.max(initial=-1) + 1)]),
        )

    def taught(self, split: Split) -> Rows:
        """Return the rows to learn from, with the teacher's share in their targets.

        Raises:
            TrainingError: the teacher was made without some of the rows, or by members that
                had not held out what is held out here.
        """
        self._must_not_know(split.held_out_fingerprint)
        train, said = split.train, self.teacher.labels
        if missing := sum(text not in said for text in train.texts):
            raise TrainingError(
                f"{self.teacher.path.name}: {missing:,} of {len(train):,} rows to learn from are "
                "not in it",
                "make it anew: `tidegate ensemble` with the same --data as here",
            )
        answers = np.stack([said[text] for text in train.texts])
        before, labels = np.isfinite(train.labels), targets(train.labels, answers, self.share)
        say(
            f"{self.teacher.path.name}: {len(train):,} rows with a teacher, of which "
            f"{(~before.any(axis=1)).sum():,} have no label; {before.sum():,} labels known, "
            f"{np.isfinite(labels).sum():,} targets"
        )
        return Rows(train.texts, labels, train.names, train.weights, train.files)

    def figures(self) -> dict[str, Any]:
        """Return what a bundle states of its teacher."""
        return {
            "file": self.teacher.path.name,
            "fingerprint": self.teacher.fingerprint,
            "held_out_fingerprint": self.teacher.held_out,
            "share": self.share,
        }

    def _must_not_know(self, held_out: str) -> None:
        theirs, name = self.teacher.held_out, self.teacher.path.name
        if theirs is None:
            say(
                f"WARNING: nothing says which rows the members behind {name} held out. If they "
                "have learnt from rows that are held out here, the figures below are too good"
            )
        elif theirs != held_out:
            raise TrainingError(
                f"{name}: its members held out the rows {theirs}, here {held_out} are: it has "
                "learnt from rows that this model would be judged by",
                "give the files to hold out from and the --split-seed of its members",
            )


def targets(labels: Labels, teacher: Labels, share: float) -> Labels:
    """Mix labels with a teacher's probabilities.

    The losses are linear in the target, so this is Hinton's weighted sum of a loss against the
    labels and one against the teacher, at temperature 1: sigmoids of calibrated members are
    soft as they are. A target t of a positive that weighs w is learnt as odds of w·t/(1 - t),
    for soft targets and hard ones the same shift of a logit, which calibration takes back.

    Args:
        labels: [rows, labels] in 0..1, NaN where not known.
        teacher: [rows, labels] in 0..1, NaN where it says nothing.
        share: of the teacher where both are known, in 0..1.

    Returns:
        [rows, labels] in 0..1: where one of the two is not known the other, else NaN.

    Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531, section 2.
    """
    both = share * teacher + (1 - share) * labels
    mixed = np.where(np.isnan(labels), teacher, np.where(np.isnan(teacher), labels, both))
    found: Labels = np.clip(mixed, 0, 1).astype(np.float32)  # rounding must not leave 0..1
    return found
