"""Policies: the default, what a community changes, and what is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import structlog
from pydantic import ValidationError

from rig.stub import THRESHOLD, stub_manifest
from schemas.bundle import ScoreMap
from schemas.errors import SettingsError
from schemas.labels import LABELS
from schemas.policy import LabelPolicy, Policy
from worker.policies import REMOVE_AT, load_policies


def policy_file(folder: Path, **changes: object) -> Path:
    """Write a policy with changes to it."""
    raw = {"version": "p1", "default": {label: {"review": 0.5} for label in LABELS}}
    path = folder / "policy.json"
    path.write_text(json.dumps(raw | changes))
    return path


def test_without_a_file_the_bundles_thresholds_hold() -> None:
    """Review at the bundle's threshold, removal where 95 of 100 have the label."""
    policies = load_policies(None, stub_manifest())

    found = policies.thresholds("anywhere")
    assert f"bundle-{stub_manifest().version}" == policies.version
    assert found.review.tolist() == [THRESHOLD] * 6
    assert found.remove.tolist() == [REMOVE_AT] * 6


def test_a_community_overrides_only_what_it_names(tmp_path: Path) -> None:
    """All else, and every other community, takes the default."""
    strict = {"threat": {"review": 0.1, "remove": 0.2}}
    path = policy_file(tmp_path, communities={"kids": strict})

    policies = load_policies(path, stub_manifest())

    place = LABELS.index("threat")
    kids, rest = policies.thresholds("kids"), policies.thresholds("elsewhere")
    assert (kids.review[place], kids.remove[place]) == (0.1, 0.2)
    assert np.delete(kids.review, place).tolist() == [0.5] * 5
    assert [0.5] * 6 == rest.review.tolist() == policies.thresholds(None).review.tolist()
    assert [np.inf] * 6 == rest.remove.tolist()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"communities": {"kids": {"thret": {"review": 0.1}}}}, "thret"),
        ({"default": {"toxic": {"review": 0.5}}}, "its default speaks of toxic"),
        ({"default": {x: {"review": 0.9, "remove": 0.1} for x in LABELS}}, "remove (0.1) is below"),
        ({"default": {x: {"review": 1.5} for x in LABELS}}, "review"),
        ({"versoin": "p1"}, "versoin"),
    ],
)
def test_a_policy_that_is_wrong_is_named(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    """The file, and what in it is wrong."""
    path = policy_file(tmp_path, **changes)

    with pytest.raises(SettingsError) as caught:
        load_policies(path, stub_manifest())

    assert str(path) in caught.value.what
    assert named in caught.value.what


HALVES = {label: ScoreMap(x=[0, 0.8, 1], y=[0, 0.4, 0.9]) for label in LABELS}


def test_thresholds_on_another_scale_are_brought_to_the_bundles_own(tmp_path: Path) -> None:
    """0.4 there is 0.8 here; what that scale never reaches is never flagged; null stays never."""
    manifest = stub_manifest().model_copy(update={"score_maps": {"perspective": HALVES}})
    default = {label: {"review": 0.4} for label in LABELS} | {
        "toxic": {"review": 0.65, "remove": 0.95}
    }
    path = policy_file(tmp_path, scale="perspective", default=default)

    found = load_policies(path, manifest).thresholds("anywhere")

    assert found.review.tolist() == pytest.approx([0.9] + [0.8] * 5)
    assert found.remove.tolist() == [np.inf] * 6


def test_a_label_that_a_scale_never_reaches_is_named_at_the_start(tmp_path: Path) -> None:
    """Nothing of it would come before a person: that must not happen in silence."""
    manifest = stub_manifest().model_copy(update={"score_maps": {"perspective": HALVES}})
    path = policy_file(
        tmp_path, scale="perspective", communities={"kids": {"threat": {"review": 0.95}}}
    )

    with structlog.testing.capture_logs() as lines:
        load_policies(path, manifest)

    assert [(line["label"], line["community"], line["reaches"]) for line in lines] == [
        ("threat", "kids", 0.9)
    ]


def test_a_scale_that_is_the_bundles_own_needs_no_map(tmp_path: Path) -> None:
    """The policy that came with the bundle before goes on after a swap back."""
    path = policy_file(tmp_path, scale=stub_manifest().version)

    assert load_policies(path, stub_manifest()).thresholds(None).review.tolist() == [0.5] * 6


def test_a_scale_without_a_map_for_each_label_is_refused(tmp_path: Path) -> None:
    """Missing labels are named, and the scales that there are."""
    maps = {"perspective": {k: v for k, v in HALVES.items() if k != "threat"}}
    manifest = stub_manifest().model_copy(update={"score_maps": maps})

    for scale, missing in (("perspective", "for threat;"), ("prespective", "for toxic, ")):
        with pytest.raises(SettingsError, match=missing) as caught:
            load_policies(policy_file(tmp_path, scale=scale), manifest)
        assert "it has maps to perspective" in caught.value.what


def test_a_policy_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """The path, and the setting that names it."""
    with pytest.raises(SettingsError, match=r"none\.json") as caught:
        load_policies(tmp_path / "none.json", stub_manifest())

    assert "TIDEGATE_POLICY" in (caught.value.hint or "")


def test_removal_below_review_is_refused_by_the_model() -> None:
    """A comment that is removed is one that would have been reviewed."""
    with pytest.raises(ValidationError):
        LabelPolicy(review=0.5, remove=0.4)


def test_a_community_without_an_entry_takes_the_default() -> None:
    """No name at all, too."""
    policy = Policy(version="1", default={"toxic": LabelPolicy(review=0.5)})

    assert policy.default == policy.for_community("x") == policy.for_community(None)
