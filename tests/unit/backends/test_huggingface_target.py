"""The Hub against a server that keeps commits and large files as it does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.backends.fake_rest import Asked, Fake, Patience, Reply, served
from tidemill.app.deploy_huggingface import make_card
from tidemill.backends.targets.huggingface import Hub
from tidemill.base.errors import BackendError, UsageError
from tidemill.base.hashing import digest_bytes
from tidemill.record.ports import ModelVersion
from tidemill.release.remote import HubFile


class Repository:
    """One repository of a Hub: files by commit, large ones by digest."""

    def __init__(self) -> None:
        self.exists = False
        self.commits: list[dict[str, bytes]] = []
        self.stored: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.url = ""

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path
        if path == "/api/repos/create":
            self.exists, there = True, self.exists
            return (409, {}, {"error": "You already created this model repo"}) if there else (200, {}, {})
        if path.endswith("/preupload/main"):
            files = asked.json()["files"]
            return (
                200,
                {},
                {"files": [{"path": f["path"], "uploadMode": "lfs" if f["size"] > 100 else "regular"} for f in files]},
            )
        if path.endswith("/objects/batch"):
            (wanted,) = asked.json()["objects"]
            action = (
                {}
                if wanted["oid"] in self.stored
                else {"actions": {"upload": {"href": f"{self.url}/store/{wanted['oid']}"}}}
            )
            return 200, {}, {"objects": [{**wanted, **action}]}
        if path.startswith("/store/"):
            assert "authorization" not in asked.headers, "the login was sent to the storage"
            self.stored[path.rpartition("/")[2]] = asked.body
            return 200, {}, {}
        if path.endswith("/commit/main"):
            return 200, {}, {"commitOid": self.commit(asked)}
        if "/tag/" in path:
            self.tags[asked.json()["tag"]] = path.rpartition("/")[2]
            return 200, {}, {}
        return self.read(path)

    def commit(self, asked: Asked) -> str:
        files = dict(self.commits[-1]) if self.commits else {}
        for line in map(json.loads, asked.body.splitlines()):
            value: dict[str, Any] = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
        self.commits.append(files)
        return f"commit{len(self.commits)}"

    def read(self, path: str) -> Reply:
        if path.endswith("/revision/main"):
            return (200, {}, {"sha": f"commit{len(self.commits)}"}) if self.commits else (404, {}, {})
        revision, _, name = path.partition("/resolve/")[2].partition("/")
        at = len(self.commits) if revision == "main" else int(revision.removeprefix("commit"))
        files = self.commits[at - 1] if 0 < at <= len(self.commits) else {}
        return (200, {}, files[name]) if name in files else (404, {}, {})


@pytest.fixture
def repository() -> Repository:
    return Repository()


@pytest.fixture
def fake(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with served(repository) as found:
        repository.url = found.url
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setenv("HF_TOKEN", "hf_x")
        yield found


def test_small_and_large_files_go_in_one_commit_that_can_be_pinned(
    fake: Fake, repository: Repository, tmp_path: Path
) -> None:
    large = tmp_path / "model.onnx"
    large.write_bytes(b"w" * 1000)
    hub = Hub(Patience())
    assert hub.revision("model", "me/digits") == ""
    for _ in range(2):
        hub.ensure("model", "me/digits", private=True)
    files = [HubFile("README.md", content=b"card"), HubFile("model.onnx", source=large)]
    revision = hub.commit("model", "me/digits", files, "digits version 1")
    hub.tag("model", "me/digits", revision, "v1")
    assert repository.tags == {"v1": revision}
    assert repository.stored == {digest_bytes(b"w" * 1000): b"w" * 1000}
    hub.commit("model", "me/digits", [HubFile("README.md", content=b"new"), files[1]], "again")
    assert sum(a.path.startswith("/store/") for a in fake.asked) == 1
    assert hub.read("model", "me/digits", "README.md", revision) == b"card"
    assert hub.read("model", "me/digits", "README.md") == b"new"


def test_busy_is_waited_for_and_wrong_is_said(fake: Fake) -> None:
    fake.faults = [(429, {"retry-after": "4"}, {}), (500, {}, {})]
    hub = Hub(clock := Patience())
    assert hub.revision("model", "me/digits") == ""
    assert clock.waited == [4.0, 1.0]
    fake.faults = [(401, {}, {"error": "Invalid credentials"})] * 2
    with pytest.raises(BackendError, match="Invalid credentials") as raised:
        hub.revision("model", "me/digits")
    assert "HF_TOKEN" in raised.value.hint


def test_without_a_token_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(UsageError, match="token"):
        Hub(Patience()).revision("model", "me/digits")


def test_the_card_holds_version_digest_and_metrics(tmp_path: Path) -> None:
    card = make_card(ModelVersion("digits", "3", "custom_model", tmp_path, "ab" * 32, "now"), {"accuracy": 0.97})
    assert card.startswith("---\nlibrary_name: tidemill\n")
    assert "ab" * 32 in card
    assert "| accuracy | 0.97 |" in card
