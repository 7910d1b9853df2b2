"""`tidegate sign`."""

from pathlib import Path

import click

from schemas.bundle import MANIFEST, SIGNATURE, read_manifest, verify
from schemas.errors import BundleError, SettingsError


@click.command("sign")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    help="A private key of an elliptic curve, in PEM, without a password.",
)
def command(bundle: Path, key: Path) -> None:
    """Sign a bundle, so that workers with TIDEGATE_BUNDLE_KEY load it and no other.

    Signed is bundle.json, which holds the hashes of the other files; those that are there are
    checked first. The signature, bundle.json.sig, is in the format of OpenSSF Model Signing, and
    goes with copies of the bundle.

    A private key: openssl ecparam -name prime256v1 -genkey -noout -out private.pem

    Its public one: openssl ec -in private.pem -pubout -out public.pem

    Example: tidegate sign my-bundle --key private.pem
    """
    try:
        from model_signing import signing  # noqa: PLC0415 - half a second, and an extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            "tidegate sign: what signs is not installed", "pip install 'tidegate[sign]'"
        ) from error
    manifest = read_manifest(bundle)
    there = tuple(name for name in manifest.files if (bundle / name).is_file())
    verify(bundle, manifest, there)
    try:
        config = signing.Config()  # type: ignore[no-untyped-call]
        signer = config.use_elliptic_key_signer(private_key=key)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # the last one of RSA keys
        raise SettingsError(
            f"--key {key} cannot be read as a private key of an elliptic curve, in PEM",
            "see `tidegate sign --help` for how to make one",
        ) from error
    try:
        signer.sign(bundle / MANIFEST, bundle / SIGNATURE)
    except OSError as error:
        raise BundleError(
            f"{bundle / SIGNATURE} cannot be written: {error.strerror}", "look at its rights"
        ) from error
    click.echo(f"{bundle / SIGNATURE} signs {manifest.name} {manifest.version}", err=True)
