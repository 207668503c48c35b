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


def test_assets_are_made_by_options_alone(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.12]\n")
    (tmp_path / "m.txt").write_text("w")
    made = json.loads(
        tidemill(
            "environment", "create", "--name", "e", "--version", "3", "--image", "busybox", "--conda-file", "conda.yml", "--tags", "x=y", "--description", "of mine"
        ).stdout
    )  # fmt: skip
    assert (made["version"], made["image"], made["tags"], made["description"]) == (
        "3",
        "busybox",
        {"x": "y"},
        "of mine",
    )
    assert made["conda_file"] == str(tmp_path / "conda.yml")
    assert "There is no" in tidemill("environment", "create", "-n", "e2", "--conda-file", "nope.yml", code=2).stderr
    there = tidemill("data", "create", "-n", "d", "--path", "azureml://datastores/s/paths/p", "--tags", "a=b")
    assert json.loads(there.stdout)["path"] == "azureml://datastores/s/paths/p"
    wrong = tidemill("data", "create", "-n", "d2", "--path", "m.txt", "--type", "uri_fil", code=2)
    assert "`uri_file`" in wrong.stderr
    model = ("model", "create", "-n", "m", "--path", "m.txt", "--tags", "t=1", "--description", "d")
    assert rows(tidemill, *model, "--query", "[tags.t, description]") == ["1", "d"]
    assert rows(tidemill, "model", "list", "--tag", "t=1", "--query", "[].name") == ["m"]
    assert rows(tidemill, "model", "list", "--tag", "t=2", "--query", "[].name") == []
    tidemill("model", "archive", "-n", "m", "--label", "latest")
    assert rows(tidemill, "model", "list", "--query", "[].name") == []
    assert "ResourceNotFound" in tidemill("model", "archive", "-n", "nope", code=1).stderr


def test_the_workspace_and_its_datastore_are_there_without_being_created(tidemill: Run, tmp_path: Path) -> None:
    assert rows(tidemill, "workspace", "show", "-g", "x", "--query", "name") == [tmp_path.name]
    assert "(ResourceNotFound)" in tidemill("workspace", "show", "-w", "lab", code=1).stderr
    tidemill("az", "configure", "--defaults", "workspace=lab", "group=mlops")
    assert rows(tidemill, "workspace", "show", "--query", "[name, resource_group]") == ["lab", "mlops"]
    tidemill("workspace", "create", "-w", "second", "-g", "mlops", "-l", "westeurope")
    assert rows(tidemill, "workspace", "list", "--query", "[].name") == ["second", "lab"]
    tidemill("workspace", "delete", "-n", "second", "--yes", "--no-wait")
    assert "nothing to delete" in tidemill("workspace", "delete", "-n", "lab", "--yes", code=2).stderr
    assert rows(tidemill, "datastore", "list", "--query", "[].name") == ["workspaceblobstore"]


def test_what_lets_us_in_is_named_but_not_kept(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "hub.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/connection.schema.json\n"
        "name: hub\ntype: git\ntarget: https://git.example\ncredentials: {type: pat, pat: s3cr3t-word}\n"
    )
    made = tidemill("connection", "create", "-f", "hub.yml")
    assert "s3cr3t-word" not in made.stdout
    assert "credentials.pat of connection `hub`: not kept" in made.stderr
    shown = json.loads(tidemill("connection", "show", "-n", "hub", "--populate-secrets").stdout)
    assert shown["credentials"] == {"type": "pat", "pat": None}
    assert not [f for f in (tmp_path / ".tidemill").rglob("*") if f.is_file() and b"s3cr3t-word" in f.read_bytes()]
    tidemill("connection", "delete", "-n", "hub", "-y")
    assert "ResourceNotFound" in tidemill("connection", "show", "-n", "hub", code=1).stderr


def test_a_job_is_validated_saved_and_found_by_its_tag(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text("type: command\ncommand: echo hi\nenvironment: {image: busybox}\n")
    assert rows(tidemill, "job", "validate", "-f", "job.yml", "--query", "result") == ["Succeeded"]
    (tmp_path / "bad.yml").write_text("type: command\ncommand: echo ${{inputs.x}}\nenvironment: {image: busybox}\n")
    assert "TM-" in tidemill("job", "validate", "-f", "bad.yml", code=2).stderr
    tidemill(
        "job", "create", "-f", "job.yml", "--set", "name=j1", "tags.team=a", "--save-as", "j1.yml", "--skip-validation"
    )
    assert "status: Completed" in (tmp_path / "j1.yml").read_text()
    assert rows(tidemill, "job", "list", "--tag", "team=a", "--query", "[].name") == ["j1"]
    assert rows(tidemill, "job", "list", "--tag", "team=b", "--query", "[].name") == []
    assert tidemill("job", "show-services", "-n", "j1").stdout == "{}\n"


@pytest.mark.slow
def test_models_and_data_are_made_of_what_a_job_left_behind(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(
        "type: command\nenvironment: {image: busybox}\noutputs: {o: {type: uri_file}}\n"
        "command: mkdir -p outputs/m && echo w > outputs/m/w && echo x > ${{outputs.o}} && python log.py\ncode: ./code\n"
    )
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "log.py").write_text("import mlflow\nmlflow.log_text('logged', 'model/MLmodel')\n")
    tidemill("job", "create", "-f", "job.yml", "--set", "name=j1")
    for source, inside in {
        "azureml://jobs/j1/outputs/artifacts/paths/outputs/m": "w",
        "azureml://jobs/j1/outputs/o": "",
        "azureml://jobs/j1/outputs/artifacts/paths/model": "MLmodel",
        "runs:/j1/model": "MLmodel",
    }.items():
        made = tidemill("model", "create", "-n", f"m{len(source)}", "--path", source, "--query", "path", "-o", "tsv")
        assert (Path(made.stdout.strip()) / inside).exists(), source
    made = tidemill(
        "data", "create", "-n", "d", "--path", "azureml://jobs/j1/outputs/o", "--query", "path", "-o", "tsv"
    )
    assert Path(made.stdout.strip()).read_text() == "x\n"
    for wrong in ("azureml://jobs/j1/outputs/nope", "azureml://jobs/j1/outputs/artifacts/paths/../../x", "./nope"):
        tidemill("model", "create", "-n", "x", "--path", wrong, code=2)
    assert "MLflow has no `nope`" in tidemill("model", "create", "-n", "x", "--path", "runs:/j1/nope", code=1).stderr
    store = tmp_path / ".tidemill" / "datastores" / "workspaceblobstore" / "kept"
    store.mkdir(parents=True)
    (store / "w").write_text("1")
    tidemill("model", "create", "-n", "k", "--path", "azureml://datastores/workspaceblobstore/paths/kept")
