"""`tidegate ensemble` on one page: members, texts -> mean probabilities -> a teacher file."""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final

import numpy as np

from trainer import data
from trainer.bootstrap import Floats
from trainer.data import LabelledFile
from trainer.ensemble import held_out_by, mean_of
from trainer.predictors import Predictor, predictor
from trainer.say import say
from trainer.teacher import refuse_out, write_teacher

CHUNK: Final = 256  # texts between two looks at the clock: some seconds, with little padding
SAY_EVERY_S: Final = 10.0


def teach(
    members: Sequence[str],
    files: Sequence[LabelledFile],
    unlabelled: Sequence[Path],
    out: Path,
) -> None:
    """Write what an ensemble says of each text of some files.

    Args:
        members: bundles by folder, or models by folder or by name on the hub. A bundle without
            float weights, as the shipped one, speaks in int8: four times as fast on a CPU.
        files: labelled files, the same as for `tidegate train`; labels and weights play no part.
        unlabelled: further files with texts.
        out: the teacher file, .jsonl or .parquet, whole or not at all.

    Raises:
        CommentsFileError: a file cannot be read.
        BundleError: a member is incomplete or was changed.
        TrainingError: a member cannot be loaded, a label has no member, the members held out
            different rows, a file is for evaluation only, or `out` cannot be written.
    """
    refuse_out(out, [path.resolve() for path in [*(f.path for f in files), *unlabelled]])
    texts = [*data.read_files(files).texts, *data.read_texts(unlabelled)]
    texts = list(dict.fromkeys(texts))
    loaded = [predictor(reference) for reference in members]
    held_out = held_out_by(loaded)
    ensemble = mean_of(loaded)
    say(f"{len(texts):,} texts, {len(loaded)} members: {', '.join(one.name for one in loaded)}")
    write_teacher(out, texts, scored(ensemble, texts), held_out)
    say(f"{out} is written: it holds the texts, and is readable by you alone")


def scored(model: Predictor, texts: Sequence[str]) -> Floats:
    """Return [texts, labels] probabilities, and say every SAY_EVERY_S how it goes."""
    parts, started = [], monotonic()
    said = started
    for start in range(0, len(texts), CHUNK):
        parts.append(model.probabilities(texts[start : start + CHUNK]))
        done, now = min(start + CHUNK, len(texts)), monotonic()
        if now - said >= SAY_EVERY_S or done == len(texts):
            say(pace(done, len(texts), now - started))
            said = now
    return np.concatenate(parts)


def pace(done: int, total: int, seconds: float) -> str:
    """Return how it goes, with the time left if it goes on like this."""
    rate = done / max(seconds, 1e-9)
    left = (total - done) / rate / 60
    return f"{done:,}/{total:,}: {rate:,.1f} comments/s, {left:.1f} min left"
