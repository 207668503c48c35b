"""Who made what is deployed: models and images signed when they are made, checked before they serve."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tidemill.app.project import Project
from tidemill.app.wiring import App
from tidemill.base.errors import ConflictError, FailedError, UsageError
from tidemill.base.files import write_atomic
from tidemill.record.ports import ModelVersion
from tidemill.release.signing import (
    Signature,
    Signer,
    digest_path,
    find_signer,
    from_tags,
    image_payload,
    model_payload,
    speaks_of,
    to_tag,
)
from tidemill.spec.project import Stage

KEY = "TIDEMILL_SIGNING_KEY"
PASSPHRASE = "TIDEMILL_KEY_PASSPHRASE"  # noqa: S105 - the name of the variable


def create_keys(app: App, name: str, folder: Path, kind: str) -> tuple[Path, Path, str]:
    """`NAME.key` (readable by its owner alone) and `NAME.pub`, with the fingerprint; neither is ever overwritten."""
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (private, public):
        if path.exists():
            raise ConflictError(f"`{path}` exists", hint="Keys are not overwritten; choose another name.")
    secret, shown = app.signer.create(kind, os.environ.get(PASSPHRASE, "").encode())
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(private, secret, mode=0o600)
    write_atomic(public, shown)
    return private, public, app.signer.fingerprint(public)


def signing_key(folder: Path, stage: Stage | None) -> Path | None:
    """The private key: `TIDEMILL_SIGNING_KEY`, else the stage's `signing_key`."""
    named = os.environ.get(KEY) or (stage.signing_key if stage is not None else None)
    return folder / named if named else None


def sign_model(app: App, version: ModelVersion, key: Path) -> str:
    """Sign a version as its bytes are now; the key's fingerprint. `FailedError` when they are not those registered."""
    _require_bytes(version)
    signer: Signer = app.signer
    value, fingerprint = signer.sign(key, model_payload(version.name, version.version, version.digest))
    app.registry.set_tags(version.name, version.version, to_tag(fingerprint, value))
    return fingerprint


def verify_model(app: App, version: ModelVersion, keys: Sequence[Path]) -> str:
    """Which trusted key signed the version; `FailedError` when none did, or when its bytes changed since."""
    _require_bytes(version)
    payload = model_payload(version.name, version.version, version.digest)
    tags = app.registry.get(version.name, version.version).tags
    return _require(
        app,
        f"{version.name}:{version.version} ({version.digest[:12]})",
        keys,
        [Signature(payload, v) for v in from_tags(tags)],
    )


def sign_image(app: App, reference: str, key: Path) -> None:
    """Sign an image named by digest, unless that key did before."""
    repository, _, digest = reference.partition("@")
    payload = image_payload(repository, digest)
    present = app.builder.signatures(reference)
    value, fingerprint = app.signer.sign(key, payload)
    if not any(s.payload == payload and _made_by(app, key, s, fingerprint) for s in present):
        app.builder.attach(reference, Signature(payload, value))


def verify_image(app: App, reference: str, keys: Sequence[Path]) -> str:
    """Which trusted key signed the image; `FailedError` when none did. The digest in the reference is what is checked."""
    repository, _, digest = reference.partition("@")
    found = [s for s in app.builder.signatures(reference) if speaks_of(s.payload, repository, digest)]
    return _require(app, f"the image {repository}@{digest[:19]}", keys, found)


def trusted_keys(project: Project, stage_name: str, stage: Stage) -> list[Path]:
    """The stage's public keys when it requires signatures, else none; `UsageError` when it requires but names none."""
    if stage.signatures != "required":
        return []
    if not stage.trusted_keys:
        raise UsageError(
            f"Stage {stage_name} requires signatures but names no `trusted_keys`",
            hint="Make a pair with `tidemill keys create NAME`, and add: trusted_keys: [NAME.pub]",
        )
    return [project.folder / k for k in stage.trusted_keys]


def _made_by(app: App, key: Path, signature: Signature, fingerprint: str) -> bool:
    """Whether the private key's public half made it; the half that lies beside it is asked, if it is there."""
    public = key.with_suffix(".pub")
    if not public.exists() or app.signer.fingerprint(public) != fingerprint:
        return False
    return bool(app.signer.verify(public, signature.value, signature.payload))


def _require_bytes(version: ModelVersion) -> None:
    now = digest_path(version.path)
    if now != version.digest:
        raise FailedError(
            f"{version.name}:{version.version} was changed after it was registered: its bytes are {now[:12]}, registered were {version.digest[:12]}",
            hint="It is not deployed. Register the model again, and find out who wrote to the registry's folder.",
        )


def _require(app: App, what: str, keys: Sequence[Path], signatures: Sequence[Signature]) -> str:
    made_by = find_signer(app.signer, keys, signatures)
    if made_by is None:
        trusted = ", ".join(f"{k.name} ({app.signer.fingerprint(k)})" for k in keys)
        why = f"none of its {len(signatures)} signatures is" if signatures else "it has no signature, none"
        raise FailedError(
            f"{what} is not signed by a trusted key: {why} of {trusted}",
            hint="Sign it: TIDEMILL_SIGNING_KEY=NAME.key tidemill up, or tidemill model sign. It is not deployed.",
        )
    fingerprint: str = app.signer.fingerprint(made_by)
    return fingerprint
