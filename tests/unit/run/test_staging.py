"""What a step finds where."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, bind, command, of, pipeline
from tidemill.base.ids import StepName, make_job_name
from tidemill.plan.graph import (
    DataInput,
    DataRef,
    Distribution,
    EnvironmentRef,
    OutputSpec,
    Plan,
    Resources,
    Step,
    StepKind,
    StepOutput,
)
from tidemill.run.models import ModelRequest, ModelVersion
from tidemill.run.ports import PreparedEnvironment, Say
from tidemill.run.runner import execute
from tidemill.run.state import Status


def said(workspace: Workspace, *steps: Step, of_step: str = "show") -> list[str]:
    result = workspace.run(pipeline(*steps))
    assert result.status == "Completed", result.steps
    return result.steps[of_step].log.read_text().splitlines()


def test_producers_and_consumers_may_disagree_about_file_and_folder(workspace: Workspace) -> None:
    lines = said(
        workspace,
        command("file", "echo in-file > ${{outputs.o}}", outputs={"o": "uri_file"}),
        command("folder", "echo in-folder > ${{outputs.o}}/x.txt", outputs={"o": "uri_folder"}),
        command(
            "show",
            "cat ${{inputs.file_as_folder}}/*; cat ${{inputs.file_as_file}}; ls ${{inputs.folder_as_file}}",
            inputs={
                "file_as_folder": of("file", "o", "uri_folder"),
                "file_as_file": of("file", "o", "uri_file"),
                "folder_as_file": of("folder", "o", "uri_file"),
            },
        ),
    )
    assert lines == ["in-file", "in-file", "x.txt"]


def test_the_parent_of_a_file_output_exists_but_not_the_file(workspace: Workspace) -> None:
    check = 'test -d "$(dirname ${{outputs.o}})" && test ! -e ${{outputs.o}} && date > ${{outputs.o}}'
    assert said(workspace, command("show", check, outputs={"o": "uri_file"})) == []


def test_a_download_may_be_changed_and_the_original_stays(workspace: Workspace, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("a")
    binding = DataInput(DataRef(str(data), "uri_folder"), "download")
    lines = said(workspace, command("show", "echo b > ${{inputs.d}}/a; cat ${{inputs.d}}/a", inputs={"d": binding}))
    assert lines == ["b"]
    assert (data / "a").read_text() == "a"


@pytest.mark.parametrize("mode", ["ro_mount", "download", "direct", "eval_mount", "eval_download"])
def test_whatever_the_mode_the_users_own_files_stay(workspace: Workspace, tmp_path: Path, mode: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("a")
    binding = DataInput(DataRef(str(data), "uri_folder"), mode)
    lines = said(
        workspace, command("show", "cd ${{inputs.d}} && cat a && rm a && touch new; ls", inputs={"d": binding})
    )
    assert lines == ["anew"]
    assert {p.name: p.read_text() for p in data.iterdir()} == {"a": "a"}


def test_a_step_that_read_what_another_one_spoiled_did_not_complete_and_its_result_is_not_used_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    force = "f=$(readlink -f ${{inputs.d}}/one); chmod u+w $f; echo bad >> $f"
    waits = f"while [ ! -e {tmp_path}/spoiled ]; do sleep 0.01; done; cp ${{{{inputs.d}}}}/one ${{{{outputs.o}}}}/copy"
    made = {"d": StepOutput(StepName("make"), "o")}

    def steps(vandal: str) -> Plan:
        return pipeline(
            command("make", "echo 1 > ${{outputs.o}}/one", outputs={"o": "uri_folder"}),
            command("vandal", vandal, inputs=made),
            command("victim", waits, inputs=made, outputs={"o": "uri_folder"}),
            continue_on_step_failure=True,
        )

    first = workspace.run(steps(f"{force}; touch {tmp_path}/spoiled"))
    assert first.steps["victim"].status is Status.FAILED
    assert "read-only input `d` changed" in first.steps["victim"].message
    again = workspace.run(steps("true"))
    assert not again.steps["victim"].reused
    assert (again.steps["victim"].outputs["o"] / "copy").read_text() == "1\n"


def test_large_data_is_linked_and_a_step_that_changes_it_is_named(workspace: Workspace, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("a")
    os.utime(data / "a", (1, 1))
    step = command("vandal", "echo b >> ${{inputs.d}}/a", inputs={"d": data})
    result = workspace.run(pipeline(step), copy_below_bytes=0)
    assert [f.code for f in result.findings] == ["TM-N104"]
    assert not workspace.run(pipeline(step), copy_below_bytes=0).steps["vandal"].reused


def test_a_step_that_forces_its_way_into_what_is_kept_is_named_and_what_it_spoiled_is_made_anew(
    workspace: Workspace,
) -> None:
    make = command("make", "echo 1 > ${{outputs.o}}/one", outputs={"o": "uri_folder"})
    force = "f=$(readlink -f ${{inputs.d}}/one); chmod u+w $f; echo bad >> $f"
    vandal = command("vandal", force, inputs={"d": StepOutput(StepName("make"), "o")})
    first = workspace.run(pipeline(make, vandal))
    assert [f.code for f in first.findings] == ["TM-N104"]
    assert first.steps["vandal"].status is Status.FAILED
    again = workspace.run(pipeline(make))
    assert not again.steps["make"].reused
    assert (next(iter(again.steps["make"].outputs.values())) / "one").read_text() == "1\n"


def test_an_output_goes_where_its_document_sends_it(workspace: Workspace) -> None:
    step = replace(
        command("show", "echo x > ${{outputs.o}}/f"),
        outputs={"o": OutputSpec(destination="azureml://datastores/lake/paths/runs/${{name}}/o")},
    )
    result = workspace.run(pipeline(step))
    found = workspace.home / "datastores" / "lake" / "runs" / f"{result.name}.show" / "o" / "f"
    assert found.read_text() == "x\n"


def test_what_lies_in_outputs_is_the_steps_default_output(workspace: Workspace) -> None:
    step = command("show", "echo x > outputs/report.txt; echo y > logs/own.txt")
    first = workspace.run(pipeline(step))
    assert (first.steps["show"].outputs["default"] / "report.txt").read_text() == "x\n"
    assert (first.steps["show"].log.parent / "own.txt").read_text() == "y\n"
    again = workspace.run(pipeline(step))
    assert again.steps["show"].reused
    assert (again.steps["show"].outputs["default"] / "report.txt").read_text() == "x\n"


def test_an_output_called_artifacts_that_nobody_mentions_is_that_folder(workspace: Workspace) -> None:
    step = command("show", "echo x > outputs/report.txt", outputs={"artifacts": "uri_folder"})
    result = workspace.run(pipeline(step))
    assert (result.steps["show"].outputs["artifacts"] / "report.txt").read_text() == "x\n"
    assert result.findings == ()


def test_optional_text_vanishes_with_its_input(workspace: Workspace) -> None:
    text = "echo a $[[--note ${{inputs.note}}]] b"
    assert said(workspace, command("show", text)) == ["a b"]
    assert said(workspace, command("show", text, inputs={"note": "hi"})) == ["a --note hi b"]


def test_a_distributed_step_starts_each_process(workspace: Workspace) -> None:
    step = replace(
        command("show", "echo $RANK of $WORLD_SIZE"),
        distribution=Distribution("pytorch", 2),
        resources=Resources(instance_count=1),
    )
    assert sorted(said(workspace, step)) == ["[0] 0 of 2", "[1] 1 of 2"]


def test_a_step_that_reads_what_was_never_written_fails_with_that(workspace: Workspace) -> None:
    result = workspace.run(
        pipeline(
            command("lazy", "true", outputs={"o": "uri_file"}),
            command("show", "cat ${{inputs.i}}", inputs={"i": of("lazy", "o", "uri_file")}),
        )
    )
    assert result.steps["show"].message == "`lazy` never wrote its output `o`, which this step reads"


class Registrar:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[ModelRequest, list[str]]] = []

    def register(self, request: ModelRequest) -> ModelVersion:
        files = sorted(p.relative_to(request.path).as_posix() for p in request.path.rglob("*") if p.is_file())
        self.seen.append((request, files))
        return ModelVersion(request.name, "1", request.type, request.path, "d", "2026-11-20T00:00:00Z")


def register(kind: str) -> Step:
    values: Mapping[str, object] = {"model_name": "m", "model_type": kind, "model_path": of("train", "model")}
    return Step(
        StepName("register"),
        kind=StepKind.REGISTER_MODEL,
        inputs={n: bind(v) for n, v in values.items()},
        outputs={"registration_details_folder": OutputSpec()},
    )


@pytest.mark.parametrize(
    ("kind", "layout"), [("custom_model", ["INPUT_model_path/MLmodel"]), ("mlflow_model", ["MLmodel"])]
)
def test_a_registered_custom_model_keeps_the_mount_in_its_path(
    workspace: Workspace, kind: str, layout: list[str]
) -> None:
    registrar = Registrar()
    ports = replace(workspace.ports, models=registrar)
    train = command("train", "echo > ${{outputs.model}}/MLmodel", outputs={"model": "uri_folder"})
    result = execute(pipeline(train, register(kind)), job=make_job_name(), ports=ports)
    assert result.status == "Completed", result.steps["register"].message
    ((request, files),) = registrar.seen
    assert (request.name, request.step, files) == ("m", "register", layout)
    details = result.steps["register"].outputs["registration_details_folder"]
    assert json.loads((details / "model_registration_details.json").read_text())["id"] == "azureml:m:1"


def test_a_write_outside_the_steps_folders_is_noticed_and_named(workspace: Workspace, tmp_path: Path) -> None:
    step = command("a", "true", outputs={"o": "uri_file"})
    notes = "echo '\"/data/out.csv\"' >> ../outside.jsonl; echo x > ${{outputs.o}}"
    result = workspace.run(pipeline(command("a", notes, outputs=dict.fromkeys(step.outputs, "uri_file"))))
    assert [f.code for f in result.findings] == ["TM-N108"]
    assert "/data/out.csv" in result.findings[0].message


def test_what_was_loosened_of_its_environment_is_stated_of_a_step_and_of_one_that_reuses_it(
    workspace: Workspace,
) -> None:
    class Loosened:
        def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
            return PreparedEnvironment(Path(sys.executable), relaxed=("six==0.0.77 -> six",))

        def key(self, environment: EnvironmentRef) -> str:
            return "venv"

    ports = replace(workspace.ports, environments=Loosened())
    for reused in (False, True):
        result = execute(pipeline(command("a", "echo x > outputs/x")), job=make_job_name(), ports=ports)
        assert result.steps["a"].reused is reused
        assert [(f.code, "six==0.0.77 -> six" in f.message) for f in result.findings] == [("TM-N109", True)]


def test_a_step_that_may_not_write_its_copy_of_an_input_is_told_how_it_may(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    step = command("a", "echo 'copy: Permission denied'; exit 1", inputs={"d": tmp_path / "data"})
    assert "give `d` `mode: download`" in workspace.run(pipeline(step)).steps["a"].message


@pytest.mark.parametrize("mode", ["ro_mount", "download"])
def test_large_data_is_walked_like_any_other_and_what_is_deleted_of_it_stays(
    workspace: Workspace, tmp_path: Path, mode: str
) -> None:
    data = tmp_path / "data"
    (data / "labels" / "cats").mkdir(parents=True)
    (data / "empty").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.txt").write_text("2")
    (data / "linked").symlink_to(tmp_path / "elsewhere")
    for name in ("top.txt", "labels/cats/1.txt"):
        (data / name).write_text("1")
    walk = "python -c \"import os; print(sorted(f for _, _, fs in os.walk('.') for f in fs), os.path.isdir('empty'))\""
    step = command(
        "show",
        f"cd ${{{{inputs.d}}}} && {walk} && rm -r labels && echo 2 > new.txt",
        inputs={"d": DataInput(DataRef(str(data), "uri_folder"), mode)},
    )
    result = workspace.run(pipeline(step), copy_below_bytes=0)
    assert result.steps["show"].log.read_text() == "['1.txt', '2.txt', 'top.txt'] True\n"
    assert (data / "labels" / "cats" / "1.txt").exists()
    assert not (data / "new.txt").exists()
