"""Plans run for real: processes, files, SQLite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, command, of, pipeline
from tidemill.base.errors import ConflictError
from tidemill.base.ids import JobName
from tidemill.record.runs import get_job
from tidemill.run.runner import execute


def two_steps(data: Path, code: Path, times: int = 2) -> object:
    return pipeline(
        command(
            "prep",
            "cp ${{inputs.data}}/* ${{outputs.clean}}/ && echo prepared",
            inputs={"data": data},
            outputs={"clean": "uri_folder"},
        ),
        command(
            "train",
            "python train.py ${{inputs.clean}} ${{inputs.times}} ${{outputs.model}}",
            inputs={"clean": of("prep", "clean"), "times": times},
            outputs={"model": "uri_file"},
            code=code,
        ),
    )


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, Path]:
    data, code = tmp_path / "data", tmp_path / "src"
    data.mkdir()
    code.mkdir()
    (data / "a.txt").write_text("a")
    (data / "b.txt").write_text("b")
    (code / "train.py").write_text(
        "import sys, pathlib\n"
        "files = sorted(pathlib.Path(sys.argv[1]).iterdir())\n"
        "pathlib.Path(sys.argv[3]).write_text(''.join(f.read_text() for f in files) * int(sys.argv[2]))\n"
    )
    return data, code


def test_a_pipeline_runs_and_its_outputs_are_where_the_result_says(
    workspace: Workspace, project: tuple[Path, Path]
) -> None:
    result = workspace.run(two_steps(*project))
    assert result.status == "Completed"
    assert result.steps["train"].outputs["model"].read_text() == "abab"
    assert result.steps["prep"].log.read_text() == "prepared\n"
    assert [s.status for s in result.steps.values()] == ["Completed", "Completed"]
    assert not any(s.reused for s in result.steps.values())


def test_the_same_again_is_reused_and_says_so(workspace: Workspace, project: tuple[Path, Path]) -> None:
    first = workspace.run(two_steps(*project))
    second = workspace.run(two_steps(*project))
    assert all(s.reused and s.reason == f"unchanged since {first.name}" for s in second.steps.values())
    assert second.steps["train"].outputs["model"].read_text() == "abab"


def test_a_changed_parameter_runs_only_what_it_touches(workspace: Workspace, project: tuple[Path, Path]) -> None:
    workspace.run(two_steps(*project))
    result = workspace.run(two_steps(*project, times=3))
    assert result.steps["prep"].reused
    assert not result.steps["train"].reused
    assert result.steps["train"].reason == "parameter times: 2 → 3"


def test_changed_data_and_code_are_named(workspace: Workspace, project: tuple[Path, Path]) -> None:
    workspace.run(two_steps(*project))
    (project[0] / "c.txt").write_text("c")
    with (project[1] / "train.py").open("a") as file:
        file.write("# changed\n")
    result = workspace.run(two_steps(*project))
    assert result.steps["prep"].reason == "input data changed: 1 file added (`data`)"
    assert result.steps["train"].reason.startswith("code changed: train.py; input data changed: 1 file added")


def test_a_failing_step_stops_what_hangs_on_it(workspace: Workspace) -> None:
    plan = pipeline(
        command("bad", "echo oh no; exit 7", outputs={"x": "uri_folder"}),
        command("below", "true", inputs={"x": of("bad", "x")}),
        command("beside", "true"),
        continue_on_step_failure=True,
    )
    result = workspace.run(plan)
    assert result.status == "Failed"
    assert (result.steps["bad"].exit_code, result.steps["bad"].status) == (7, "Failed")
    assert result.steps["below"].status == "Canceled"
    assert result.steps["below"].message == "not started: `bad` failed"
    assert result.steps["beside"].status == "Completed"
    assert get_job(workspace.store, result.name).status == "Failed"


def test_a_damaged_result_is_not_reused(workspace: Workspace, project: tuple[Path, Path]) -> None:
    first = workspace.run(two_steps(*project))
    model = first.steps["train"].outputs["model"]
    model.chmod(0o644)
    model.write_text("evil")
    again = workspace.run(two_steps(*project))
    assert again.steps["prep"].reused
    assert not again.steps["train"].reused
    assert again.steps["train"].outputs["model"].read_text() == "abab"


def test_a_step_cannot_touch_the_users_files(workspace: Workspace, project: tuple[Path, Path]) -> None:
    data, code = project
    plan = pipeline(
        command(
            "vandal",
            "rm -f ${{inputs.data}}/a.txt train.py; echo x > extra.py; echo x > ${{inputs.data}}/new.txt; true",
            inputs={"data": data},
            code=code,
        )
    )
    workspace.run(plan)
    assert sorted(p.name for p in data.iterdir()) == ["a.txt", "b.txt"]
    assert [p.name for p in code.iterdir()] == ["train.py"]


def test_inputs_are_seen_under_their_mount_names(workspace: Workspace, project: tuple[Path, Path]) -> None:
    data, _ = project
    plan = pipeline(
        command(
            "show",
            "echo ${{inputs.data}}; echo ${{inputs.one}}; echo $AZURE_ML_INPUT_data; echo $AZURE_ML_OUTPUT_Out; pwd; ls",
            inputs={"data": data, "one": data / "a.txt"},
            outputs={"Out": "uri_file"},
        )
    )
    folder, file, variable, output, cwd, *listing = workspace.run(plan).steps["show"].log.read_text().splitlines()
    assert Path(folder).name == "INPUT_data"
    assert Path(file).parts[-2:] == ("INPUT_one", "a.txt")
    assert variable == folder
    assert Path(output).name == "Out"
    assert Path(cwd).name == "cwd"
    assert listing == ["logs", "outputs"]


def test_an_empty_output_is_noticed(workspace: Workspace) -> None:
    result = workspace.run(pipeline(command("lazy", "true", outputs={"out": "uri_folder"})))
    assert [f.code for f in result.findings] == ["TM-N101"]
    assert result.status == "Completed"


def test_two_processes_cannot_drive_one_job(workspace: Workspace) -> None:
    with workspace.ports.locks.job(JobName("mine")), pytest.raises(ConflictError):
        execute(pipeline(command("a", "true")), job=JobName("mine"), ports=workspace.ports)


def test_equal_steps_of_one_job_run_once(workspace: Workspace) -> None:
    result = workspace.run(pipeline(*(command(f"s{i}", "echo hi", outputs={}) for i in range(4))))
    assert sum(s.reused for s in result.steps.values()) == 3


def test_force_runs_everything_again(workspace: Workspace) -> None:
    plan = pipeline(command("a", "true"))
    workspace.run(plan)
    again = workspace.run(plan, force=True)
    assert not again.steps["a"].reused
    assert again.steps["a"].reason == "forced to run"


def test_a_resumed_job_does_not_repeat_what_completed(workspace: Workspace, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    flag = tmp_path / "flag"
    plan = pipeline(
        replace(command("once", f"echo once >> {trace}"), deterministic=False),
        replace(command("then", f"echo then >> {trace}; test -f {flag}"), after=frozenset({"once"})),
    )
    failed = workspace.run(plan)
    assert failed.status == "Failed"
    flag.touch()
    resumed = workspace.resume(plan, failed.name)
    assert resumed.status == "Completed"
    assert trace.read_text().split() == ["once", "then", "then"]
    assert get_job(workspace.store, failed.name).status == "Completed"


def test_a_timeout_fails_the_step(workspace: Workspace) -> None:
    result = workspace.run(pipeline(command("slow", "sleep 30", timeout_s=0.2)))
    assert result.steps["slow"].status == "Failed"
    assert result.steps["slow"].message == "it did not end within 0.2 s"


def test_secrets_are_masked(workspace: Workspace) -> None:
    result = workspace.run(pipeline(command("leak", "echo $TOKEN")), env={"TOKEN": "s3cr3t"}, secrets=("s3cr3t",))
    assert result.steps["leak"].log.read_text() == "***\n"
