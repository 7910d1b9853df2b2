"""Whether a bundle was signed by whom you trust: OpenSSF Model Signing, with a key.

Hashes in `bundle.json` stop accidents; who changes a file on purpose changes its hash, too. The
signature is over `bundle.json`, and so over the hashes of all other files.
"""

from pathlib import Path
from typing import Any

from schemas.bundle import MANIFEST, SIGNATURE
from schemas.errors import BundleError, SettingsError


def check_signature(folder: Path, public_key: Path) -> None:
    """Hold a bundle's manifest against its signature.

    Args:
        folder: of the bundle.
        public_key: PEM, of an elliptic curve (P-256, P-384 or P-521).

    Raises:
        BundleError: there is no signature, or it is not of this manifest by this key.
        SettingsError: there is no such key, or what checks signatures is not installed.
    """
    verifying = _verifying()
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise BundleError(
            f"bundle `{folder}`: {SIGNATURE} is not there, and TIDEGATE_BUNDLE_KEY asks for it",
            "sign it: `tidegate sign BUNDLE --key private.pem`",
        )
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (OSError, ValueError, AttributeError) as error:  # the last one of RSA keys
        raise SettingsError(
            f"bundle key `{public_key}` cannot be read",
            "TIDEGATE_BUNDLE_KEY is the public key of an elliptic curve, in PEM",
        ) from error
    try:
        verifier.verify(folder / MANIFEST, signature)
    except Exception as error:  # whatever is wrong with it, it is no valid signature
        raise BundleError(
            f"bundle `{folder}`: {SIGNATURE} is no signature of this {MANIFEST} by the key "
            f"`{public_key}`",
            "the bundle was changed after it was signed, or signed by somebody else",
        ) from error


def _verifying() -> Any:
    try:
        from model_signing import verifying  # noqa: PLC0415 - half a second, and an extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            "TIDEGATE_BUNDLE_KEY is set, and what checks signatures is not installed",
            "pip install 'tidegate[sign]'",
        ) from error
    return verifying
