"""Which policy holds: the one that was given, or the bundle's own thresholds."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.bundle import BundleManifest
from schemas.errors import SettingsError
from schemas.policy import LabelPolicy, Policy

# Where nobody gave a policy: removed unread where 95 of 100 such comments have the label.
# Probabilities are calibrated, so this means the same for each label.
REMOVE_AT: Final = 0.95


class Thresholds(NamedTuple):
    """The thresholds of one community, float64 [labels]; a remove of infinity is never met."""

    review: NDArray[np.float64]
    remove: NDArray[np.float64]


class Policies:
    """Thresholds by community, as arrays in the bundle's order of labels."""

    def __init__(self, policy: Policy, labels: list[str]) -> None:
        self.version = policy.version
        self._labels = labels
        self._default = self._arrays(policy.default)
        self._communities = {
            name: self._arrays(policy.for_community(name)) for name in policy.communities
        }

    def thresholds(self, community: str | None) -> Thresholds:
        """Return the thresholds that hold in a community."""
        return self._communities.get(community or "", self._default)

    def _arrays(self, by_label: dict[str, LabelPolicy]) -> Thresholds:
        chosen = [by_label[label] for label in self._labels]
        return Thresholds(
            np.array([c.review for c in chosen]),
            np.array([np.inf if c.remove is None else c.remove for c in chosen]),
        )


def load_policies(file: Path | None, manifest: BundleManifest) -> Policies:
    """Read the policy file, or make a policy of the bundle's thresholds.

    Raises:
        SettingsError: the file cannot be read, or speaks of other labels than the bundle.
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
    return Policies(policy, manifest.labels)


def _of_bundle(manifest: BundleManifest) -> Policy:
    return Policy(
        version=f"bundle-{manifest.version}",
        default={
            label: LabelPolicy(review=threshold, remove=max(threshold, REMOVE_AT))
            for label, threshold in manifest.thresholds.items()
        },
    )
