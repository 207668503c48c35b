"""Signatures of an image beside it in its registry, where cosign keeps and looks for them: the tag `sha256-….sig`."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import Any

from tidemill.backends.builders.oci.client import OCI_MANIFEST, RegistryClient
from tidemill.backends.builders.oci.reference import ImageName, parse_image
from tidemill.base.errors import NotFoundError
from tidemill.release.signing import Signature

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


def attach_signature(image: str, signature: Signature) -> None:
    """Put a signature beside the image named by digest; those that are there stay."""
    name = parse_image(image)
    with closing(RegistryClient(name.registry)) as client:
        layers = _layers(client, name)
        digest = client.push_bytes(name.repository, signature.payload)
        layers.append(
            {
                "mediaType": PAYLOAD,
                "digest": digest,
                "size": len(signature.payload),
                "annotations": {ANNOTATION: base64.b64encode(signature.value).decode()},
            }
        )
        diffs = [layer["digest"] for layer in layers]
        about = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}}
        config = json.dumps(about, sort_keys=True).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": OCI_CONFIG,
                "digest": client.push_bytes(name.repository, config),
                "size": len(config),
            },
            "layers": layers,
        }
        client.put_manifest(name.repository, _tag(name), manifest)


def read_signatures(image: str) -> list[Signature]:
    """All signatures beside the image named by digest."""
    name = parse_image(image)
    with closing(RegistryClient(name.registry)) as client:
        return [
            Signature(
                client.get_blob(name.repository, layer["digest"]),
                base64.b64decode(layer["annotations"][ANNOTATION]),
            )
            for layer in _layers(client, name)
            if ANNOTATION in layer.get("annotations", {})
        ]


def _layers(client: RegistryClient, name: ImageName) -> list[dict[str, Any]]:
    try:
        _, manifest = client.get_manifest(ImageName(name.registry, name.repository, tag=_tag(name)))
    except NotFoundError:
        return []
    return list(manifest["layers"])


def _tag(name: ImageName) -> str:
    return f"{name.digest.replace(':', '-')}.sig"
