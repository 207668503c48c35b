"""Base image plus layers → an image in a registry, addressed by its digest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.backends.builders.oci.archive import write_archive
from tidemill.backends.builders.oci.client import OCI_MANIFEST, RegistryClient
from tidemill.backends.builders.oci.layers import Layer, LayerFile, make_layer
from tidemill.backends.builders.oci.reference import ImageName, parse_image
from tidemill.backends.builders.oci.signatures import attach_signature, read_signatures
from tidemill.base.hashing import digest_bytes
from tidemill.release.package import BuiltImage, ImageLayer, Package
from tidemill.release.ports import Prove
from tidemill.release.signing import Signature

EPOCH = "1970-01-01T00:00:00Z"  # the same inputs must give the same digest, whatever the day
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class OciBuilder:
    """An `ImageBuilder` that needs no daemon; `cache` keeps layers between builds."""

    cache: Path

    def build(self, package: Package, image: str, *, tags: Sequence[str], prove: Prove | None = None) -> BuiltImage:
        """Push `package` as `image` under every tag; the same package gives the same digest and sends nothing.

        An image that the registry does not hold yet goes to `prove` first, as an archive; what that raises stops the push.
        """
        target = parse_image(image)
        base = parse_image(package.base_image)
        layers = [make_layer(_files(layer), self.cache) for layer in package.layers]
        with ExitStack() as stack:
            there = stack.enter_context(closing(RegistryClient(target.registry)))
            source = (
                there
                if base.registry == target.registry
                else stack.enter_context(closing(RegistryClient(base.registry)))
            )
            base_digest, base_manifest = source.get_manifest(base)
            base_config = json.loads(source.get_blob(base.repository, base_manifest["config"]["digest"]))
            config = _config(package, base_config, base_digest, layers)
            manifest = _manifest(f"sha256:{digest_bytes(config)}", len(config), base_manifest["layers"], layers)
            if prove is not None and not there.has_manifest(target.repository, manifest):
                below = [
                    source.fetch_blob(base.repository, blob["digest"], self.cache) for blob in base_manifest["layers"]
                ]
                with tempfile.TemporaryDirectory(dir=self.cache, prefix=".archive-") as folder:
                    archive = write_archive(
                        Path(folder) / "image.tar", config, [*below, *(layer.path for layer in layers)]
                    )
                    prove(archive, f"sha256:{digest_bytes(config)}")
            for blob in base_manifest["layers"]:
                there.copy_blob(source, base.repository, target.repository, blob["digest"], self.cache)
            for layer in layers:
                there.push_layer(target.repository, layer)
            there.push_bytes(target.repository, config)
            digest = ""
            for tag in tags:
                digest = there.put_manifest(target.repository, tag, manifest)
            return BuiltImage(
                str(ImageName(target.registry, target.repository, digest=digest)), digest, tuple(tags), there.sent_bytes
            )

    def holds(self, image: str) -> bool:
        """Whether the registry still has an image, by its digest."""
        name = parse_image(image)
        with closing(RegistryClient(name.registry)) as client:
            return client.has_digest(name.repository, name.digest)

    def python_of(self, image: str) -> str:
        """The Python (`3.11`) that an image says it has, as those of Python's own makers do; else empty."""
        name = parse_image(image)
        with closing(RegistryClient(name.registry)) as client:
            _, manifest = client.get_manifest(name)
            config = json.loads(client.get_blob(name.repository, manifest["config"]["digest"])).get("config") or {}
        said = next((v for v in config.get("Env") or () if v.startswith("PYTHON_VERSION=")), "")
        return ".".join(said.partition("=")[2].split(".")[:2])

    def attach(self, image: str, signature: Signature) -> None:
        """Put a signature beside an image."""
        attach_signature(image, signature)

    def remove(self, repository: str) -> bool:
        """Delete every image of a repository; whether the registry allows that."""
        name = parse_image(repository)
        with closing(RegistryClient(name.registry)) as client:
            return client.delete_all(name.repository)

    def signatures(self, image: str) -> list[Signature]:
        """The signatures beside an image."""
        return read_signatures(image)


def _files(layer: ImageLayer) -> list[LayerFile]:
    return [LayerFile(f.source, f.target, f.digest, f.executable) for f in layer.files]


def _config(package: Package, base: Mapping[str, Any], base_digest: str, layers: Sequence[Layer]) -> bytes:
    """The image's config: the base's, our layers on top, no dates."""
    inherited = dict(base.get("config", {}))
    env = dict(e.split("=", 1) for e in inherited.get("Env", []))
    env.update(package.environment)
    settings = {
        **inherited,
        "Env": [f"{k}={v}" for k, v in sorted(env.items())],
        "Entrypoint": list(package.entrypoint),
        "Cmd": list(package.arguments),
        "User": package.user,
        "WorkingDir": package.working_dir,
        "ExposedPorts": {f"{package.port}/tcp": {}},
        "Labels": {**package.labels, "org.opencontainers.image.base.digest": base_digest},
    }
    history = [{"created": EPOCH, "created_by": f"tidemill: {layer.name}"} for layer in package.layers]
    content = {
        "created": EPOCH,
        "architecture": base.get("architecture", "amd64"),
        "os": base.get("os", "linux"),
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], *(layer.diff_id for layer in layers)]},
        "history": [*base.get("history", []), *history],
    }
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def _manifest(
    config_digest: str, config_size: int, base_layers: Sequence[Mapping[str, Any]], layers: Sequence[Layer]
) -> dict[str, Any]:
    ours = [{"mediaType": OCI_LAYER, "digest": layer.digest, "size": layer.size_bytes} for layer in layers]
    theirs = [{"mediaType": OCI_LAYER, "digest": blob["digest"], "size": blob["size"]} for blob in base_layers]
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": config_size},
        "layers": [*theirs, *ours],
    }


def open_builder(home: Path) -> OciBuilder:
    """The builder that keeps its layers below `home`."""
    return OciBuilder(home / "images")
