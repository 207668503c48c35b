"""CPUs and GPUs are shared, and never more of them given away than there are."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, command, open_workspace, pipeline
from tidemill.plan.graph import Distribution, Resources
from tidemill.run.slots import Slots
from tidemill.run.state import Status

SPAN = "echo $(date +%s%N) start {name} $CUDA_VISIBLE_DEVICES >> {trace}; sleep 0.3; echo $(date +%s%N) end {name} >> {trace}"


def spans(trace: Path) -> list[list[str]]:
    return [line.split()[1:] for line in sorted(trace.read_text().splitlines())]


def most_at_once(found: list[list[str]], shares: dict[str, int]) -> int:
    busy = most = 0
    for what, name, *_ in found:
        busy += shares[name] if what == "start" else -shares[name]
        most = max(most, busy)
    return most


def test_steps_that_reserve_more_cpus_share_the_machine_with_fewer(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    shares = {"a": 3, "b": 3, "c": 1, "d": 2, "e": 1}
    steps = [
        command(n, SPAN.format(name=n, trace=trace), resources=Resources(cpus=float(c)), deterministic=False)
        for n, c in shares.items()
    ]
    with ExitStack() as stack:
        result = open_workspace(tmp_path / ".tidemill", stack, slots=4).run(pipeline(*steps))
    assert result.status is Status.COMPLETED
    assert 3 <= most_at_once(spans(trace), shares) <= 4


def test_the_processes_of_a_distributed_step_count_each(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    many = command(
        "many", SPAN.format(name="many$RANK", trace=trace), distribution=Distribution("pytorch", 2), deterministic=False
    )
    ones = [command(n, SPAN.format(name=n, trace=trace), deterministic=False) for n in ("x", "y", "z")]
    with ExitStack() as stack:
        result = open_workspace(tmp_path / ".tidemill", stack, slots=2).run(pipeline(ones[0], many, *ones[1:]))
    assert result.status is Status.COMPLETED
    assert most_at_once(spans(trace), dict.fromkeys(["many0", "many1", "x", "y", "z"], 1)) == 2


def test_a_step_that_wants_more_cpus_than_there_are_runs_alone(workspace: Workspace, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    big = command("big", SPAN.format(name="big", trace=trace), resources=Resources(cpus=64.0), deterministic=False)
    small = command("small", SPAN.format(name="small", trace=trace), deterministic=False)
    assert workspace.run(pipeline(big, small)).status is Status.COMPLETED
    assert most_at_once(spans(trace), {"big": 1, "small": 1}) == 1


def test_each_step_has_its_own_gpus(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    shares = {"a": 1, "b": 2, "c": 1, "d": 1}
    steps = [
        command(n, SPAN.format(name=n, trace=trace), resources=Resources(gpus=float(g)), deterministic=False)
        for n, g in shares.items()
    ]
    with ExitStack() as stack:
        workspace = open_workspace(tmp_path / ".tidemill", stack, slots=4)
        workspace.ports = replace(workspace.ports, gpus=lambda: ("0", "GPU-7"))
        assert workspace.run(pipeline(*steps)).status is Status.COMPLETED
    busy: dict[str, str] = {}
    for what, name, *gpus in spans(trace):
        if what == "start":
            given = gpus[0].split(",")
            assert len(given) == shares[name]
            assert not set(given) & set(busy)
            busy |= dict.fromkeys(given, name)
        else:
            busy = {gpu: user for gpu, user in busy.items() if user != name}


def test_a_gpu_that_is_not_there_is_said(workspace: Workspace) -> None:
    result = workspace.run(pipeline(command("a", "true", resources=Resources(gpus=1.0))))
    assert result.status is Status.FAILED
    assert "wants 1 GPUs, and this machine has 0" in result.steps["a"].message


def test_who_came_first_is_served_first() -> None:
    slots = Slots(2)
    assert slots.acquire()
    assert slots.acquire(blocking=False)
    assert not slots.acquire(blocking=False)
    slots.release(2)
    with slots.more(0, 5):
        assert not slots.acquire(blocking=False), "who wants more than there are has all of them"
    assert slots.acquire(2, blocking=False)


@pytest.mark.parametrize("share", [1, 2])
def test_a_canceled_run_gives_everything_back(workspace: Workspace, share: int) -> None:
    failing = command("a", "sleep 0.1; exit 3", resources=Resources(cpus=float(share)))
    waiting = command("b", "sleep 0.1", resources=Resources(cpus=2.0))
    result = workspace.run(pipeline(failing, waiting), continue_on_step_failure=True)
    assert [result.steps[n].status for n in "ab"] == [Status.FAILED, Status.COMPLETED]
