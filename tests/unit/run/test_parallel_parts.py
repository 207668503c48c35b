"""Parallel steps whose mini batches several tasks share: what comes out is what one task gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.run.conftest import Workspace, open_workspace, pipeline
from tests.unit.run.test_parallel import parallel
from tidemill.backends.executors.local import LocalExecutor
from tidemill.plan.graph import Resources, Step
from tidemill.run.parallel_parts import merge
from tidemill.run.ports import Task, TaskEnd, TaskWatch
from tidemill.run.result import StepResult
from tidemill.run.state import Status

NAMES = """
    import os
    def run(batch):
        print("takes", len(batch))
        return ["%s" % os.path.basename(f) for f in batch]
"""
NONE = {"mini_batch_error_threshold": -1, "error_threshold": -1, "allowed_failed_percent": 100}


class Spreading(LocalExecutor):
    """As one with several machines; it remembers its tasks, and loses those it is told to."""

    def __init__(self, scope: str) -> None:
        super().__init__(4, scope=scope, grace_s=0.5)
        self.tasks: list[Task] = []
        self.loses: list[int] = []

    def count_parts(self, workers: int, instances: int) -> int:
        return workers or 3

    def submit(self, task: Task, watch: TaskWatch) -> None:
        self.tasks.append(task)
        number = int(task.ticket.rpartition("-")[2]) if "part-" in task.ticket else -1
        if number in self.loses:
            self.loses.remove(number)
            watch.ended(TaskEnd(None, lost=True, message="its node was lost"))
        else:
            super().submit(task, watch)


@pytest.fixture
def spread(tmp_path: Path) -> Iterator[tuple[Workspace, Spreading]]:
    with ExitStack() as stack:
        found = open_workspace(tmp_path / ".tidemill", stack)
        executor = stack.enter_context(closing(Spreading(str(found.home))))
        ports = replace(found.ports, executors={"many": executor}, place_compute=lambda _: "many")
        yield replace(found, ports=ports), executor


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "abcdefg":
        (folder / name).write_text(name)
    return folder


def run(workspace: Workspace, step: Step) -> StepResult:
    return workspace.run(pipeline(step)).steps["score"]


def test_tasks_share_the_mini_batches_and_results_keep_their_order(
    spread: tuple[Workspace, Spreading], tmp_path: Path, files: Path
) -> None:
    workspace, executor = spread
    end = run(workspace, parallel(tmp_path, NAMES, files, mini_batch_size="2", max_concurrency_per_instance=3))
    assert end.status is Status.COMPLETED
    assert end.message == "4 of 4 mini batches completed"
    assert end.outputs["out"].read_text().split() == list("abcdefg")
    assert len(executor.tasks) == 3
    said = end.log.read_text().splitlines()
    assert sorted(line for line in said if "takes" in line) == [
        "[0] takes 1",
        "[0] takes 2",
        "[1] takes 2",
        "[2] takes 2",
    ]
    assert not list(end.log.parent.glob("std_log_part*"))


def test_rows_of_equal_keys_come_together_whoever_has_them(spread: tuple[Workspace, Spreading], tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("shop,sold\n" + "".join(f"{n % 5},{n}\n" for n in range(50)))
    script = "def run(frame, context):\n    assert frame['shop'].nunique() == 1\n    return [f\"{context.partition_key_value['shop']} {frame['sold'].sum()}\"] * len(frame)\n"
    end = run(spread[0], parallel(tmp_path, script, table, partition_keys=["shop"]))
    lines = end.outputs["out"].read_text().splitlines()
    assert list(dict.fromkeys(lines)) == [f"{n} {sum(range(n, 50, 5))}" for n in range(5)]
    assert len(lines) == 50


def test_each_reserves_its_share_of_what_the_step_does(
    spread: tuple[Workspace, Spreading], tmp_path: Path, files: Path
) -> None:
    step = parallel(tmp_path, NAMES, files, max_concurrency_per_instance=1)
    run(spread[0], replace(step, resources=Resources(instance_count=2, cpus=3)))
    assert [(t.resources.instance_count, t.resources.cpus, t.apart) for t in spread[1].tasks] == [(1, 3.0, True)] * 2


def test_more_failures_than_all_together_may_have_fail_the_step(
    spread: tuple[Workspace, Spreading], tmp_path: Path, files: Path
) -> None:
    script = """
        import os
        def run(batch):
            if os.path.basename(batch[0]) in "abc":
                raise ValueError("bad " + os.path.basename(batch[0]))
            return batch
    """
    retry = {"max_retries": 0}
    step = parallel(tmp_path, script, files, mini_batch_error_threshold=2, retry_settings=retry)
    end = run(spread[0], step)
    assert end.status is Status.FAILED
    assert end.message.startswith("3 mini batches failed, `mini_batch_error_threshold` is 2")
    allowed = run(spread[0], parallel(tmp_path, script, files, mini_batch_error_threshold=3, retry_settings=retry))
    assert allowed.status is Status.COMPLETED
    assert allowed.message == "4 of 7 mini batches completed"
    assert [f.code for f in allowed.findings] == ["TM-N121"]
    assert "; the last: " in allowed.findings[0].message


def test_a_script_that_cannot_start_fails_the_step_with_its_words_once(
    spread: tuple[Workspace, Spreading], tmp_path: Path, files: Path
) -> None:
    script = "def init():\n    raise RuntimeError('no weights')\ndef run(batch):\n    return batch\n"
    end = run(spread[0], parallel(tmp_path, script, files))
    assert end.status is Status.FAILED
    assert end.message == "init() failed: RuntimeError: no weights"


def test_a_part_that_is_lost_starts_again_and_the_others_go_on(
    spread: tuple[Workspace, Spreading], tmp_path: Path, files: Path
) -> None:
    spread[1].loses = [1, 1]
    end = run(spread[0], parallel(tmp_path, NAMES, files))
    assert end.status is Status.COMPLETED
    assert end.outputs["out"].read_text().split() == list("abcdefg")
    assert len(spread[1].tasks) == 5
    spread[1].loses = [0, 0, 0]
    lost = run(spread[0], parallel(tmp_path, NAMES + "    # again\n", files))
    assert lost.status is Status.FAILED
    assert lost.message == "its node was lost"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, None),
        ({"error_threshold": 4}, "5 items failed, `error_threshold` is 4"),
        ({"allowed_failed_percent": 50}, "67% of the mini batches failed; 50% are allowed"),
    ],
)
def test_limits_hold_for_all_parts_together(limits: dict[str, int], said: str | None) -> None:
    parts: list[dict[str, Any]] = [
        {"mini_batches": 2, "completed": 1, "failed": 1, "failed_items": 2, "items": 4, "all": 3, "error": None},
        {"mini_batches": 1, "completed": 0, "failed": 1, "failed_items": 3, "items": 3, "all": 3, "error": None},
    ]
    found = merge(parts, {**NONE, **limits})
    assert found["error"] == said
    assert (found["mini_batches"], found["failed"], found["items"]) == (3, 2, 7)


def test_what_the_parts_used_is_the_steps(spread: tuple[Workspace, Spreading], tmp_path: Path, files: Path) -> None:
    end = run(spread[0], parallel(tmp_path, NAMES, files))
    assert end.usage["cpu_s"] > 0
