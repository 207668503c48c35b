"""Schedules and endpoints, as scripts change them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

JOB = """\
type: command
command: cat ${{inputs.words}} && echo ${{inputs.times}} > ${{outputs.o}}
inputs: {words: {type: uri_file, path: nowhere.txt}, times: 1}
outputs: {o: {type: uri_file}}
environment: {image: busybox}
"""
NIGHTLY = """\
name: nightly
trigger: {type: recurrence, frequency: day, interval: 1, time_zone: W. Europe Standard Time, schedule: {hours: [3], minutes: [0]}}
create_job:
  job: ../job.yml
  experiment_name: nights
  inputs:
    words: {type: uri_file, path: words.txt}
    times: 7
"""
MONITOR = """\
name: watcher
trigger: {type: cron, expression: "0 3 * * *"}
create_monitor: {compute: {instance_type: standard_e4s_v3, runtime_version: "3.4"}, monitoring_target: {ml_task: classification, endpoint_deployment_id: "azureml:e:d"}}
"""


def rows(tidemill: Run, *words: str) -> list[str]:
    return tidemill(*words, "-o", "tsv").stdout.split()


@pytest.fixture
def nightly(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    (tmp_path / "when").mkdir()
    (tmp_path / "when" / "nightly.yml").write_text(NIGHTLY)
    (tmp_path / "when" / "words.txt").write_text("words\n")
    made = tidemill("schedule", "create", "-f", "when/nightly.yml", "--no-wait")
    assert "schedule trigger -n nightly" in made.stderr


def test_a_schedule_runs_its_job_now_with_what_it_says_over_it(tidemill: Run, nightly: None) -> None:
    done = json.loads(tidemill("schedule", "trigger", "-n", "nightly").stdout)
    assert (done["status"], done["experiment_name"]) == ("Completed", "nights")
    assert Path(done["outputs"]["o"]).read_text() == "7\n"


def test_a_disabled_schedule_has_no_next_run_and_is_listed_when_asked_for(tidemill: Run, nightly: None) -> None:
    assert rows(tidemill, "schedule", "show", "-n", "nightly", "--query", "next_run")[0][11:16] in {"01:00", "02:00"}
    tidemill("schedule", "disable", "-n", "nightly")
    assert "disabled already" in tidemill("schedule", "disable", "-n", "nightly").stderr
    assert rows(tidemill, "schedule", "show", "-n", "nightly", "--query", "[next_run, is_enabled]") == ["None", "false"]
    names = ("schedule", "list", "--query", "[].name")
    assert rows(tidemill, *names) == []
    assert rows(tidemill, *names, "--include-disabled") == rows(tidemill, *names, "--disabled-only") == ["nightly"]
    tidemill("schedule", "enable", "-n", "nightly")
    assert rows(tidemill, *names) == ["nightly"]
    assert "(ResourceNotFound)" in tidemill("schedule", "enable", "-n", "nightl", code=1).stderr


def test_what_a_schedule_cannot_start_here_is_said(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "monitor.yml").write_text(MONITOR)
    tidemill("schedule", "create", "-f", "monitor.yml")
    assert "starts a monitor: it needs Azure" in tidemill("schedule", "trigger", "-n", "watcher", code=4).stderr
    assert "needs a document" in tidemill("schedule", "create", "-n", "empty", code=2).stderr


def test_what_is_said_of_an_endpoint_changes_and_its_address_does_not(tidemill: Run) -> None:
    tidemill("online-endpoint", "create", "-n", "digits", "--auth-mode", "key")
    made = json.loads(
        tidemill("online-endpoint", "update", "-n", "digits", "--set", "tags.team=a", "--description", "of ours").stdout
    )
    assert (made["tags"], made["description"]) == ({"team": "a"}, "of ours")
    gone = json.loads(tidemill("online-endpoint", "update", "-n", "digits", "--remove", "tags.team").stdout)
    assert gone["tags"] == {}
    wrong = tidemill("online-endpoint", "update", "-n", "digits", "--set", "scoring_uri=x", code=2)
    assert "`scoring_uri` of an endpoint cannot change" in wrong.stderr
    none = tidemill("online-endpoint", "update", "-n", "digits", "--traffic", "blue=100", code=2)
    assert "has no deployment `blue`" in none.stderr
    tidemill("online-endpoint", "delete", "-n", "digits", "-y")  # it would stay when the tests are over


def test_a_batch_deployment_is_changed_without_its_document(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").write_text("1")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text("def init(): ...\ndef run(batch): return batch\n")
    for name in ("blue", "green"):
        (tmp_path / f"{name}.yml").write_text(
            f"name: {name}\nendpoint_name: many\nmodel: {{path: ./model}}\ncompute: azureml:c\nmini_batch_size: 2\n"
            "code_configuration: {code: ./code, scoring_script: score.py}\nenvironment: {image: busybox}\n"
        )
    tidemill("batch-endpoint", "create", "-n", "many")
    tidemill("batch-deployment", "create", "-f", "blue.yml", "--set", "retry_settings.max_retries=5")
    tidemill("batch-deployment", "create", "-f", "green.yml")
    changed = tidemill("batch-deployment", "update", "-n", "blue", "-e", "many", "--set", "mini_batch_size=9")
    said = json.loads(changed.stdout)
    assert (said["mini_batch_size"], said["retry_settings"]) == (9, {"max_retries": 5})
    assert rows(tidemill, "batch-endpoint", "show", "-n", "many", "--query", "defaults.deployment_name") == ["blue"]
    tidemill("batch-endpoint", "update", "-n", "many", "--defaults", "deployment_name=green")
    assert rows(tidemill, "batch-endpoint", "show", "-n", "many", "--query", "defaults.deployment_name") == ["green"]
    assert "KEY=VALUE" in tidemill("batch-endpoint", "update", "-n", "many", "--defaults", "green", code=2).stderr
    assert "needs -f FILE" in tidemill("batch-deployment", "update", "-n", "blue", code=2).stderr
