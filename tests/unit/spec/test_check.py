from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.findings import Severity
from tidemill.spec.check import FileReport, check_paths

JOB = "type: command\ncommand: ls ${{inputs.d}}\nenvironment: azureml:e@latest\ninputs:\n  d: {type: uri_folder, path: data}\n"
COMPONENT = """name: fit
version: "{version}"
type: command
command: fit ${{{{inputs.n}}}} ${{{{outputs.o}}}}
environment: azureml:e@latest
inputs: {{n: {{type: integer}}}}
outputs: {{o: {{type: uri_folder}}}}
"""
PIPELINE = "type: pipeline\njobs:\n  a:\n    type: command\n    component: {component}\n    inputs: {{n: {n}}}\n"


def check(root: Path, *names: str) -> list[FileReport]:
    return check_paths([root / n for n in names] or [root], root=root)


def said(report: FileReport) -> list[tuple[str, int, int]]:
    return [(f.code, f.at.line, f.at.column) for f in report.findings]


def test_all_mistakes_of_a_file_are_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(
        "type: pipeline\ndisplayname: x\ninputs:\n  n:\njobs:\n"
        "  a:\n    component: ./fit.yml\n    inputs: {n: 2.5, m: 1}\n    outputs: {p: }\n"
        "  b:\n    component: ./fit.yml\n    inputs: {n: '${{parent.jobs.a.outputs.q}}'}\n"
    )
    (tmp_path / "fit.yml").write_text(COMPONENT.format(version=1))
    (report,) = check(tmp_path, "p.yml")
    assert said(report) == [
        ("TM-D101", 2, 1), ("TM-D107", 4, 5), ("TM-B105", 8, 17), ("TM-B102", 8, 22), ("TM-B103", 9, 15), ("TM-B104", 12, 17),
    ]  # fmt: skip


def test_what_follows_from_a_mistake_is_not_said_as_well(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(
        "type: pipeline\njobs:\n  a: {type: comand, component: ./x.yml}\n"
        "  b:\n    command: ls ${{inputs.d}}\n    environment: azureml:e@latest\n"
        "    inputs: {d: '${{parent.jobs.a.outputs.o}}'}\n"
    )
    (report,) = check(tmp_path, "p.yml")
    assert said(report) == [("TM-D103", 3, 13)]


def test_a_misspelt_required_field_is_one_finding(tmp_path: Path) -> None:
    (tmp_path / "j.yml").write_text(
        "type: command\ncomand: ls\nenvironment: azureml:e@latest\n$schema: commandJob.schema.json\n"
    )
    (report,) = check(tmp_path, "j.yml")
    assert said(report) == [("TM-D101", 2, 1)]
    assert "`command`" in report.findings[0].hint


def test_the_verdict_does_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/data").mkdir()
    (tmp_path / "jobs/j.yml").write_text(JOB)
    monkeypatch.chdir("/")
    assert check(tmp_path, "jobs/j.yml")[0].valid
    monkeypatch.chdir(tmp_path / "jobs")
    (report,) = check_paths([Path("j.yml")], root=tmp_path)
    assert report.valid


def test_a_folder_reports_documents_and_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "j.yml").write_text(JOB)
    (tmp_path / "conda.yml").write_text("name: e\ndependencies: [python=3.11]\n")
    (tmp_path / "ci.yaml").write_text("on: push\njobs: {a: {runs-on: x, steps: []}}\n")
    (tmp_path / "compose.yml").write_text("services: {web: {image: x}}\n")
    (tmp_path / "many.yml").write_text("kind: A\n---\nkind: B\n")
    assert [Path(r.path).name for r in check(tmp_path)] == ["j.yml"]


def test_a_broken_file_that_says_it_is_azures_is_reported(tmp_path: Path) -> None:
    (tmp_path / "j.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\ncommand: [\n"
    )
    (report,) = check(tmp_path)
    assert not report.valid


def test_a_file_named_that_is_no_document_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "notes.yml").write_text("name: e\npeople: [ada]\n")
    (report,) = check(tmp_path, "notes.yml")
    assert [f.code for f in report.findings] == ["TM-D004"]
    assert report.kind == "unknown"


def test_components_of_the_repository_are_checked_against(tmp_path: Path) -> None:
    (tmp_path / "fit.yml").write_text(COMPONENT.format(version=3))
    for reference in (
        "azureml:fit:3",
        "azureml:fit@latest",
        "azureml:fit",
        "./fit.yml",
        "file:fit.yml",
        "file:./fit.yml",
        "azureml:./fit.yml",
        "fit.yml",
    ):
        (tmp_path / "p.yml").write_text(PIPELINE.format(component=reference, n="many"))
        (report,) = check(tmp_path, "p.yml")
        assert [f.code for f in report.findings] == ["TM-B105"], reference


def test_an_asset_that_may_live_in_the_workspace_is_no_mistake(tmp_path: Path) -> None:
    for reference in ("azureml:elsewhere:3", "azureml://registries/azureml/components/x/versions/1"):
        (tmp_path / "p.yml").write_text(PIPELINE.format(component=reference, n=1))
        assert check(tmp_path, "p.yml")[0].findings == ()


def test_two_files_with_one_name_and_version_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(COMPONENT.format(version=1))
    (tmp_path / "b.yml").write_text(COMPONENT.format(version=1) + "description: other\n")
    a, b = check(tmp_path)
    assert a.findings == ()
    assert [(f.code, f.severity) for f in b.findings] == [("TM-R105", Severity.WARNING)]
    assert b.valid


def test_a_report_has_the_shape_of_the_contract(tmp_path: Path) -> None:
    (tmp_path / "j.yml").write_text(JOB)
    body = check(tmp_path, "j.yml")[0].as_json()
    assert set(body) == {"path", "kind", "valid", "findings"}
    assert set(body["findings"][0]) == {"code", "severity", "line", "column", "path", "message", "hint"}


def test_ten_thousand_mistakes_do_not_take_long(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(
        "type: pipeline\njobs:\n" + "".join(f"  s{i}: {{type: comand}}\n" for i in range(5000))
    )
    (report,) = check(tmp_path, "p.yml")
    assert len(report.findings) == 5000
