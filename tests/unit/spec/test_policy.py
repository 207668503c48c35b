"""What a project silences is silent, and counted; what it does not name stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tidemill.app.check import check_all
from tidemill.cli.check import command

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  template:
    spec:
      containers:
        - name: api{name}
          image: ghcr.io/me/api:main{image}
          readinessProbe: {{httpGet: {{path: /readyz, port: 8000}}}}
          resources: {{limits: {{memory: 1Gi}}}}
          securityContext: {{runAsNonRoot: true}}
"""
PROJECT = "name: p\ncheck:\n  {}\n"


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def said(folder: Path, *names: str) -> list[tuple[str, str]]:
    reports = check_all([folder / n for n in names] or [folder]).reports
    return [(Path(r.path).name, f"{f.code} {f.severity}") for r in reports for f in r.findings]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, "tidemill.yaml", "name: p\n")
    write(tmp_path, "k8s/api.yml", DEPLOYMENT.format(name="", image=""))
    return tmp_path


def test_a_comment_silences_its_code_on_its_line_alone(project: Path) -> None:
    assert said(project) == [("api.yml", "TM-X05 warning")]
    write(project, "k8s/api.yml", DEPLOYMENT.format(name="", image="  # tidemill: ignore TM-X05 - a test cluster"))
    assert said(project) == []
    assert [len(r.commented) for r in check_all([project]).reports if r.commented] == [1]
    write(project, "k8s/api.yml", DEPLOYMENT.format(name="", image="  # tidemill: ignore TM-X35"))
    assert said(project) == [("api.yml", "TM-X05 warning")]
    write(project, "k8s/api.yml", DEPLOYMENT.format(name="  # tidemill: ignore TM-X05", image=""))
    assert said(project) == [("api.yml", "TM-X05 warning")]


def test_a_comment_on_a_line_of_its_own_speaks_of_the_next(project: Path) -> None:
    write(project, "Dockerfile", "# tidemill: ignore TM-X35\nFROM python:latest\nFROM debian:latest\n")
    reports = check_all([project / "Dockerfile"]).reports
    assert [(f.code, f.at.line) for r in reports for f in r.findings] == [("TM-X35", 3)]


def test_several_codes_stand_with_commas(project: Path) -> None:
    write(project, "run.sh", "az ml components list -n x --version latest # tidemill: ignore TM-X14, TM-X10\n")
    assert said(project, "run.sh") == []


def test_a_comment_in_a_document_and_in_python_silences_too(project: Path) -> None:
    write(project, "j.yml", "type: command\ncomand: ls # tidemill: ignore TM-D101\nenvironment: azureml:e@latest\n")
    assert ("j.yml", "TM-D101 error") not in said(project, "j.yml")
    write(project, "s.py", "from azureml.core import Run  # tidemill: ignore TM-X45 - until June\n")
    assert said(project, "s.py") == []


@pytest.mark.parametrize(
    ("comment", "column"),
    [("# tidemill: ignore TM-X5O", 37), ("# tidemill: ignore", 18), ("#tidemill:ignore nothing", 35)],
)
def test_a_comment_that_names_no_known_code_is_a_finding(project: Path, comment: str, column: int) -> None:
    write(project, "run.sh", f"az login --quick {comment}\n")
    ((finding,),) = [r.findings for r in check_all([project / "run.sh"]).reports]
    assert (finding.code, finding.at.line, finding.at.column) == ("TM-X90", 1, column)


def test_words_about_the_comment_are_no_comment(project: Path) -> None:
    write(project, "s.py", 'HELP = "write # tidemill: ignore CODE"\n"""# tidemill: ignore"""\n')
    write(project, "run.sh", "# tidemill: ignored files are listed below\necho hi\n")
    assert said(project, "s.py", "run.sh") == []


def test_codes_are_switched_off_or_judged_anew(project: Path) -> None:
    write(project, "tidemill.yaml", PROJECT.format("codes: {TM-X05: off}"))
    assert said(project) == []
    assert [f.code for r in check_all([project]).reports for f in r.switched_off] == ["TM-X05"]
    write(project, "tidemill.yaml", PROJECT.format("codes: {TM-X05: error}"))
    assert said(project) == [("api.yml", "TM-X05 error")]
    assert not all(r.valid for r in check_all([project]).reports)


def test_an_unknown_code_in_the_settings_is_said_where_it_stands(project: Path) -> None:
    write(project, "tidemill.yaml", PROJECT.format("codes: {TM-X5: off}"))
    (finding,) = check_all([project / "tidemill.yaml"]).reports[0].findings
    assert (finding.code, finding.at.line, finding.at.column) == ("TM-X90", 3, 11)


@pytest.mark.parametrize("pattern", ["k8s", "k8s/", "/k8s", "k8s/*.yml", "**/api.yml", "api.yml"])
def test_ignored_files_are_not_looked_at_unless_named(project: Path, pattern: str) -> None:
    write(project, "tidemill.yaml", PROJECT.format(f"ignore: ['{pattern}']"))
    assert said(project) == []
    assert [p.name for p in check_all([project]).ignored] == ["api.yml"]
    assert said(project, "k8s/api.yml") == [("api.yml", "TM-X05 warning")]


@pytest.mark.parametrize("pattern", ["k8", "8s/", "/api.yml", "k8s/*.yaml", "!k8s"])
def test_a_pattern_of_something_else_ignores_nothing(project: Path, pattern: str) -> None:
    write(project, "tidemill.yaml", PROJECT.format(f"ignore: ['{pattern}']"))
    assert said(project) == [("api.yml", "TM-X05 warning")]


def test_an_ignored_twin_makes_no_duplicate(project: Path) -> None:
    text = "name: fit\nversion: 1\ntype: command\ncommand: ls\nenvironment: azureml:e@latest\n"
    write(project, "a/fit.yml", text)
    write(project, "old/fit.yml", text + "description: other\n")
    assert ("fit.yml", "TM-R105 warning") in said(project)
    write(project, "tidemill.yaml", PROJECT.format("ignore: [old/, k8s/]"))
    assert said(project) == []


def test_a_project_file_that_cannot_be_read_is_reported_whatever_was_named(project: Path) -> None:
    write(project, "tidemill.yaml", PROJECT.format("ignored: [old/]"))
    assert ("tidemill.yaml", "TM-D101 error") in said(project, "k8s/api.yml")


def test_the_summary_counts_what_is_silenced(project: Path) -> None:
    write(project, "tidemill.yaml", PROJECT.format("ignore: [old/]\n  codes: {TM-X05: off}"))
    write(project, "run.sh", "az ml components list  # tidemill: ignore TM-X14\n")
    write(project, "old/run.sh", "az ml components list\n")
    shown = CliRunner().invoke(command, [str(project)], standalone_mode=False).output
    assert shown.endswith(
        "no findings\nsilenced: 1 finding by comments, 1 finding by tidemill.yaml, 1 file not looked at\n"
    )
    body = json.loads(CliRunner().invoke(command, [str(project), "-o", "json"], standalone_mode=False).output)
    assert body["silenced"] == {"by_comment": 1, "by_setting": 1}
    assert body["ignored"] == [str(project / "old/run.sh")]


def test_build_folders_are_skipped_where_a_packaging_tool_makes_them(project: Path) -> None:
    write(project, "build/run.sh", "az ml components list\n")
    assert ("run.sh", "TM-X14 error") in said(project)
    write(project, "pyproject.toml", "")
    assert ("run.sh", "TM-X14 error") not in said(project)
