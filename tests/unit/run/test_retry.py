"""A step is tried again for the causes that the project declares, and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, command, pipeline
from tidemill.run.ports import TaskEnd
from tidemill.run.retry import Retry
from tidemill.run.state import Status

FLAKY = "echo try >> {trace}; test $(wc -l < {trace}) -ge {good} || {{ echo '{words}'; exit {code}; }}"


def run(workspace: Workspace, trace: Path, retry: Retry, *, good: int = 3, code: int = 75, words: str = "no") -> Status:
    step = command("a", FLAKY.format(trace=trace, good=good, code=code, words=words))
    return workspace.run(pipeline(step), retry=retry).steps["a"].status


@pytest.mark.parametrize("cause", ["exit 75", "/reset by pe+r/"])
def test_a_declared_cause_is_tried_again(workspace: Workspace, tmp_path: Path, cause: str) -> None:
    trace = tmp_path / "trace"
    retry = Retry(2, ("timeout", cause))
    assert run(workspace, trace, retry, words="Connection reset by peer") is Status.COMPLETED
    assert len(trace.read_text().splitlines()) == 3


def test_no_more_often_than_declared(workspace: Workspace, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    step = command("a", FLAKY.format(trace=trace, good=9, code=75, words="no"))
    ended = workspace.run(pipeline(step), retry=Retry(2, ("exit 75",))).steps["a"]
    assert (ended.status, ended.message) == (
        Status.FAILED,
        "its command ended with exit code 75, in the last of 3 tries",
    )
    assert len(trace.read_text().splitlines()) == 3


def test_another_cause_is_not_tried_again(workspace: Workspace, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    assert run(workspace, trace, Retry(2, ("exit 75", "lost", "timeout")), code=1) is Status.FAILED
    assert len(trace.read_text().splitlines()) == 1


def test_what_a_failed_try_wrote_is_gone(workspace: Workspace, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    text = FLAKY.format(trace=trace, good=2, code=75, words="no").replace(
        "test ", "touch ${{outputs.o}}/$RANDOM; test "
    )
    step = command("a", text, outputs={"o": "uri_folder"})
    result = workspace.run(pipeline(step), retry=Retry(1, ("exit 75",)))
    assert len(list((workspace.home / "jobs" / result.name / "a" / "outputs" / "o").iterdir())) == 1


def test_lost_tasks_are_tried_twice_without_being_declared() -> None:
    lost = TaskEnd(None, lost=True, message="its node went away")
    assert Retry().cause(lost, (), 1) == "its node went away"
    assert Retry().cause(lost, (), 2) == ""
    assert Retry(5, ("lost",)).cause(lost, (), 4)
    assert Retry(5, ("lost", "exit 1")).cause(TaskEnd(1, canceled=True), (), 0) == ""
    assert Retry(5, ("timeout",)).cause(TaskEnd(-15, timed_out=True), (), 0) == "it timed out"


def test_what_the_earlier_tries_said_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    step = command("a", FLAKY.format(trace=tmp_path / "trace", good=3, code=75, words="no luck"))
    log = workspace.run(pipeline(step), retry=Retry(2, ("exit 75",))).steps["a"].log
    assert (log.parent / "earlier_tries.txt").read_text() == "no luck\nno luck\n"
