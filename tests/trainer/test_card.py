"""The card: what was measured stands in it, what was not is left out."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.bundle import BundleManifest, ScoreMap, read_manifest
from trainer.card import card

FOUND = {"recall_kept": 0.9, "recall_kept_interval": [0.88, 0.92], "false_alarms_added": 0.004,
         "false_alarms_added_interval": [0.0, 0.008]}  # fmt: skip
STRENGTH = {"plain": {"recall": 0.93, "false_alarms": 0.06}, "kinds": {"leet": FOUND}}
WORST = {"term": "gay", "value": 0.81, "interval": [0.78, 0.84], "below_overall": 0.1}
BIAS = {"madlibs.csv": {"auc": 0.91, "auc_interval": [0.9, 0.92], "worst": {"bpsn_auc": WORST}}}


def with_metrics(bundle: Path, **more: Any) -> BundleManifest:
    """Return the bundle's manifest with more metrics."""
    manifest = read_manifest(bundle)
    return manifest.model_copy(update={"metrics": manifest.metrics | more})


def test_what_was_measured_of_disguise_and_bias_stands_in_the_card(bundle: Path) -> None:
    """With the intervals and the group that is judged worst."""
    found = card(with_metrics(bundle, strength=STRENGTH, bias=BIAS))

    assert "| leet | 0.9000 [0.880, 0.920] |" in found
    assert "0.8100 (gay) [0.780, 0.840]" in found


@pytest.mark.parametrize("heading", ["## Disguise", "## Bias", "## Other scales"])
def test_what_was_not_measured_has_no_heading(bundle: Path, heading: str) -> None:
    """An empty table would say that nothing was found."""
    manifest = read_manifest(bundle)
    metrics = {k: v for k, v in manifest.metrics.items() if k not in {"strength", "bias"}}

    assert heading not in card(manifest.model_copy(update={"metrics": metrics}))


def test_the_maps_of_a_bundle_are_named(bundle: Path) -> None:
    """By the scale and the labels that they are for."""
    maps = {"perspective": {"toxic": ScoreMap(x=[0, 1], y=[0, 1])}}

    found = card(read_manifest(bundle).model_copy(update={"score_maps": maps}))

    assert "- `perspective`: `toxic`" in found


def test_where_training_began_and_who_taught_stands_in_the_card(bundle: Path) -> None:
    """Nobody else could know of which rows and models the weights have heard."""
    manifest = read_manifest(bundle)
    training = manifest.metrics["training"] | {
        "began_at": {"name": "mean", "version": "0123456789abcdef", "may_know": ["a.csv"]},
        "teacher": {"file": "t.parquet", "fingerprint": "fedcba9876543210", "share": 0.5},
    }

    found = card(manifest.model_copy(update={"metrics": manifest.metrics | {"training": training}}))

    assert "began at the weights of `mean` 0123456789abcdef" in found
    assert "That bundle had learnt from `a.csv` when other rows were held out" in found
    assert "`t.parquet` fedcba9876543210, with a share of 0.5" in found


def test_the_hub_reads_a_figure_for_every_label(bundle: Path) -> None:
    """Means first, then the labels."""
    head = yaml.safe_load(card(read_manifest(bundle)).split("---")[1])

    names = [metric["name"] for metric in head["model-index"][0]["results"][0]["metrics"]]
    assert names[:3] == ["mean roc_auc", "mean f1", "roc_auc toxic"]
