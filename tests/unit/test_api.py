"""The public names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tidemill
from tidemill.base.errors import SpecError

JOB = "type: command\ncommand: echo ${{inputs.n}}\nenvironment: azureml:any@latest\ninputs: {n: 1}\n"


def test_every_public_name_is_there_and_they_are_sorted() -> None:
    assert tidemill.__all__ == sorted(tidemill.__all__)
    assert all(callable(getattr(tidemill, name)) for name in tidemill.__all__)
    with pytest.raises(AttributeError):
        tidemill.nothing  # noqa: B018


def test_importing_the_package_loads_none_of_them() -> None:
    code = "import sys, tidemill; print('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_notebook_loads_changes_and_validates(tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    assert tidemill.load_job(tmp_path / "job.yml", set={"inputs.n": 3}).document.inputs == {"n": 3}
    assert tidemill.validate(tmp_path / "job.yml") == ()
    with pytest.raises(SpecError):
        tidemill.load_component(tmp_path / "job.yml")
    (tmp_path / "job.yml").write_text(JOB.replace("inputs.n}", "inputs.m}"))
    assert [f.code for f in tidemill.validate(tmp_path / "job.yml")] == ["TM-B108"]
