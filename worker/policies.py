"""Which policy holds: the one that was given, or the bundle's own thresholds."""

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.bundle import BundleManifest, ScoreMap
from schemas.errors import SettingsError
from schemas.policy import LabelPolicy, Policy

log = structlog.get_logger()

# Where nobody gave a policy: removed unread where 95 of 100 such comments have the label.
# Probabilities are calibrated, so this means the same for each label.
REMOVE_AT: Final = 0.95


Maps = Mapping[str, ScoreMap]


class Thresholds(NamedTuple):
    """The thresholds of one community, float64 [labels]; a remove of infinity is never met."""

    review: NDArray[np.float64]
    remove: NDArray[np.float64]


class Policies:
    """Thresholds by community, as arrays in the bundle's order of labels."""

    def __init__(self, policy: Policy, labels: list[str], maps: Maps | None = None) -> None:
        self.version = policy.version
        self._labels = labels
        self._maps = maps or {}
        self._default = self._arrays(policy.default)
        self._communities = {
            name: self._arrays(policy.for_community(name)) for name in policy.communities
        }

    def thresholds(self, community: str | None) -> Thresholds:
        """Return the thresholds that hold in a community."""
        return self._communities.get(community or "", self._default)

    def _arrays(self, by_label: dict[str, LabelPolicy]) -> Thresholds:
        chosen = [self._on_our_scale(label, by_label[label]) for label in self._labels]
        return Thresholds(*(np.array(column) for column in zip(*chosen, strict=True)))

    def _on_our_scale(self, label: str, chosen: LabelPolicy) -> tuple[float, float]:
        """Return both thresholds in probabilities of the bundle's own.

        Mapped are the thresholds, once, rather than every score: a map is monotone, so that the
        decisions are the same.
        """
        review, remove = chosen.review, inf if chosen.remove is None else chosen.remove
        score_map = self._maps.get(label)
        if score_map is None:
            return review, remove
        return score_map.threshold(review), score_map.threshold(remove)


def load_policies(file: Path | None, manifest: BundleManifest) -> Policies:
    """Read the policy file, or make a policy of the bundle's thresholds.

    Raises:
        SettingsError: the file cannot be read, or speaks of other labels than the bundle or of
            a scale that it has no map to.
    """
    if file is None:
        return Policies(_of_bundle(manifest), manifest.labels)
    try:
        policy = Policy.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"policy {file}: {error.strerror}", "check TIDEGATE_POLICY") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"policy {file}: {where}: {message}", "see docs/policy.md") from error
    if set(policy.default) != set(manifest.labels):
        raise SettingsError(
            f"policy {file}: its default speaks of {', '.join(sorted(policy.default))}; "
            f"bundle `{manifest.name}` has {', '.join(sorted(manifest.labels))}",
            "give each label of the bundle its entry in `default`",
        )
    return Policies(policy, manifest.labels, _maps(file, policy, manifest))


def _maps(file: Path, policy: Policy, manifest: BundleManifest) -> Maps:
    """Return the maps to the scale that the policy's thresholds are on."""
    if policy.scale is None or policy.scale == manifest.version:
        return {}
    maps = manifest.score_maps.get(policy.scale, {})
    if missing := [label for label in manifest.labels if label not in maps]:
        raise SettingsError(
            f"policy {file}: scale: bundle `{manifest.name}` {manifest.version} has no map to "
            f"{policy.scale} for {', '.join(missing)}; it has maps to "
            f"{', '.join(manifest.score_maps) or 'no other scale'}",
            "leave `scale` out to set thresholds on the bundle's own probabilities, or add a map: "
            "`tidegate evaluate --against OLD --write`",
        )
    _warn_of_what_is_never_set(policy, maps)
    return maps


def _warn_of_what_is_never_set(policy: Policy, maps: Maps) -> None:
    """Say of which labels nobody would ever see a comment: a map reaches only so high."""
    for community in (None, *policy.communities):
        for label, chosen in policy.for_community(community).items():
            if maps[label].threshold(chosen.review) == inf:
                log.warning(
                    "label is never set: its review is over all that the map reaches",
                    label=label,
                    community=community,
                    review=chosen.review,
                    reaches=maps[label].y[-1],
                )


def _of_bundle(manifest: BundleManifest) -> Policy:
    return Policy(
        version=f"bundle-{manifest.version}",
        default={
            label: LabelPolicy(review=threshold, remove=max(threshold, REMOVE_AT))
            for label, threshold in manifest.thresholds.items()
        },
    )
