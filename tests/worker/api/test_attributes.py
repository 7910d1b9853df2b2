"""Attributes: Perspective's names, old ones too, for the labels of any bundle."""

import pytest

from schemas.labels import LABELS
from worker.api.attributes import Attributes


@pytest.mark.parametrize(
    ("attribute", "label"),
    [
        ("TOXICITY", "toxic"),
        ("SEVERE_TOXICITY", "severe_toxic"),
        ("PROFANITY", "obscene"),
        ("OBSCENE", "obscene"),
        ("THREAT", "threat"),
        ("INSULT", "insult"),
        ("IDENTITY_ATTACK", "identity_hate"),
        ("TOXICITY@6", "toxic"),
        ("IDENTITY_ATTACK_EXPERIMENTAL", "identity_hate"),
        ("FLIRTATION", None),
        ("toxicity", None),
        ("TOXIC", None),
        ("", None),
    ],
)
def test_an_attribute_has_its_label(attribute: str, label: str | None) -> None:
    """Or none: then there is no model for it here."""
    found = Attributes(LABELS).label(attribute)

    assert found == label


def test_another_bundles_labels_go_by_their_own_names() -> None:
    """A bundle with other labels works without a change in code."""
    attributes = Attributes(["spam", "toxic"])

    assert attributes.label("SPAM") == "spam"
    assert attributes.names == ["SPAM", "TOXICITY"]
