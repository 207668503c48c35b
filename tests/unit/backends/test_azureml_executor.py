"""What goes wrong with jobs on Azure ML, against a server that really runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.azureml.service import ROOT, AzureML, Fault, refusal
from tests.azureml.steps import started, task, until
from tests.waiting import PATIENCE_S
from tidemill.backends.executors.azureml import AzureExecutor
from tidemill.base.ids import JobName
from tidemill.plan.graph import Resources
from tidemill.testing.executors import submit

BUSY = (429, {"retry-after": "7"}, {"error": {"code": "TooManyRequests", "message": "slow down"}})
AWAY = refusal(503, "ServiceUnavailable", "try later")
EXPIRED = (403, {}, b"<Error><Code>AuthenticationFailed</Code></Error>")


def test_files_travel_there_and_outputs_come_back(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    folder, data = tmp_path / "a", tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    for number in range(7):  # more than a page of a listing
        (data / "deep" / f"{number} ü&.txt").write_text(str(number))
    out, made = folder / "outputs" / "all", folder / "outputs" / "file.txt"
    env = {"AZURE_ML_INPUT_data": str(data), "AZURE_ML_OUTPUT_all": str(out), "AZURE_ML_OUTPUT_file": str(made)}
    one = task(folder, f"cp -r {data}/. {out} && cat {data}/deep/* > {made} && bash code.sh", env=env)
    out.mkdir()
    (one.cwd / "outputs").mkdir()
    (one.cwd / "code.sh").write_text("echo kept > outputs/kept.txt; echo $AZURE_ML_OUTPUT_all")
    end = submit(make(), replace(one, writes=(folder / "outputs", one.cwd / "outputs"))).wait()
    assert end.ok, end.message
    assert sorted(p.name for p in (out / "deep").iterdir()) == sorted(p.name for p in (data / "deep").iterdir())
    assert made.read_text() == "0123456"
    assert (one.cwd / "outputs" / "kept.txt").read_text() == "kept\n"
    assert str(out) not in one.log.read_text()


def test_an_empty_folder_is_a_folder_there(azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    one = task(tmp_path / "a", f"ls {tmp_path}/data", env={"AZURE_ML_INPUT_data": str(tmp_path / "data")})
    end = submit(make(), one).wait()
    assert end.ok, end.message


def test_an_input_that_a_step_may_change_is_a_copy_of_its_own_there(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    env = {"TIDEMILL_READ_ONLY": "read"}
    for name in ("read", "own"):
        (tmp_path / name).write_text(name)
        env[f"AZURE_ML_INPUT_{name}"] = str(tmp_path / name)
    assert submit(make(), task(tmp_path / "a", f"cat {tmp_path}/read {tmp_path}/own", env=env)).wait().ok
    (job,) = azure.jobs.values()
    modes = {name: given["mode"] for name, given in job.properties["inputs"].items()}
    assert modes == {"read": "ReadOnlyMount", "own": "Download"}


def test_a_big_file_travels_in_blocks(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.backends.azure.blobs.BLOCK_BYTES", 1000)
    data, made = tmp_path / "big", tmp_path / "a" / "outputs" / "copy"
    data.write_bytes(bytes(range(250)) * 21)
    env = {"AZURE_ML_INPUT_data": str(data), "AZURE_ML_OUTPUT_copy": str(made)}
    assert submit(make(), task(tmp_path / "a", f"cp {data} {made}", env=env)).wait().ok
    assert made.read_bytes() == data.read_bytes()


def test_the_same_content_is_uploaded_once(azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("seven")
    executor = make()
    for name in "ab":
        one = task(tmp_path / name, f"cat {data}", env={"AZURE_ML_INPUT_data": str(data)})
        (one.cwd / "code.py").write_text("pass")
        assert submit(executor, one).wait().ok
        assert one.log.read_text() == "seven\n"
    assert sum(name.endswith("/data.txt") for name in azure.storage.blobs) == 1
    assert sum(name.startswith("codes/") for name in azure.kept) == 1


def test_what_a_job_wrote_is_not_uploaded_for_the_next_one(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    executor, made = make(), tmp_path / "a" / "outputs" / "all"
    one = task(tmp_path / "a", f"echo 7 > {made}/seven", env={"AZURE_ML_OUTPUT_all": str(made)})
    made.mkdir()
    assert submit(executor, one).wait().ok
    two = task(tmp_path / "b", f"cat {made}/seven", env={"AZURE_ML_INPUT_all": str(made)})
    assert submit(executor, two).wait().ok
    assert two.log.read_text() == "7\n"
    assert sum(name.endswith("/seven") for name in azure.storage.blobs) == 1
    for name in [n for n in azure.storage.blobs if n.endswith("/seven")]:
        del azure.storage.blobs[name]  # somebody tidied up
    three = task(tmp_path / "c", f"cat {made}/seven", env={"AZURE_ML_INPUT_all": str(made)})
    assert submit(executor, three).wait().ok
    assert three.log.read_text() == "7\n"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(r"PUT .*/jobs/", BUSY, 2),
        Fault(r"PUT .*/jobs/", AWAY, late=True),
        Fault(r"GET .*/jobs/", AWAY, 3),
        Fault(r"GET .*/details", BUSY, 2),
        Fault(r"POST .*/startPendingUpload", AWAY),
        Fault(r"PUT /blob/acct/tidemill-.*-upload.*/zz.py", EXPIRED),
        Fault(r"GET /blob/acct/azureml-blobstore-1", EXPIRED),
        Fault(r"GET /blob/.*/std_log.txt", EXPIRED),
        Fault(r"GET .*/jobs/", refusal(401, "InvalidAuthenticationToken", "expired")),
    ],
    ids=lambda f: f"{f.pattern}-{f.reply[0]}{'-late' if f.late else ''}",
)
def test_what_passes_is_waited_for_and_nothing_runs_twice(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path, fault: Fault
) -> None:
    azure.faults.append(fault)
    one = task(tmp_path / "a", "echo once; cat code.py > ../outputs/x")
    (one.cwd / "code.py").write_text("pass")
    (one.cwd / "zz.py").write_text("pass")
    end = submit(make(), one).wait()
    assert end.ok, end.message
    assert fault.times == 0
    assert len(azure.jobs) == 1
    assert one.log.read_text() == "once\n"


def test_a_service_that_stays_away_loses_the_step_and_its_job_is_taken_up_again(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    executor = make()
    one = task(tmp_path / "a", "echo up; while [ ! -e stop ]; do sleep 0.1; done; echo done")
    submitted = submit(executor, one, lines=True)
    job = azure.jobs[started(azure, "up", submitted)]
    azure.faults.append(Fault(r"/jobs/", AWAY, 6))
    end = submitted.wait()
    assert (end.lost, end.canceled) == (True, False)
    assert "try later" in end.message
    again = submit(executor, one, lines=True)
    until(lambda: "up" in again.lines)
    job.cancel.set()
    assert again.wait().canceled
    assert len(azure.jobs) == 1


def test_a_second_process_takes_up_the_running_job_and_hears_all_it_said(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    one = task(tmp_path / "a", "echo one; while [ ! -e $GO ]; do sleep 0.05; done; echo two", env={"GO": str(go)})
    first = submit(make(), one, lines=True)
    started(azure, "one", first)
    second = submit(make(), replace(one, log=tmp_path / "second.txt"), lines=True)
    until(lambda: "one" in second.lines)
    go.touch()
    assert second.wait().ok
    assert first.wait().ok
    assert second.lines == ["one", "two"]
    assert len(azure.jobs) == 1


def test_a_job_that_completed_while_nobody_looked_does_not_run_again(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    one = task(tmp_path / "a", "date +%N > ../outputs/x")
    assert submit(make(), one).wait().ok
    found = (tmp_path / "a" / "outputs" / "x").read_text()
    (tmp_path / "a" / "outputs" / "x").unlink()
    assert submit(make(), one).wait().ok
    assert (tmp_path / "a" / "outputs" / "x").read_text() == found


def test_the_job_of_changed_code_is_canceled_and_another_submitted(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    executor = make()
    one = task(tmp_path / "a", "cat code; test -e old && sleep 60 || true")
    (one.cwd / "code").write_text("first\n")
    (one.cwd / "old").touch()
    name = started(azure, "first", first := submit(executor, one, lines=True))
    (one.cwd / "code").write_text("second\n")
    (one.cwd / "old").unlink()
    second = submit(make(), one, lines=True)
    assert second.wait().ok
    assert first.wait().canceled
    assert second.lines == ["second"]
    assert sorted(azure.jobs) == [name, f"{name}_2"]


def test_a_step_that_failed_is_another_job_the_next_time(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    executor = make()
    one = task(tmp_path / "a", "echo no; exit 75")
    ends = [submit(executor, one).wait() for _ in range(2)]
    assert [e.exit_code for e in ends] == [75, 75]
    assert "exited with status code 75" in ends[0].message
    assert len(azure.jobs) == 2


def test_a_job_that_azure_itself_could_not_run_is_lost_and_not_failed(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    submitted = submit(make(), task(tmp_path / "a", "echo up; sleep 60"), lines=True)
    job = azure.jobs[started(azure, "up", submitted)]
    job.error = {"code": "ServiceError", "message": "The node was preempted."}
    job.cancel.set()
    end = submitted.wait()
    assert (end.lost, end.ok) == (True, False)
    assert "The node was preempted." in end.message


def test_a_job_that_was_deleted_is_lost(azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path) -> None:
    submitted = submit(make(), task(tmp_path / "a", "echo up; sleep 60"), lines=True)
    job = azure.jobs.pop(started(azure, "up", submitted))
    end = submitted.wait()
    job.cancel.set()
    job.over.wait(PATIENCE_S)
    assert end.lost
    assert "not on Azure ML any more" in end.message


def test_a_job_canceled_in_the_portal_is_canceled(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    submitted = submit(make(), task(tmp_path / "a", "echo up; sleep 60"), lines=True)
    azure.jobs[started(azure, "up", submitted)].cancel.set()
    assert submitted.wait().canceled


def test_cancel_reaches_the_processes_politely(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    executor = make()
    one = task(tmp_path / "a", "trap 'echo bye; exit 1' TERM; echo up; while true; do sleep 0.1; done")
    started(azure, "up", submitted := submit(executor, one, lines=True))
    executor.cancel(one.ticket)
    assert submitted.wait().canceled
    assert submitted.lines[-1] == "bye"


def test_a_cancel_that_takes_azure_long_is_not_waited_for(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.backends.executors.azureml.CANCEL_S", 0.2)
    monkeypatch.setattr("tests.azureml.machine.GRACE_S", 3.0)
    executor = make()
    one = task(tmp_path / "a", "trap '' TERM; echo up; while true; do sleep 0.1; done")
    job = azure.jobs[started(azure, "up", submitted := submit(executor, one, lines=True))]
    executor.cancel(one.ticket)
    assert submitted.wait().canceled
    assert job.status == "CancelRequested"


def test_jobs_of_a_killed_run_are_canceled_by_their_handles(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    submitted = submit(make(), task(tmp_path / "a", "echo up; sleep 60"), lines=True)
    started(azure, "up", submitted)
    assert (
        make().reap(
            JobName("job"),
            [*submitted.handles, f"azureml:{ROOT}/jobs/unknown", "azureml:/elsewhere/jobs/x", "kubernetes:a/b"],
        )
        == 1
    )
    assert submitted.wait().canceled


def metric(step: int, value: object) -> dict[str, Any]:
    return {"key": "loss", "value": value, "timestamp": 1000 * step, "step": step}


def test_metrics_come_while_the_step_runs_and_each_once(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    go, rows = tmp_path / "go", tmp_path / "a" / "metrics.jsonl"
    one = task(tmp_path / "a", "echo up; while [ ! -e $GO ]; do sleep 0.05; done", env={"GO": str(go)})
    job = azure.jobs[started(azure, "up", submitted := submit(make(), one, lines=True))]
    job.metrics += [metric(n, 1 / (n + 1)) for n in range(3)]
    until(lambda: rows.exists() and rows.read_text().count("\n") == 3)
    job.metrics += [metric(3, "NaN"), metric(4, 0.25) | {"key": "other"}]
    go.touch()
    assert submitted.wait().ok
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [(r["name"], r["step"]) for r in found] == [("loss", 0), ("loss", 1), ("loss", 2), ("loss", 3), ("other", 4)]
    assert found[1] == {"name": "loss", "value": 0.5, "step": 1, "at": 1.0}


def test_a_workspace_that_does_not_tell_metrics_has_none(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    azure.faults.append(Fault(r"GET /mlflow/", refusal(403, "Forbidden", "not for you"), 99))
    assert submit(make(), task(tmp_path / "a", "true")).wait().ok
    assert not (tmp_path / "a" / "metrics.jsonl").exists()


def test_secrets_and_variables_of_this_machine_stay_here(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    env = {"KEY": "s3cr3t", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MINE": "1", "HOME": "/home/me"}
    one = task(tmp_path / "a", "echo [$KEY] $MINE", env=env, secrets=("s3cr3t",))
    assert submit(make(), one).wait().ok
    (job,) = azure.jobs.values()
    assert job.properties["environmentVariables"] == {"MINE": "1"}
    told, said = one.log.read_text().splitlines()
    assert said == "[] 1"
    assert told.startswith("tidemill: KEY holds a secret and is not sent to Azure ML")
    assert "az keyvault secret set" in told
    assert "s3cr3t" not in json.dumps(job.properties)


def test_a_step_that_fails_without_its_secret_says_which(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    one = task(tmp_path / "a", "exit 3", env={"DB_KEY": "s3cr3t"}, secrets=("s3cr3t",))
    end = submit(make(), one).wait()
    assert end.exit_code == 3
    assert end.message.endswith("it ran without DB_KEY, see its log")


def test_what_machines_worked_is_recorded_and_what_a_job_waited_is_not(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    for name, command in {"a": "sleep 0.5", "b": "sleep 0.5; exit 1"}.items():
        used = submit(make(), task(tmp_path / name, command)).wait().usage
        assert 0.5 <= used["machine_s"] < 30
    processes = ({"RANK": "0"}, {"RANK": "1"})
    both = task(tmp_path / "c", "sleep 0.5", processes=processes, resources=Resources(instance_count=2))
    assert submit(make(), both).wait().usage["machine_s"] >= 1.0


def test_what_azure_refuses_is_said_in_its_words(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    end = submit(make(), task(tmp_path / "a", "true", compute="azureml:nowhere")).wait()
    assert (end.ok, end.lost) == (False, False)
    assert "The workspace has no compute `nowhere`" in end.message
    assert "az ml compute list" in end.message
    azure.token = "another"
    end = submit(make(), task(tmp_path / "b", "true")).wait()
    assert "az login" in end.message


def test_an_output_file_nobody_wrote_is_named(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    env = {"AZURE_ML_OUTPUT_model": str(tmp_path / "a" / "outputs" / "model")}
    end = submit(make(), task(tmp_path / "a", "true", env=env)).wait()
    assert "wrote nothing to its output `model`" in end.message
