"""The verbs of every noun, as scripts call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and SQLAlchemy's own

ENVIRONMENT = "name: tools\nimage: busybox\ntags: {team: a}\n"


def rows(tidemill: Run, *words: str) -> list[str]:
    return tidemill(*words, "-o", "tsv").stdout.split()


def test_an_assets_words_change_but_never_its_content(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "env.yml").write_text(ENVIRONMENT)
    tidemill("environment", "create", "-f", "env.yml", "-v", "1")
    changed = tidemill(
        "environment", "update", "-n", "tools", "-v", "1", "--set", "tags.owner=me", "description=tools of mine",
        "--remove", "tags.team",
    )  # fmt: skip
    said = json.loads(changed.stdout)
    assert (said["tags"], said["description"]) == ({"owner": "me"}, "tools of mine")
    refused = tidemill("environment", "update", "-n", "tools", "--label", "latest", "--set", "image=other", code=2)
    assert "`image` of environment tools:1 cannot change" in refused.stderr
    assert "ResourceNotFound" in tidemill("environment", "update", "-n", "nope", "--set", "tags.a=b", code=1).stderr


def test_archived_assets_are_hidden_found_and_brought_back_and_a_deleted_number_is_not_given_again(
    tidemill: Run, tmp_path: Path
) -> None:
    for word in ("one", "two"):
        (tmp_path / "f.txt").write_text(word)
        tidemill("data", "create", "-n", "words", "--path", "f.txt")
    tidemill("data", "archive", "-n", "words", "-v", "1")
    listing = ("data", "list", "-n", "words", "--query", "[].version")
    assert rows(tidemill, *listing) == ["2"]
    assert rows(tidemill, *listing, "--archived-only") == ["1"]
    assert rows(tidemill, *listing, "--include-archived", "--max-results", "1") == ["2"]
    tidemill("data", "restore", "-n", "words", "-v", "1")
    assert rows(tidemill, *listing) == ["2", "1"]
    tidemill("data", "delete", "-n", "words", "-v", "2")
    (tmp_path / "f.txt").write_text("three")
    taken = tidemill("data", "create", "-n", "words", "--path", "f.txt", "-v", "2", code=1)
    assert "was deleted, and had other content" in taken.stderr
    made = tidemill("data", "create", "-n", "words", "--path", "f.txt", "--query", "version", "-o", "tsv")
    assert made.stdout == "3\n"


def test_models_and_jobs_take_tags_and_a_model_that_is_named_is_not_deleted(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "weights").write_text("1")
    (tmp_path / "job.yml").write_text("type: command\ncommand: echo hi\nenvironment: {image: busybox}\n")
    (tmp_path / "schedule.yml").write_text(
        "name: nightly\ntrigger: {type: cron, expression: '0 3 * * *'}\n"
        "create_job: {job: ./job.yml, inputs: {m: {type: custom_model, path: 'azureml:cats@latest'}}}\n"
    )
    for word in ("1", "2"):
        (tmp_path / "m" / "weights").write_text(word)
        tidemill("model", "create", "-n", "cats", "--path", "m")
    said = json.loads(
        tidemill(
            "model", "update", "-n", "cats", "--label", "latest", "--tags", "a=1", "b=2", "--set", "description=x"
        ).stdout
    )
    assert (said["tags"], said["description"]) == ({"a": "1", "b": "2"}, "x")
    after = tidemill("model", "update", "-n", "cats", "-v", "1", "--set", "tags.c=3", "--query", "tags", "-o", "tsv")
    assert after.stdout.split() == ["3"]
    tidemill("job", "create", "-f", "job.yml", "--set", "name=j1", "display_name=first")
    job = json.loads(tidemill("job", "update", "-n", "j1", "--set", "display_name=best", "tags.k=v").stdout)
    assert (job["display_name"], job["tags"]) == ("best", {"k": "v"})
    assert rows(tidemill, "job", "list", "--query", "[].display_name") == ["best"]
    assert "cannot change" in tidemill("job", "update", "-n", "j1", "--set", "status=Completed", code=2).stderr
    tidemill("job", "archive", "-n", "j1")
    assert rows(tidemill, "job", "list", "--archived-only", "--query", "[].name") == ["j1"]
    tidemill("schedule", "create", "-f", "schedule.yml")
    refused = tidemill("model", "delete", "-n", "cats", "-v", "2", code=1)
    assert "is in use: schedule `nightly` names it" in refused.stderr
    tidemill("model", "delete", "-n", "cats", "-v", "1")
    tidemill("schedule", "delete", "-n", "nightly")
    assert rows(tidemill, "model", "list", "--include-archived", "--query", "[].version") == ["2"]


def test_kept_documents_are_changed_by_options(tidemill: Run) -> None:
    tidemill("compute", "create", "-n", "box", "--type", "amlcompute", "--max-instances", "4")
    said = json.loads(
        tidemill(
            "compute", "update", "-n", "box", "--min-instances", "1", "--set", "tags.team=a", "--add", "zones", "a"
        ).stdout
    )
    assert (said["min_instances"], said["max_instances"], said["tags"], said["zones"]) == (1, 4, {"team": "a"}, ["a"])
    assert "cannot change" in tidemill("compute", "update", "-n", "box", "--set", "type=computeinstance", code=2).stderr
    assert "(ResourceNotFound)" in tidemill("compute", "update", "-n", "bo", "--set", "a=b", code=1).stderr
