"""The engine beside make, ninja, doit, Luigi, Snakemake and DVC, in one run: `python benchmarks/engine.py [case …]`.

Cases: `steps` (100 real `python step.py` steps and a join, two at a time; then the same unchanged), `bytes` (a step that writes
1 GiB in 1,000 files, then a reader; then unchanged), `plan` (10,000 steps loaded and planned). Peers are installed into
a virtual environment of their own below ~/.cache; a peer that cannot be had is reported, not skipped in silence.
"""

from __future__ import annotations

import shutil
import subprocess  # noqa: TID251 - measures whole processes
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STEPS = 100
PLANNED = 10_000
FILES = 1_000
FILE_BYTES = 1 << 20
PEERS = Path.home() / ".cache" / "tidemill-bench"
PACKAGES = {"doit": "doit", "luigi": "luigi", "snakemake": "snakemake", "dvc": "dvc"}
STEP = "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() + sys.argv[1])\n"
JOIN = "import sys; open(sys.argv[1], 'w').write(''.join(open(p).read() for p in sys.argv[2:]))\n"
WRITER = f"""import os, sys
os.makedirs(sys.argv[1], exist_ok=True)
for i in range({FILES}):
    with open(os.path.join(sys.argv[1], f'{{i}}.bin'), 'wb') as f:
        f.write(i.to_bytes(4, 'big') * ({FILE_BYTES} // 4))
"""
READER = "import os, sys; open(sys.argv[2], 'w').write(str(sum(os.path.getsize(os.path.join(sys.argv[1], n)) for n in os.listdir(sys.argv[1]))))\n"


@dataclass(frozen=True)
class Contestant:
    """How one tool is set up in an empty folder and what runs it."""

    name: str
    prepare: Callable[[Path], None]
    argv: list[str]


def tidemill_steps(folder: Path) -> None:
    """A pipeline of STEPS command steps and a join."""
    jobs = [
        f"  s{i}:\n    command: python step.py ${{{{inputs.source}}}} ${{{{outputs.out}}}}\n    code: ./src\n    environment: azureml:none:1\n"
        f"    inputs:\n      source: {{type: uri_file, path: ./in/{i}.txt}}\n    outputs:\n      out: {{type: uri_file}}\n"
        for i in range(STEPS)
    ]
    names = " ".join(f"${{{{inputs.i{i}}}}}" for i in range(STEPS))
    inputs = "".join(f"      i{i}: ${{{{parent.jobs.s{i}.outputs.out}}}}\n" for i in range(STEPS))
    jobs.append(
        f"  join:\n    command: python join.py ${{{{outputs.out}}}} {names}\n    code: ./src\n    environment: azureml:none:1\n"
        f"    inputs:\n{inputs}    outputs:\n      out: {{type: uri_file}}\n"
    )
    (folder / "pipeline.yml").write_text("type: pipeline\njobs:\n" + "".join(jobs))
    (folder / "tidemill.yaml").write_text("name: bench\nenvironments: {none: {python: host}}\n")


def make_steps(folder: Path) -> None:
    """The same as a Makefile."""
    outs = " ".join(f"out/{i}.txt" for i in range(STEPS))
    rule = f"out/%.txt: in/%.txt\n\t@{sys.executable} src/step.py $< $@\n"
    (folder / "out").mkdir()
    (folder / "Makefile").write_text(f"out/all.txt: {outs}\n\t@{sys.executable} src/join.py $@ $^\n{rule}")


def doit_steps(folder: Path) -> None:
    """The same as a dodo file."""
    (folder / "out").mkdir()
    (folder / "dodo.py").write_text(
        f"N = {STEPS}\n"
        "def task_step():\n"
        "    for i in range(N):\n"
        f"        yield {{'name': str(i), 'file_dep': [f'in/{{i}}.txt', 'src/step.py'], 'targets': [f'out/{{i}}.txt'],\n"
        f"               'actions': [f'{sys.executable} src/step.py in/{{i}}.txt out/{{i}}.txt']}}\n"
        "def task_join():\n"
        "    outs = [f'out/{i}.txt' for i in range(N)]\n"
        f"    return {{'file_dep': outs, 'targets': ['out/all.txt'], 'actions': ['{sys.executable} src/join.py out/all.txt ' + ' '.join(outs)]}}\n"
    )


def snakemake_steps(folder: Path) -> None:
    """The same as a Snakefile."""
    (folder / "Snakefile").write_text(
        f"rule all:\n    input: 'out/all.txt'\n"
        f"rule step:\n    input: 'in/{{i}}.txt'\n    output: 'out/{{i}}.txt'\n    shell: '{sys.executable} src/step.py {{input}} {{output}}'\n"
        f"rule join:\n    input: [f'out/{{i}}.txt' for i in range({STEPS})]\n    output: 'out/all.txt'\n"
        f"    shell: '{sys.executable} src/join.py {{output}} {{input}}'\n"
    )


def base_files(folder: Path) -> None:
    """Scripts and inputs every contestant finds."""
    (folder / "src").mkdir()
    for name, text in (("step.py", STEP), ("join.py", JOIN), ("write.py", WRITER), ("read.py", READER)):
        (folder / "src" / name).write_text(text)
    (folder / "in").mkdir()
    for i in range(STEPS):
        (folder / "in" / f"{i}.txt").write_text(f"{i}\n")


