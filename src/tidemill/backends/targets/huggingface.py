"""The Hugging Face Hub: a model repository with a card, by commit; and a Space that serves the proven image."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tidemill.backends.rest import Rest
from tidemill.base.clock import Clock
from tidemill.base.errors import BackendError, UsageError
from tidemill.base.hashing import digest_bytes, digest_file
from tidemill.release.remote import HubFile

ENDPOINT = "HF_ENDPOINT"
TOKEN = "HF_TOKEN"  # noqa: S105 - the name of the variable
SAMPLE = 512
PREFIX = {"model": "", "space": "spaces/"}


class Hub:
    """One Hub and account."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._host = os.environ.get(ENDPOINT, "https://huggingface.co").rstrip("/")
        hint = f"Set {TOKEN} to a token with write access to the repository."
        self._rest = Rest("Hugging Face", _token, hint, **({"clock": clock} if clock else {}))

    def ensure(self, kind: str, repository: str, *, private: bool) -> None:
        """The repository, made if it is not there."""
        organization, _, name = repository.partition("/")
        body: dict[str, Any] = {"type": kind, "name": name, "organization": organization, "private": private}
        if kind == "space":
            body["sdk"] = "docker"
        self._rest.call("POST", f"{self._host}/api/repos/create", body, accept=(HTTPStatus.CONFLICT,))

    def revision(self, kind: str, repository: str) -> str:
        """The commit that `main` is at; empty when there is none."""
        url = f"{self._host}/api/{kind}s/{repository}/revision/main"
        answer = self._rest.call("GET", url, accept=(HTTPStatus.NOT_FOUND,))
        return str(answer.json()["sha"] or "") if answer.status == HTTPStatus.OK else ""

    def read(self, kind: str, repository: str, path: str, revision: str = "main") -> bytes:
        """A file at a revision; empty when it is not there."""
        url = f"{self._host}/{PREFIX[kind]}{repository}/resolve/{revision}/{path}"
        answer = self._rest.call("GET", url, accept=(HTTPStatus.NOT_FOUND,))
        return answer.body if answer.status == HTTPStatus.OK else b""

    def commit(self, kind: str, repository: str, files: list[HubFile], summary: str) -> str:
        """One commit with all files; its id. Large ones go to storage first, those it has are not sent again."""
        large = self._large(kind, repository, files)
        lines: list[dict[str, Any]] = [{"key": "header", "value": {"summary": summary, "description": ""}}]
        for file in files:
            if file.path in large:
                oid = self._store(kind, repository, file)
                value = {"path": file.path, "algo": "sha256", "oid": oid, "size": file.size}
                lines.append({"key": "lfsFile", "value": value})
            else:
                text = base64.b64encode(file.read()).decode()
                lines.append({"key": "file", "value": {"path": file.path, "content": text, "encoding": "base64"}})
        body = "\n".join(json.dumps(line) for line in lines).encode()
        url = f"{self._host}/api/{kind}s/{repository}/commit/main"
        answer = self._rest.call("POST", url, body, headers={"content-type": "application/x-ndjson"})
        return str(answer.json()["commitOid"])

    def tag(self, kind: str, repository: str, revision: str, name: str) -> None:
        """Name a commit; a tag that is there stays where it is."""
        url = f"{self._host}/api/{kind}s/{repository}/tag/{revision}"
        self._rest.call("POST", url, {"tag": name}, accept=(HTTPStatus.CONFLICT,))

    def page(self, kind: str, repository: str) -> str:
        """Where people look at it."""
        return f"{self._host}/{PREFIX[kind]}{repository}"

    def _large(self, kind: str, repository: str, files: list[HubFile]) -> set[str]:
        asked = [{"path": f.path, "size": f.size, "sample": base64.b64encode(_head(f)).decode()} for f in files]
        answer = self._rest.call("POST", f"{self._host}/api/{kind}s/{repository}/preupload/main", {"files": asked})
        return {f["path"] for f in answer.json()["files"] if f.get("uploadMode") == "lfs"}

    def _store(self, kind: str, repository: str, file: HubFile) -> str:
        oid = digest_file(file.source) if file.source else digest_bytes(file.content)
        body = {
            "operation": "upload",
            "transfers": ["basic"],
            "hash_algo": "sha_256",
            "objects": [{"oid": oid, "size": file.size}],
        }
        kinds = {"content-type": "application/vnd.git-lfs+json", "accept": "application/vnd.git-lfs+json"}
        url = f"{self._host}/{PREFIX[kind]}{repository}.git/info/lfs/objects/batch"
        (told,) = self._rest.call("POST", url, body, headers=kinds).json()["objects"]
        if told.get("error"):
            raise BackendError(f"The Hub does not take `{file.path}`: {told['error'].get('message')}")
        actions: Mapping[str, Any] = told.get("actions") or {}
        for name in ("upload", "verify"):
            if name in actions:
                self._send(name, actions[name], oid, file, kinds)
        return oid

    def _send(self, name: str, action: Mapping[str, Any], oid: str, file: HubFile, kinds: Mapping[str, str]) -> None:
        headers = {"authorization": "", **{k.lower(): v for k, v in (action.get("header") or {}).items()}}
        if name == "upload":
            plain = {"content-type": "application/octet-stream"}
            self._rest.call("PUT", action["href"], file.read(), headers={**plain, **headers})
        else:
            self._rest.call("POST", action["href"], {"oid": oid, "size": file.size}, headers={**kinds, **headers})


def _head(file: HubFile) -> bytes:
    if file.source is None:
        return file.content[:SAMPLE]
    with file.source.open("rb") as stream:
        return stream.read(SAMPLE)


def _token(renew: bool) -> str:  # noqa: FBT001 - a callback with one meaning
    del renew
    token = os.environ.get(TOKEN, "")
    if not token:
        raise UsageError("Hugging Face needs a token", hint=f"Set {TOKEN} to a token with write access.")
    return token


def open_target() -> Hub:
    """The Hub."""
    return Hub()
