"""The distribution protocol: manifests and blobs of one registry, with its token and basic logins."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tidemill.backends.builders.oci.credentials import find_credentials
from tidemill.backends.builders.oci.layers import Layer
from tidemill.backends.builders.oci.reference import ImageName
from tidemill.base.errors import BackendError, NotFoundError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_bytes

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = f"{OCI_MANIFEST}, {DOCKER_MANIFEST}, {OCI_INDEX}, {DOCKER_LIST}"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@contextmanager
def speaking_to_registry(registry: str, what: str) -> Iterator[None]:
    """Turn the HTTP library's errors into ours, keeping the original as the cause."""
    try:
        yield
    except httpx.HTTPError as exc:
        raise BackendError(
            f"The registry `{registry}` did not answer while {what}: {exc}",
            hint="Check its address (`registry:` or `base_image:` of the stage) and that it runs.",
        ) from exc


def encode_manifest(manifest: Mapping[str, Any]) -> bytes:
    """The bytes a manifest's digest is of."""
    return json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()


class RegistryClient:
    """One registry. Blobs that are there already are not sent again."""

    def __init__(self, registry: str) -> None:
        self.registry = registry
        scheme = "http" if registry.split(":", maxsplit=1)[0] in LOOPBACK else "https"
        self._http = httpx.Client(
            base_url=f"{scheme}://{registry}", timeout=httpx.Timeout(30, read=300), follow_redirects=True
        )
        self._tokens: dict[str, str] = {}
        self.sent_bytes = 0

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def get_manifest(self, image: ImageName) -> tuple[str, dict[str, Any]]:
        """Digest and content of an image's manifest for linux/amd64."""
        answer = self._call(
            "GET", f"/v2/{image.repository}/manifests/{image.reference}", image.repository, headers={"Accept": ACCEPT}
        )
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise NotFoundError(
                f"There is no image `{image}` in the registry",
                hint="Correct its name and tag, or push it; what an image is built on is `base_image:` of the stage, `image:` of the compute.",
            )
        self._expect(answer, f"reading `{image}`", HTTPStatus.OK)
        manifest: dict[str, Any] = answer.json()
        if manifest.get("mediaType") in {OCI_INDEX, DOCKER_LIST}:
            wanted = next(
                (m for m in manifest["manifests"] if m.get("platform", {}).get("architecture") == "amd64"), None
            )
            if wanted is None:
                raise NotFoundError(f"`{image}` has no variant for linux/amd64")
            return self.get_manifest(ImageName(image.registry, image.repository, digest=wanted["digest"]))
        return f"sha256:{digest_bytes(answer.content)}", manifest

    def get_blob(self, repository: str, digest: str) -> bytes:
        """A small blob (a config), verified against its digest."""
        answer = self._call("GET", f"/v2/{repository}/blobs/{digest}", repository)
        self._expect(answer, f"reading blob {digest}", HTTPStatus.OK)
        if f"sha256:{digest_bytes(answer.content)}" != digest:
            raise BackendError(
                f"The registry sent other bytes than {digest}", hint="The image may have been tampered with."
            )
        return answer.content

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository holds that blob."""
        return self._call("HEAD", f"/v2/{repository}/blobs/{digest}", repository).status_code == HTTPStatus.OK

    def push_layer(self, repository: str, layer: Layer) -> None:
        """Send a layer unless it is there."""
        if not self.has_blob(repository, layer.digest):
            self._upload(repository, layer.digest, layer.path.read_bytes())

    def push_bytes(self, repository: str, data: bytes) -> str:
        """Send a small blob unless it is there; its digest."""
        digest = f"sha256:{digest_bytes(data)}"
        if not self.has_blob(repository, digest):
            self._upload(repository, digest, data)
        return digest

    def copy_blob(self, source: RegistryClient, origin: str, repository: str, digest: str, cache: Path) -> None:
        """Bring a base layer over: mounted within one registry, else through `cache`."""
        if self.has_blob(repository, digest):
            return
        if source.registry == self.registry:
            answer = self._call("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={origin}", repository)
            if answer.status_code == HTTPStatus.CREATED:
                return
        self._upload(repository, digest, source.fetch_blob(origin, digest, cache).read_bytes())

    def fetch_blob(self, repository: str, digest: str, cache: Path) -> Path:
        """A blob as a file of `cache`, brought once."""
        path = cache / digest.replace(":", "-")
        if path.exists():
            os.utime(path)  # what is in use is young, for who collects what is old
        else:
            write_atomic(path, self.get_blob(repository, digest))
        return path

    def has_manifest(self, repository: str, manifest: Mapping[str, Any]) -> bool:
        """Whether the repository holds an image with exactly that manifest."""
        return self.has_digest(repository, f"sha256:{digest_bytes(encode_manifest(manifest))}")

    def has_digest(self, repository: str, digest: str) -> bool:
        """Whether the repository holds the image of that digest."""
        path = f"/v2/{repository}/manifests/{digest}"
        return self._call("HEAD", path, repository, headers={"Accept": ACCEPT}).status_code == HTTPStatus.OK

    def put_manifest(self, repository: str, reference: str, manifest: Mapping[str, Any]) -> str:
        """Store a manifest under a tag or digest; its digest."""
        raw = encode_manifest(manifest)
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._call("PUT", path, repository, content=raw, headers={"Content-Type": OCI_MANIFEST})
        self._expect(answer, f"writing the manifest of `{repository}:{reference}`", HTTPStatus.CREATED)
        return f"sha256:{digest_bytes(raw)}"

    def delete_all(self, repository: str) -> bool:
        """Delete every manifest that a tag names; False when the registry does not delete."""
        answer = self._call("GET", f"/v2/{repository}/tags/list", repository)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return True
        self._expect(answer, f"listing the tags of `{repository}`", HTTPStatus.OK)
        for tag in answer.json().get("tags") or []:
            accept = {"Accept": ACCEPT}
            found = self._call("GET", f"/v2/{repository}/manifests/{tag}", repository, headers=accept)
            if found.status_code == HTTPStatus.NOT_FOUND:
                continue  # another tag of the same manifest took it along
            digest = f"sha256:{digest_bytes(found.content)}"
            gone = self._call("DELETE", f"/v2/{repository}/manifests/{digest}", repository)
            if gone.status_code in {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST}:
                return False
            if gone.status_code != HTTPStatus.NOT_FOUND:
                self._expect(gone, f"deleting `{repository}:{tag}`", HTTPStatus.ACCEPTED)
        return True

    def _upload(self, repository: str, digest: str, data: bytes) -> None:
        begun = self._call("POST", f"/v2/{repository}/blobs/uploads/", repository)
        self._expect(begun, f"starting an upload to `{repository}`", HTTPStatus.ACCEPTED)
        where = httpx.URL(begun.headers["Location"])
        target = str(where.copy_merge_params({"digest": digest}))
        done = self._call("PUT", target, repository, content=data, headers={"Content-Type": "application/octet-stream"})
        self._expect(done, f"uploading to `{repository}`", HTTPStatus.CREATED)
        self.sent_bytes += len(data)

    def _call(self, method: str, path: str, repository: str, **how: Any) -> httpx.Response:  # noqa: ANN401
        """One request; a 401 is answered once with the login the registry asks for."""
        with speaking_to_registry(self.registry, f"asked for {method} {path.split('?', maxsplit=1)[0]}"):
            answer = self._http.request(method, path, **self._signed(repository, how))
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                self._tokens[repository] = self._log_in(answer, repository)
                answer = self._http.request(method, path, **self._signed(repository, how))
        return answer

    def _signed(self, repository: str, how: Mapping[str, Any]) -> dict[str, Any]:
        token = self._tokens.get(repository)
        headers = {**how.get("headers", {}), **({"Authorization": token} if token else {})}
        return {**how, "headers": headers}

    def _log_in(self, answer: httpx.Response, repository: str) -> str:
        """An Authorization header value for what the challenge in `answer` asks."""
        credentials = find_credentials(self.registry)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if challenge.lower().startswith("basic"):
            if credentials is None:
                raise self._refused(repository)
            return httpx.BasicAuth(*credentials)._auth_header  # noqa: SLF001 - the library offers no other way to the header
        asked = dict(_CHALLENGE.findall(challenge))
        if "realm" not in asked:
            raise self._refused(repository)
        params = {"service": asked.get("service", ""), "scope": f"repository:{repository}:pull,push"}
        got = self._http.get(asked["realm"], params=params, auth=credentials)
        if got.status_code != HTTPStatus.OK:
            raise self._refused(repository)
        body = got.json()
        return f"Bearer {body.get('token') or body.get('access_token')}"

    def _refused(self, repository: str) -> BackendError:
        return BackendError(
            f"The registry `{self.registry}` refused the login for `{repository}`",
            hint=f"Run `docker login {self.registry}`, or set TIDEMILL_REGISTRY_USER and TIDEMILL_REGISTRY_PASSWORD. "
            "On GitHub, GITHUB_TOKEN with `packages: write` is enough for ghcr.io.",
        )

    def _expect(self, answer: httpx.Response, what: str, status: HTTPStatus) -> None:
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise BackendError(
                f"The registry `{self.registry}` refused {what}: HTTP {answer.status_code}",
                hint=f"Run `docker login {self.registry}`.",
            )
        if answer.status_code != status:
            raise BackendError(
                f"The registry `{self.registry}` failed {what}: HTTP {answer.status_code} {answer.text[:200]}"
            )
