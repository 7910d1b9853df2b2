"""Signed bundles: what is taken, and what is refused, with keys made here."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from deploy.cli import main
from rig.stub import stub_manifest
from schemas.bundle import (
    CONFIG,
    GOLDEN,
    MANIFEST,
    SIGNATURE,
    TOKENIZER,
    content_version,
    file_entry,
)
from schemas.errors import BundleError, SettingsError
from worker.bundle import open_bundle


def key_pair(folder: Path, name: str, made: PrivateKeyTypes | None = None) -> tuple[Path, Path]:
    """Write a private and a public key as openssl does."""
    key = made or ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Give a private and a public key."""
    return key_pair(tmp_path, "ours")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Give a bundle whose manifest has the hashes of three small files."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in (CONFIG, TOKENIZER, GOLDEN):
        (folder / name).write_text("{}")
    write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> None:
    """Write the manifest that belongs to the files, as somebody could who changed one."""
    names = (CONFIG, TOKENIZER, GOLDEN)
    contents = stub_manifest().model_dump(mode="json") | {
        "files": {name: file_entry(folder / name).model_dump() for name in names}
    }
    contents["version"] = content_version(contents)
    (folder / MANIFEST).write_text(json.dumps(contents))


def signed(bundle: Path, private: Path) -> None:
    """Sign as a person does."""
    result = CliRunner().invoke(main, ["sign", str(bundle), "--key", str(private)])
    assert result.exit_code == 0, result.stderr


def test_a_bundle_that_was_signed_with_our_key_is_opened(
    bundle: Path, keys: tuple[Path, Path]
) -> None:
    """And one that nobody asks a signature of, too."""
    signed(bundle, keys[0])

    assert open_bundle(str(bundle), allow_unsigned=False, key=keys[1]).hashed
    assert open_bundle(str(bundle), allow_unsigned=False).hashed


def test_a_bundle_that_was_changed_whole_is_refused(bundle: Path, keys: tuple[Path, Path]) -> None:
    """The file, its hash and the version fit together: only the signature tells."""
    signed(bundle, keys[0])
    (bundle / TOKENIZER).write_text('{"evil": true}')
    write_manifest(bundle)

    with pytest.raises(BundleError, match=r"is no signature of this bundle\.json"):
        open_bundle(str(bundle), allow_unsigned=False, key=keys[1])


def test_a_signature_by_somebody_else_is_refused(
    bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """A valid one, by a key that was not given."""
    signed(bundle, key_pair(tmp_path, "theirs")[0])

    with pytest.raises(BundleError, match="is no signature"):
        open_bundle(str(bundle), allow_unsigned=False, key=keys[1])


@pytest.mark.parametrize("content", ["", "no JSON", "{}", '{"dsseEnvelope": {}}'])
def test_what_is_no_signature_is_refused(
    bundle: Path, keys: tuple[Path, Path], content: str
) -> None:
    """Whatever stands in the file, it is one clear error."""
    (bundle / SIGNATURE).write_text(content)

    with pytest.raises(BundleError, match="is no signature"):
        open_bundle(str(bundle), allow_unsigned=False, key=keys[1])


def test_a_bundle_without_a_signature_is_refused_where_a_key_is_set(
    bundle: Path, keys: tuple[Path, Path]
) -> None:
    """With the command that signs it."""
    with pytest.raises(BundleError, match="is not there") as caught:
        open_bundle(str(bundle), allow_unsigned=False, key=keys[1])

    assert "tidegate sign" in (caught.value.hint or "")


def test_a_checkpoint_is_refused_where_a_key_is_set(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    """Even if checkpoints are allowed: the stricter of the two holds."""
    (tmp_path / CONFIG).write_text("{}")

    with pytest.raises(BundleError, match="nothing to sign"):
        open_bundle(str(tmp_path), allow_unsigned=True, key=keys[1])


def test_a_key_that_is_missing_or_none_is_named(bundle: Path, tmp_path: Path) -> None:
    """The setting, not the bundle, is what is wrong."""
    signed(bundle, key_pair(tmp_path, "ours")[0])
    _, of_rsa = key_pair(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    (tmp_path / "text.pub").write_text("ssh-ed25519 AAAA")

    for key in (tmp_path / "none.pub", tmp_path / "text.pub", of_rsa):
        with pytest.raises(SettingsError) as caught:
            open_bundle(str(bundle), allow_unsigned=False, key=key)
        assert str(key) in caught.value.what
        assert "TIDEGATE_BUNDLE_KEY" in (caught.value.hint or "")


def test_what_was_changed_is_not_signed(bundle: Path, keys: tuple[Path, Path]) -> None:
    """A signature says that somebody looked."""
    (bundle / TOKENIZER).write_text("changed")

    result = CliRunner().invoke(main, ["sign", str(bundle), "--key", str(keys[0])])

    assert result.exit_code == 1
    assert "tokenizer.json has sha256" in result.stderr
    assert not (bundle / SIGNATURE).exists()


def test_a_private_key_that_cannot_be_read_is_named(bundle: Path, tmp_path: Path) -> None:
    """Missing, no key, a public one, or one of another kind."""
    (tmp_path / "text.pem").write_text("no key")
    _, public = key_pair(tmp_path, "ours")
    of_rsa, _ = key_pair(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))

    for key in (tmp_path / "none.pem", tmp_path / "text.pem", public, of_rsa):
        result = CliRunner().invoke(main, ["sign", str(bundle), "--key", str(key)])
        assert result.exit_code == 1, key
        assert f"--key {key} cannot be read" in result.stderr
