"""The engine beside ninja, make, doit, Luigi, Snakemake and DVC, in one run: `python benchmarks/engine.py [case …] [--alone]`.

Cases: `steps` (100 real `python step.py` steps and a join, two at a time; then the same unchanged), `bytes` (a step that writes
1 GiB in 1,000 files, then a reader; then unchanged), `plan` (10,000 steps loaded and planned), `many` (5,000 steps run, and 1,000:
the cost of one step must not grow), `jobs` (commands in a workspace of 5,000 jobs, beside an empty one). `--alone` leaves the peers out; one that cannot be installed is reported, not skipped in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess  # noqa: TID251 - measures whole processes
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from engine_peers import Contestant, peers

from tidemill.backends.stores.sqlite import open_store
from tidemill.base.ids import JobName, StepName
from tidemill.run.events import JobCreated, JobFinished, RunEvent, StepFinished, StepStarted
from tidemill.run.state import Status

STEPS = 100
PLANNED = 10_000
MANY = (1_000, 5_000)
JOBS = 5_000
AMONG_JOBS = (["run", "pipeline.yml"], ["gc", "--dry-run"], ["job", "list"], ["status"])
FILES = 1_000
FILE_BYTES = 1 << 20
US = [sys.executable, "-m", "tidemill"]
STEP = "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() + sys.argv[1])\n"
JOIN = "import sys; open(sys.argv[1], 'w').write(''.join(open(p).read() for p in sys.argv[2:]))\n"
WRITER = f"""import os, sys
os.makedirs(sys.argv[1], exist_ok=True)
for i in range({FILES}):
    with open(os.path.join(sys.argv[1], f'{{i}}.bin'), 'wb') as f:
        f.write(i.to_bytes(4, 'big') * ({FILE_BYTES} // 4))
"""
READER = "import os, sys; open(sys.argv[2], 'w').write(str(sum(os.path.getsize(os.path.join(sys.argv[1], n)) for n in os.listdir(sys.argv[1]))))\n"


def tidemill_steps(folder: Path, steps: int) -> None:
    """A pipeline of command steps and a join."""
    jobs = [
        f"  s{i}:\n    command: python step.py ${{{{inputs.source}}}} ${{{{outputs.out}}}}\n    code: ./src\n    environment: azureml:none:1\n"
        f"    inputs:\n      source: {{type: uri_file, path: ./in/{i}.txt}}\n    outputs:\n      out: {{type: uri_file}}\n"
        for i in range(steps)
    ]
    names = " ".join(f"${{{{inputs.i{i}}}}}" for i in range(steps))
    inputs = "".join(f"      i{i}: ${{{{parent.jobs.s{i}.outputs.out}}}}\n" for i in range(steps))
    jobs.append(
        f"  join:\n    command: python join.py ${{{{outputs.out}}}} {names}\n    code: ./src\n    environment: azureml:none:1\n"
        f"    inputs:\n{inputs}    outputs:\n      out: {{type: uri_file}}\n"
    )
    _project(folder, "".join(jobs))


def tidemill_bytes(folder: Path, steps: int) -> None:
    """A writer of 1 GiB and a reader of it."""
    del steps
    _project(
        folder,
        "  write:\n    command: python write.py ${{outputs.data}}\n    code: ./src\n    environment: azureml:none:1\n    outputs: {data: {type: uri_folder}}\n"
        "  read:\n    command: python read.py ${{inputs.data}} ${{outputs.out}}\n    code: ./src\n    environment: azureml:none:1\n"
        "    inputs:\n      data: ${{parent.jobs.write.outputs.data}}\n    outputs: {out: {type: uri_file}}\n",
    )


def tidemill_chain(folder: Path, steps: int) -> None:
    """Steps that wait for each other, each of one short command."""
    jobs = [
        f"  s{i}:\n    command: echo ${{{{inputs.n}}}}\n    environment: azureml:none:1\n    inputs:\n      n: {i}\n"
        + (f"      before: ${{{{parent.jobs.s{i - 1}.outputs.out}}}}\n" if i else "")
        + "    outputs: {out: {type: uri_folder}}\n"
        for i in range(steps)
    ]
    _project(folder, "".join(jobs))


def _project(folder: Path, jobs: str) -> None:
    (folder / "pipeline.yml").write_text(f"type: pipeline\njobs:\n{jobs}")
    (folder / "tidemill.yaml").write_text("name: bench\nenvironments: {none: {python: host}}\n")


def base_files(folder: Path, steps: int) -> None:
    """Scripts and inputs every contestant finds."""
    (folder / "src").mkdir()
    for name, text in (("step.py", STEP), ("join.py", JOIN), ("write.py", WRITER), ("read.py", READER)):
        (folder / "src" / name).write_text(text)
    (folder / "in").mkdir()
    for i in range(steps):
        (folder / "in" / f"{i}.txt").write_text(f"{i}\n")


def timed(entry: Contestant, folder: Path) -> tuple[float, float]:
    """Wall-clock seconds and peak MiB of one command, without its children; a failure ends the benchmark with its words."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(entry.argv, cwd=folder, stdout=said, stderr=said, env={**os.environ, **entry.env})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{entry.argv[:4]} failed:\n{said.read()[-4000:]}")
    return seconds, usage.ru_maxrss / 1024


def measured(entry: Contestant, steps: int, times: int) -> list[tuple[float, float]]:
    """The command `times` times in one new folder: seconds and peak MiB of each."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{entry.name}-"))
    try:
        base_files(folder, steps)
        entry.prepare(folder, steps)
        return [timed(entry, folder) for _ in range(times)]
    finally:
        shutil.rmtree(folder)


def race(case: str, *, alone: bool) -> None:
    """Everybody on a case, first and again, and how many times our seconds."""
    ours = tidemill_steps if case == "steps" else tidemill_bytes
    rows = []
    for entry in (Contestant("tidemill", ours, [*US, "run", "pipeline.yml"]), *([] if alone else peers(case))):
        if entry.argv[0]:
            rows.append((entry, *(seconds for seconds, _ in measured(entry, STEPS, 2))))
        else:
            print(f"{entry.name}: could not be installed here")
    (_, our_first, our_again), *_ = rows
    print(f"\n{case:12} {'first s':>9} {'again s':>9} {'first/us':>9} {'again/us':>9}")
    for entry, first, again in rows:
        print(
            f"{entry.name:12} {first:9.2f} {again:9.2f} {first / our_first:9.2f} {again / our_again:9.2f}  {entry.note}"
        )


def race_plan(*, alone: bool) -> None:
    """Load, check and plan PLANNED steps in a cold process: seconds and peak memory."""
    us = Contestant("tidemill", tidemill_chain, [*US, "plan", "pipeline.yml", "-o", "none"])
    print(f"\nplan {PLANNED:7} {'s':>9} {'MiB':>9}")
    for entry in (us, *([] if alone else peers("plan"))):
        if not entry.argv[0]:
            print(f"{entry.name}: could not be installed here")
            continue
        ((seconds, peak),) = measured(entry, PLANNED, 1)
        print(f"{entry.name:12} {seconds:9.2f} {peak:9.0f}")


def run_many() -> None:
    """What a step costs when there are many, and what memory the run takes."""
    us = Contestant("tidemill", tidemill_chain, [*US, "run", "pipeline.yml", "-o", "none"])
    print(f"\n{'run':12} {'s':>9} {'ms/step':>9} {'MiB':>9}")
    for steps in MANY:
        ((seconds, peak),) = measured(us, steps, 1)
        print(f"{steps:<12} {seconds:9.2f} {seconds / steps * 1000:9.2f} {peak:9.0f}")


def run_among_jobs() -> None:
    """What commands take in a workspace that has run many jobs, and in a new one."""
    seconds: dict[int, list[float]] = {}
    for jobs in (0, JOBS):
        folder = Path(tempfile.mkdtemp(prefix="bench-jobs-"))
        try:
            tidemill_chain(folder, 1)
            with closing(open_store(folder / ".tidemill")) as store:
                for i in range(jobs):
                    store.append(_job(JobName(f"job-{i}")))
            seconds[jobs] = [
                timed(Contestant("tidemill", tidemill_chain, [*US, *words]), folder)[0] for words in AMONG_JOBS
            ]
        finally:
            shutil.rmtree(folder)
    print(f"\n{'jobs':20} {'s of none':>9} {f's of {JOBS}':>9}")
    for words, few, many in zip(AMONG_JOBS, seconds[0], seconds[JOBS], strict=True):
        print(f"{' '.join(words):20} {few:9.2f} {many:9.2f}")


def _job(name: JobName) -> list[RunEvent]:
    """A job of one step, as it is recorded."""
    step, at = StepName("s0"), "2026-11-21T00:00:00Z"
    return [
        JobCreated(name, at, source="pipeline.yml", steps=({"name": step},)),
        StepStarted(name, at, step=step, key=name),
        StepFinished(
            name, at, step=step, status=Status.COMPLETED, key=name, outputs={"out": f"folder:{name}"}, reusable=True
        ),
        JobFinished(name, at, status=Status.COMPLETED),
    ]


def main() -> None:
    """Run the cases named on the command line, else all."""
    words = sys.argv[1:]
    alone = "--alone" in words
    for case in [w for w in words if w != "--alone"] or ["steps", "bytes", "plan", "many", "jobs"]:
        if case == "plan":
            race_plan(alone=alone)
        elif case == "many":
            run_many()
        elif case == "jobs":
            run_among_jobs()
        else:
            race(case, alone=alone)


if __name__ == "__main__":
    main()