def tidemill_bytes(folder: Path) -> None:
    """A writer of 1 GiB and a reader of it."""
    (folder / "pipeline.yml").write_text(
        "type: pipeline\njobs:\n"
        "  write:\n    command: python write.py ${{outputs.data}}\n    code: ./src\n    environment: azureml:none:1\n    outputs: {data: {type: uri_folder}}\n"
        "  read:\n    command: python read.py ${{inputs.data}} ${{outputs.out}}\n    code: ./src\n    environment: azureml:none:1\n"
        "    inputs:\n      data: ${{parent.jobs.write.outputs.data}}\n    outputs: {out: {type: uri_file}}\n"
    )
    (folder / "tidemill.yaml").write_text("name: bench\nenvironments: {none: {python: host}}\n")


def make_bytes(folder: Path) -> None:
    """The same as a Makefile, which hashes nothing."""
    (folder / "Makefile").write_text(
        f"size.txt: data\n\t@{sys.executable} src/read.py data size.txt\ndata:\n\t@{sys.executable} src/write.py data\n"
    )


def snakemake_bytes(folder: Path) -> None:
    """The same as a Snakefile."""
    (folder / "Snakefile").write_text(
        f"rule read:\n    input: 'data'\n    output: 'size.txt'\n    shell: '{sys.executable} src/read.py {{input}} {{output}}'\n"
        f"rule write:\n    output: directory('data')\n    shell: '{sys.executable} src/write.py {{output}}'\n"
    )


def peer(name: str) -> str:
    """The program of a peer, installed on first use; empty when it cannot be had."""
    program = PEERS / "bin" / name
    if not program.exists():
        if not (PEERS / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(PEERS / "bin" / "python"), "-m", "pip", "install", "-q", PACKAGES[name]], check=False)
    return str(program) if program.exists() else ""


def contestants(case: str) -> list[Contestant]:
    """Who takes part in a case."""
    us = [sys.executable, "-m", "tidemill", "run", "pipeline.yml"]
    snakemake = [peer("snakemake"), "--quiet", "all", "--cores", "2"]
    if case == "steps":
        return [
            Contestant("make", make_steps, ["make", "-s", "-j2"]),
            Contestant("tidemill", tidemill_steps, us),
            Contestant("doit", doit_steps, [peer("doit"), "-n", "2", "-v", "0"]),
            Contestant("snakemake", snakemake_steps, snakemake),
        ]
    return [
        Contestant("make", make_bytes, ["make", "-s"]),
        Contestant("tidemill", tidemill_bytes, us),
        Contestant("snakemake", snakemake_bytes, snakemake),
    ]


def timed(argv: list[str], folder: Path) -> float:
    """Wall-clock seconds of one command; a failure ends the benchmark with its words."""
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{argv[:4]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - began


def race(case: str) -> None:
    """Run everybody on a case and print first run, second run and ratios to us."""
    rows = []
    for entry in contestants(case):
        if not entry.argv[0]:
            print(f"{entry.name}: could not be installed here")
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"bench-{entry.name}-"))
        base_files(folder)
        entry.prepare(folder)
        rows.append((entry.name, timed(entry.argv, folder), timed(entry.argv, folder)))
        shutil.rmtree(folder)
    ours = next(r for r in rows if r[0] == "tidemill")
    print(f"\n{case:12} {'first s':>9} {'again s':>9} {'first/us':>9} {'again/us':>9}")
    for name, first, again in rows:
        print(f"{name:12} {first:9.2f} {again:9.2f} {first / ours[1]:9.2f} {again / ours[2]:9.2f}")


def race_plan() -> None:
    """Load, check and plan PLANNED steps: time and memory of a cold process."""
    folder = Path(tempfile.mkdtemp(prefix="bench-plan-"))
    jobs = [
        f"  s{i}:\n    command: echo ${{{{inputs.n}}}}\n    environment: azureml:none:1\n    inputs:\n      n: {i}\n"
        + (f"      before: ${{{{parent.jobs.s{i - 1}.outputs.out}}}}\n" if i else "")
        + "    outputs: {out: {type: uri_folder}}\n"
        for i in range(PLANNED)
    ]
    (folder / "pipeline.yml").write_text("type: pipeline\njobs:\n" + "".join(jobs))
    (folder / "tidemill.yaml").write_text("name: bench\nenvironments: {none: {python: host}}\n")
    argv = ["/usr/bin/time", "-f", "%e %M", sys.executable, "-m", "tidemill", "plan", "pipeline.yml", "-o", "none"]
    if not Path(argv[0]).exists():
        argv = argv[3:]
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    memory = (
        done.stderr.strip().splitlines()[-1].split()[-1] if argv[0].endswith("time") and done.stderr.strip() else "0"
    )
    print(f"\nplan {PLANNED} steps: {seconds:.2f} s, {int(memory) / 1024:.0f} MiB, exit {done.returncode}")
    shutil.rmtree(folder)


def main() -> None:
    """Run the cases named on the command line, else all."""
    for case in sys.argv[1:] or ["steps", "bytes", "plan"]:
        race_plan() if case == "plan" else race(case)


if __name__ == "__main__":
    main()
