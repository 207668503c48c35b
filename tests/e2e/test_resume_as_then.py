"""A job is taken up again from what it was made of, whatever happened to the files since."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.waiting import until

PIPELINE = """
type: pipeline
jobs:
  a:
    command: "touch started; while [ ! -e {go} ]; do sleep 0.05; done; echo one > ${{{{outputs.o}}}}"
    environment: {{image: x}}
    outputs: {{o: {{type: uri_file}}}}
  b:
    type: command
    component: ./parts/b.yml
    inputs: {{i: "${{{{parent.jobs.a.outputs.o}}}}"}}
  c:
    type: command
    component: azureml:named@latest
    inputs: {{i: "${{{{parent.jobs.a.outputs.o}}}}"}}
"""
COMPONENT = """
type: command
name: {name}
version: "1"
code: ../src
inputs: {{i: {{type: uri_file}}}}
command: echo {word} && cat ${{{{inputs.i}}}} code.txt
environment: {{image: x}}
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A project whose job `j` was killed in its first step, whose documents and code then changed."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.txt").write_text("code of then\n")
    (tmp_path / "tidemill.yaml").write_text("name: p\n")
    (tmp_path / "p.yml").write_text(PIPELINE.format(go=tmp_path / "go"))
    (tmp_path / "parts" / "b.yml").write_text(COMPONENT.format(name="b", word="first-b"))
    (tmp_path / "parts" / "named.yml").write_text(COMPONENT.format(name="named", word="first-c"))
    driver = subprocess.Popen([sys.executable, "-m", "tidemill", "run", "p.yml", "--name", "j"], cwd=tmp_path)
    started = tmp_path / ".tidemill" / "jobs" / "j" / "a" / "cwd" / "started"
    until(started.exists)
    driver.kill()
    driver.wait()
    (tmp_path / "go").touch()
    return tmp_path


def said(project: Path, step: str) -> str:
    return (project / ".tidemill" / "jobs" / "j" / step / "logs" / "std_log.txt").read_text()


def test_edited_and_moved_documents_are_used_as_they_were(killed: Path, tidemill: Run) -> None:
    (killed / "p.yml").rename(killed / "moved.yml")
    (killed / "parts" / "b.yml").write_text(COMPONENT.format(name="b", word="second-b"))
    (killed / "parts" / "named.yml").write_text(COMPONENT.format(name="other", word="second-c"))
    done = tidemill("job", "resume", "j")
    assert said(killed, "b").splitlines() == ["first-b", "one", "code of then"]
    assert said(killed, "c").splitlines()[0] == "first-c"
    assert f"{killed}/p.yml is not there any more: it is used as it was" in done.stderr
    assert f"{killed}/parts/b.yml has changed: it is used as it was" in done.stderr


def test_code_that_changed_is_used_as_it_is_and_said(killed: Path, tidemill: Run) -> None:
    (killed / "src" / "code.txt").write_text("code of now\n")
    done = tidemill("job", "resume", "j")
    assert said(killed, "b").splitlines() == ["first-b", "one", "code of now"]
    assert f"the code {killed}/src has changed since the job began (code.txt): it is used as it is now\n" in done.stderr


def test_nothing_is_said_of_what_did_not_change(killed: Path, tidemill: Run) -> None:
    assert "it is used as" not in tidemill("job", "resume", "j").stderr


def test_a_document_with_a_secret_in_it_is_not_kept(tmp_path: Path, tidemill: Run) -> None:
    (tmp_path / "tidemill.yaml").write_text("name: p\n")
    (tmp_path / "j.yml").write_text("# hush-hush\ncommand: exit 1\nenvironment: {image: x}\n")
    tidemill("run", "j.yml", "--name", "j", code=1, MY_TOKEN="hush-hush")
    assert b"hush-hush" not in b"".join(p.read_bytes() for p in (tmp_path / ".tidemill").glob("tidemill.db*"))
    done = tidemill("job", "resume", "j", code=1, MY_TOKEN="hush-hush")
    assert "no copy of" in done.stderr


FORCED = """
type: pipeline
jobs:
  a:
    command: echo a >> {seen} && touch ${{{{outputs.o}}}}
    environment: {{image: x}}
    outputs: {{o: {{type: uri_file}}}}
  b:
    command: test ! -e {stop} && echo b >> {seen} && cat ${{{{inputs.i}}}}
    environment: {{image: x}}
    inputs: {{i: "${{{{parent.jobs.a.outputs.o}}}}"}}
"""


def test_a_job_that_was_forced_reuses_nothing_of_others_when_it_is_taken_up(tmp_path: Path, tidemill: Run) -> None:
    seen, stop = tmp_path / "seen", tmp_path / "stop"
    (tmp_path / "p.yml").write_text(FORCED.format(seen=seen, stop=stop))
    tidemill("run", "p.yml")
    stop.touch()
    tidemill("run", "p.yml", "--force", "--name", "j", code=1)
    stop.unlink()
    tidemill("job", "resume", "j")
    assert seen.read_text().split() == ["a", "b", "a", "b"]
