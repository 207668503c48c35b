"""A process that runs (or resumes) the crash tests' pipeline; started by them, killed by them."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.unit.run.conftest import command, of, open_workspace, pipeline
from tidemill.base.clock import SystemClock, iso
from tidemill.base.ids import JobName
from tidemill.plan.graph import Plan
from tidemill.record.runs import clean_up, get_job, interrupted_jobs, past_steps
from tidemill.run.context import RunOptions
from tidemill.run.runner import execute

WIDTH = 6


def crash_plan(trace: Path) -> Plan:
    """Eighteen steps in six chains; each says when it starts and when it has done its work."""
    steps = []
    for chain in range(WIDTH):
        for link in range(3):
            name = f"c{chain}_{link}"
            text = f"echo start {name} >> {trace}; sleep 0.01; echo {name} > ${{{{outputs.o}}}}/x; echo end {name} >> {trace}"
            inputs = {"i": of(f"c{chain}_{link - 1}", "o")} if link else {}
            step = command(
                name, text + (" # ${{inputs.i}}" if link else ""), inputs=inputs, outputs={"o": "uri_folder"}
            )
            steps.append(replace(step, deterministic=chain % 2 == 0))
    return pipeline(*steps)


def main(home: Path, trace: Path, job: str, mode: str) -> None:
    """`run` starts the job, `resume` settles what was interrupted and takes it up again."""
    with ExitStack() as stack:
        workspace = open_workspace(home, stack)
        plan = crash_plan(trace)
        options = RunOptions()
        if mode == "resume":
            locks = workspace.ports.locks
            executors = list(workspace.ports.executors.values())
            for row in interrupted_jobs(workspace.store, locks.is_driven):  # type: ignore[attr-defined]
                clean_up(workspace.store, row, executors, iso(SystemClock().now()))
            if workspace.store.job(job) is not None:
                options = RunOptions(resume=past_steps(get_job(workspace.store, job)))
        result = execute(plan, job=JobName(job), ports=workspace.ports, options=options)
        sys.stdout.write(f"{result.status}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
