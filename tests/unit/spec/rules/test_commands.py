from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.check import check_loaded
from tidemill.spec.load import load
from tidemill.spec.repository import Repository

COMPONENT = """name: fit
type: command
version: 1
inputs:
  data: {{type: uri_folder}}
  extra: {{type: string, optional: true}}
  rounds: {{type: integer, optional: true, default: 3}}
outputs:
  model: {{type: uri_folder}}
command: >-
  {command}
environment: azureml:e@latest
"""


def said(root: Path, command: str) -> list[tuple[str, str]]:
    path = root / "c.yml"
    path.write_text(COMPONENT.format(command=command))
    return [(f.code, f.hint) for f in check_loaded(load(path), lambda: Repository(root, ()))]


@pytest.mark.parametrize(
    "command",
    [
        "fit ${{inputs.data}} --out ${{ outputs.model }}",
        "fit ${{inputs.data}} $[[--extra ${{inputs.extra}}]]",
        "fit --rounds ${{inputs.rounds}}",
        "echo $[[inputs.extra]] $HOME $(date) && ls | wc -l",
        "fit ${{name}} ${{default_datastore}}",
        "fit ${{inputs.data.path}}",
    ],
)
def test_what_is_declared_may_be_used(tmp_path: Path, command: str) -> None:
    assert said(tmp_path, command) == []


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        ("fit ${{inputs.dta}}", "TM-B108", "`data`"),
        ("fit ${{outputs.modle}}", "TM-B108", "`model`"),
        ("fit $[[--x ${{inputs.xtra}}]]", "TM-B108", "`extra`"),
        ("fit ${{inputs.extra}}", "TM-B109", "$[[--extra ${{inputs.extra}}]]"),
        ("fit ${{parent.inputs.data}}", "TM-B110", "${{inputs.name}}"),
        ("fit ${{github.sha}}", "TM-B110", "inputs"),
        ("fit ${{inputs data}}", "TM-B111", "${{inputs.name}}"),
    ],
)
def test_what_is_not_is_found_with_a_way_out(tmp_path: Path, command: str, code: str, hint: str) -> None:
    ((found, said_hint),) = said(tmp_path, command)
    assert found == code
    assert hint in said_hint


def test_the_same_mistake_twice_in_a_command_is_said_once(tmp_path: Path) -> None:
    assert len(said(tmp_path, "fit ${{inputs.dta}} ${{inputs.dta}}")) == 1
