"""Several models as one: for each label the mean of the probabilities of those that know it."""

from collections.abc import Sequence

import numpy as np

from schemas.errors import TrainingError
from schemas.labels import LABELS
from trainer.bootstrap import Floats
from trainer.lineage import may_know
from trainer.predictors import Predictor
from trainer.say import say


def mean_of(members: Sequence[Predictor], labels: Sequence[str] = LABELS) -> Predictor:
    """Make one predictor of several, aligned by the names of their labels.

    A member that lacks a label has no vote on it; one that has others is not asked for them.

    The mean is of calibrated probabilities. Logits lie on another scale in each member, by its
    loss, its weights of positives and its temper, so that the loudest would win. And the loss
    of a student is linear in its target, so that learning from this mean is learning from all
    members alike. It is a little less sure than each of them (Ranjan & Gneiting 2010,
    "Combining probability forecasts"): a student is calibrated on real labels afterwards.

    Args:
        members: at least one, each with calibrated probabilities.
        labels: of the predictor, in the order of its columns.

    Returns:
        A predictor whose thresholds are the means of its members': a stand-in, for the best
        ones would have to be fitted on rows that none of them has learnt from.

    Raises:
        TrainingError: there is a label that no member has.

    Source: Lakshminarayanan et al. 2017, arXiv 1612.01474, section 2.4: a uniform mixture.
    """
    voters = {label: [one for one in members if label in one.labels] for label in labels}
    if nobody := [label for label, those in voters.items() if not those]:
        raise TrainingError(
            f"no member has {', '.join(nobody)}",
            "add a member that has; its labels stand in id2label of its config.json",
        )

    def probabilities(texts: Sequence[str]) -> Floats:
        votes = [_votes(one, texts, labels) for one in members]
        mean: Floats = np.nanmean(votes, axis=0)
        return mean

    thresholds = {
        label: float(np.mean([one.thresholds[label] for one in those]))
        for label, those in voters.items()
    }
    name = f"mean of {', '.join(one.name for one in members)}"
    return Predictor(name, tuple(labels), thresholds, probabilities)


def held_out_by(members: Sequence[Predictor]) -> str | None:
    """Return the fingerprint of the rows that all members held out.

    Members that held out different rows have between them learnt from all of them: what they
    say together of a held-out row is worth nothing, and a student of theirs has seen it, too.

    Returns:
        None if it is not known of every member; that is said aloud.

    Raises:
        TrainingError: two of them held out different rows.
    """
    found = {
        f"{i}. {one.name}": _held_out_by(one) for i, one in enumerate(members, start=1)
    }  # bundles of several seeds often have one name
    known = {name: fingerprint for name, fingerprint in found.items() if fingerprint}
    if len(set(known.values())) > 1:
        raise TrainingError(
            f"the members held out different rows: "
            f"{', '.join(f'{name} has {fingerprint}' for name, fingerprint in known.items())}",
            "each has learnt from rows that another held out; train all of them with one "
            "--split-seed and the same files to hold out from",
        )
    if unknown := [name for name in found if name not in known]:
        say(
            f"WARNING: nothing says which rows {', '.join(unknown)} held out. What has learnt "
            "from held-out rows leaks them: trust no figure on them until you know better"
        )
        return None
    return next(iter(known.values()), None)


def _votes(one: Predictor, texts: Sequence[str], labels: Sequence[str]) -> Floats:
    """Return [texts, labels] probabilities, NaN where the member has no vote."""
    has = [i for i, label in enumerate(labels) if label in one.labels]
    votes = np.full((len(texts), len(labels)), np.nan)
    votes[:, has] = one.of(texts, [labels[i] for i in has])
    return votes


def _held_out_by(one: Predictor) -> str | None:
    """Return the fingerprint of the rows that a member has never heard of, if it is known."""
    if one.manifest is None or may_know(one.manifest):
        return None
    data = one.manifest.metrics.get("data", {})
    fingerprint: str | None = data.get("held_out_fingerprint")
    return fingerprint
