"""Files under deploy/kubernetes, whatever they deploy, against the schemas of Kubernetes."""

from pathlib import Path
from typing import Final

import pytest

from rig.kustomize import VERSIONS, build, load, manifests, validate

KUBERNETES: Final = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASES: Final = ["base", "api"]
WHOLE: Final = [("base", "base"), ("base", "overlay"), ("api", "api"), ("api", "api-overlay")]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "path",
    [path for folder in sorted(KUBERNETES.iterdir()) for path in manifests(folder)],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_each_manifest_follows_the_schema_of_its_kind(path: Path, version: str) -> None:
    """Strictly: a field that Kubernetes would drop in silence is an error here."""
    done = validate(path, version)

    assert done.returncode == 0, done.stdout
    assert f"passed for resource {load(path)['kind'].lower()}/" in done.stdout


def test_the_check_against_schemas_finds_a_misspelt_field(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    wrong = tmp_path / "statefulset.yaml"
    text = (KUBERNETES / "base" / "statefulset.yaml").read_text()
    wrong.write_text(text.replace("enableServiceLinks", "enableServiceLink"))

    done = validate(wrong, VERSIONS[-1])

    assert done.returncode != 0
    assert "enableServiceLink" in done.stdout


@pytest.mark.parametrize(("base", "folder"), WHOLE, ids=[folder for _, folder in WHOLE])
def test_what_kustomize_makes_follows_the_schemas(base: str, folder: str, tmp_path: Path) -> None:
    """A base and its overlay, with names rewritten and settings merged."""
    out = tmp_path / "built.yaml"
    out.write_text(build(KUBERNETES / folder))
    resources = len(manifests(KUBERNETES / base)) + 1  # the ConfigMap

    done = validate(out, VERSIONS[-1])

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("passed for resource") == resources


@pytest.mark.parametrize("base", BASES)
def test_the_kustomization_lists_every_file_of_its_folder(base: str) -> None:
    """One that was forgotten would be deployed nowhere, and missed by nobody."""
    folder = KUBERNETES / base
    kustomization = load(folder / "kustomization.yaml")
    (generated,) = kustomization["configMapGenerator"]

    assert kustomization["resources"] == [path.name for path in manifests(folder)]
    assert {path.name for path in folder.iterdir()} == {
        "kustomization.yaml",
        *kustomization["resources"],
        *generated["envs"],
    }
