"""Keys in PEM files: ECDSA on P-256 (what cosign makes) or Ed25519, the private one under a passphrase."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tidemill.base.errors import UsageError
from tidemill.base.hashing import digest_bytes

PASSPHRASE = "TIDEMILL_KEY_PASSPHRASE"  # noqa: S105 - the name of the variable
SHORT = 16


class PemSigner:
    """A `Signer`. Stateless."""

    def create(self, kind: str, passphrase: bytes) -> tuple[bytes, bytes]:
        """A new private and public key as PEM; without a passphrase the private one is in the clear."""
        key: Any = (
            ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
        )
        secret: Any = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
        return private, _public_pem(key.public_key())

    def sign(self, private: Path, data: bytes) -> tuple[bytes, str]:
        """Signature of `data`, and the fingerprint of the key; `UsageError` for a key that cannot be opened."""
        key = _load_private(private)
        value = key.sign(data, ec.ECDSA(hashes.SHA256())) if _is_ec(key) else key.sign(data)
        return value, _fingerprint(key.public_key())

    def verify(self, public: Path, signature: bytes, data: bytes) -> bool:
        """Whether the key made that signature of `data`."""
        key = _load_public(public)
        try:
            if _is_ec(key):
                key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
            else:
                key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def fingerprint(self, public: Path) -> str:
        """The start of the SHA-256 of the public key."""
        return _fingerprint(_load_public(public))


def _is_ec(key: Any) -> bool:  # noqa: ANN401 - the SDK's keys of two kinds
    return isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey))


def _load_private(path: Path) -> Any:  # noqa: ANN401
    passphrase = os.environ.get(PASSPHRASE, "").encode()
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, passphrase or None)
    except TypeError as exc:  # a passphrase is missing, or given for a key that has none
        if not passphrase:
            raise UsageError(f"`{path}` is under a passphrase", hint=f"Put it into {PASSPHRASE}.") from exc
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UsageError(
            f"`{path}` is no private key that can be opened: {exc}", hint=f"Is {PASSPHRASE} the right one?"
        ) from exc
    return _known(key, path, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)


def _load_public(path: Path) -> Any:  # noqa: ANN401
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UsageError(f"`{path}` is no public key: {exc}", hint="Make one: tidemill keys create NAME") from exc
    return _known(key, path, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)


def _known(key: Any, path: Path, *kinds: type[Any]) -> Any:  # noqa: ANN401
    if not isinstance(key, kinds):
        raise UsageError(f"`{path}` is a key of another kind than ECDSA or Ed25519")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"The key `{path}` cannot be read: {exc.strerror}") from exc


def _public_pem(key: Any) -> bytes:  # noqa: ANN401
    pem: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def _fingerprint(key: Any) -> str:  # noqa: ANN401
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return digest_bytes(der)[:SHORT]


def open_signer() -> PemSigner:
    """The signer."""
    return PemSigner()
