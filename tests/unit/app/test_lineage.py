"""A release knows the commit and the data its model is from."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tidemill.app.lineage import BRANCH, COMMIT, DIRTY, find_commit, image_labels, image_tags, short_commit
from tidemill.record.ports import ModelVersion


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.email=a@example.org", "-c", "user.name=a"]
    return subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True).stdout


def test_the_commit_its_branch_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    assert find_commit(tmp_path) == {}, "no repository"
    git(tmp_path, "init", "-q", "-b", "main")
    assert find_commit(tmp_path) == {}, "no commit"
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert find_commit(tmp_path) == {COMMIT: commit, BRANCH: "main", DIRTY: "False"}
    (tmp_path / "untracked").write_text("")
    assert find_commit(tmp_path)[DIRTY] == "False"
    (tmp_path / "a").write_text("2")
    assert find_commit(tmp_path)[DIRTY] == "True"
    assert short_commit({"commit": commit, "dirty": True}) == f"{commit[:10]}+"
    assert not short_commit({})


def test_an_image_says_from_which_commit_and_data_its_model_is(tmp_path: Path) -> None:
    data = [{"path": "mnist-2:1", "digest": "sha256:aa"}, {"path": "mnist-7:1", "digest": "sha256:bb"}]
    origin = {"commit": "c" * 40, "branch": "feature/Ünï", "dirty": False, "data": data}
    labels = image_labels(origin, "calm_fern")
    assert labels["org.opencontainers.image.revision"] == "c" * 40
    assert (
        labels["io.tidemill.data.digest"] == image_labels({**origin, "data": data[::-1]}, "")["io.tidemill.data.digest"]
    )
    assert (
        labels["io.tidemill.data.digest"] != image_labels({**origin, "data": data[:1]}, "")["io.tidemill.data.digest"]
    )
    assert image_labels({}, "calm_fern") == {"io.tidemill.job": "calm_fern"}
    version = ModelVersion("digits", "3", "mlflow_model", tmp_path, "d" * 64, "")
    assert image_tags(origin, version) == ["v3", "d" * 12, "sha-" + "c" * 12, "feature--n-"]
    assert image_tags({**origin, "dirty": True, "branch": "(detached)"}, version) == ["v3", "d" * 12]
