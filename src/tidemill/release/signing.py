"""What is signed of a model and of an image, and when a signature counts. Pure: the keys are somebody else's business."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tidemill.base.hashing import digest_file, digest_tree, hash_folder

TAG = "signature."
SIMPLE_SIGNING = "cosign container image signature"


@dataclass(frozen=True, slots=True)
class Signature:
    """Bytes that were signed, and the signature over them."""

    payload: bytes
    value: bytes


class Signer(Protocol):
    """Makes and checks signatures with keys in PEM files."""

    def create(self, kind: str, passphrase: bytes) -> tuple[bytes, bytes]:
        """A new private and public key."""
        ...

    def sign(self, private: Path, data: bytes) -> tuple[bytes, str]:
        """Signature of `data`, and the fingerprint of the key."""
        ...

    def verify(self, public: Path, signature: bytes, data: bytes) -> bool:
        """Whether the key made that signature of `data`."""
        ...

    def fingerprint(self, public: Path) -> str:
        """What people compare: the start of the SHA-256 of the public key."""
        ...


def model_payload(name: str, version: str, digest: str) -> bytes:
    """A version's name and content as bytes that are the same everywhere."""
    about = {"model": name, "version": version, "digest": f"sha256:{digest}"}
    return json.dumps(about, sort_keys=True, separators=(",", ":")).encode()


def image_payload(repository: str, digest: str) -> bytes:
    """The simple signing format, as cosign writes it."""
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": SIMPLE_SIGNING,
    }
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def speaks_of(payload: bytes, repository: str, digest: str) -> bool:
    """Whether a signed payload is about that image: a good signature of another image proves nothing."""
    try:
        critical: Mapping[str, Any] = json.loads(payload)["critical"]
        return bool(
            critical["image"]["docker-manifest-digest"] == digest
            and critical["type"] == SIMPLE_SIGNING
            and critical["identity"]["docker-reference"] in {repository, ""}
        )
    except (ValueError, KeyError, TypeError):
        return False


def digest_path(path: Path) -> str:
    """The digest of a model's bytes as they are now, not as they were noted."""
    return digest_tree(hash_folder(path)) if path.is_dir() else digest_file(path)


def to_tag(fingerprint: str, value: bytes) -> dict[str, str]:
    """A model's signature as a tag of its version."""
    return {f"{TAG}{fingerprint}": base64.b64encode(value).decode()}


def from_tags(tags: Mapping[str, str]) -> list[bytes]:
    """The signatures among a version's tags; what is not one is left out."""
    found = []
    for key, text in tags.items():
        if key.startswith(TAG):
            try:
                found.append(base64.b64decode(text, validate=True))
            except ValueError:
                continue
    return found


def find_signer(signer: Signer, keys: Sequence[Path], signatures: Sequence[Signature]) -> Path | None:
    """The first trusted key that made one of the signatures."""
    return next((k for k in keys for s in signatures if signer.verify(k, s.value, s.payload)), None)
