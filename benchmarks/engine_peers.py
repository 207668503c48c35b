"""The same work as build files of make, ninja, doit, Luigi, Snakemake and DVC, each as its own guide writes it.

Every peer is installed into an environment of its own below ~/.cache/tidemill-bench on first use.
"""

from __future__ import annotations

import shutil
import subprocess  # noqa: TID251 - measures whole processes
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path.home() / ".cache" / "tidemill-bench"
PYTHON = sys.executable


@dataclass(frozen=True)
class Contestant:
    """How one tool is set up in a folder that holds the scripts and inputs, what runs it, and what it is asked to leave out."""

    name: str
    prepare: Callable[[Path, int], None]
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    note: str = ""


def program(name: str) -> str:
    """The program of a peer, installed on first use; empty when it cannot be had."""
    found = HOME / name / "bin" / name
    if not found.exists():
        subprocess.run([PYTHON, "-m", "venv", str(HOME / name)], check=True)
        subprocess.run([str(HOME / name / "bin" / "python"), "-m", "pip", "install", "-q", name], check=False)
    return str(found) if found.exists() else ""


def make_steps(folder: Path, steps: int) -> None:
    """A rule by pattern."""
    outs = " ".join(f"out/{i}.txt" for i in range(steps))
    rule = f"out/%.txt: in/%.txt\n\t@{PYTHON} src/step.py $< $@\n"
    (folder / "out").mkdir()
    (folder / "Makefile").write_text(f"out/all.txt: {outs}\n\t@{PYTHON} src/join.py $@ $^\n{rule}")


def ninja_steps(folder: Path, steps: int) -> None:
    """An edge a step."""
    outs = " ".join(f"out/{i}.txt" for i in range(steps))
    edges = "".join(f"build out/{i}.txt: step in/{i}.txt\n" for i in range(steps))
    (folder / "build.ninja").write_text(
        f"rule step\n  command = {PYTHON} src/step.py $in $out\n"
        f"rule join\n  command = {PYTHON} src/join.py $out $in\n{edges}build out/all.txt: join {outs}\n"
    )


def doit_steps(folder: Path, steps: int) -> None:
    """Sub-tasks of one task."""
    (folder / "out").mkdir()
    (folder / "dodo.py").write_text(
        f"N = {steps}\n"
        "def task_step():\n"
        "    for i in range(N):\n"
        f"        yield {{'name': str(i), 'file_dep': [f'in/{{i}}.txt', 'src/step.py'], 'targets': [f'out/{{i}}.txt'],\n"
        f"               'actions': [f'{PYTHON} src/step.py in/{{i}}.txt out/{{i}}.txt']}}\n"
        "def task_join():\n"
        "    outs = [f'out/{i}.txt' for i in range(N)]\n"
        f"    return {{'file_dep': outs, 'targets': ['out/all.txt'], 'actions': ['{PYTHON} src/join.py out/all.txt ' + ' '.join(outs)]}}\n"
    )


def luigi_steps(folder: Path, steps: int) -> None:
    """A parametrised task and one that requires them all."""
    (folder / "out").mkdir()
    (folder / "tasks.py").write_text(
        "import subprocess\nimport luigi\n"
        "class Step(luigi.Task):\n"
        "    i = luigi.IntParameter()\n"
        "    def output(self):\n        return luigi.LocalTarget(f'out/{self.i}.txt')\n"
        f"    def run(self):\n        subprocess.run(['{PYTHON}', 'src/step.py', f'in/{{self.i}}.txt', self.output().path], check=True)\n"
        "class Join(luigi.Task):\n"
        f"    def requires(self):\n        return [Step(i=i) for i in range({steps})]\n"
        "    def output(self):\n        return luigi.LocalTarget('out/all.txt')\n"
        f"    def run(self):\n        subprocess.run(['{PYTHON}', 'src/join.py', 'out/all.txt', *(t.path for t in self.input())], check=True)\n"
    )


def snakemake_steps(folder: Path, steps: int) -> None:
    """A rule with a wildcard."""
    (folder / "Snakefile").write_text(
        f"rule all:\n    input: 'out/all.txt'\n"
        f"rule step:\n    input: 'in/{{i}}.txt'\n    output: 'out/{{i}}.txt'\n    shell: '{PYTHON} src/step.py {{input}} {{output}}'\n"
        f"rule join:\n    input: [f'out/{{i}}.txt' for i in range({steps})]\n    output: 'out/all.txt'\n"
        f"    shell: '{PYTHON} src/join.py {{output}} {{input}}'\n"
    )


def dvc_steps(folder: Path, steps: int) -> None:
    """A stage for each number, and one that depends on their outputs."""
    outs = [f"out/{i}.txt" for i in range(steps)]
    (folder / "out").mkdir()
    (folder / "dvc.yaml").write_text(
        f"stages:\n  step:\n    foreach: {list(range(steps))}\n    do:\n"
        f"      cmd: {PYTHON} src/step.py in/${{item}}.txt out/${{item}}.txt\n"
        "      deps: [src/step.py, 'in/${item}.txt']\n      outs: ['out/${item}.txt']\n"
        f"  join:\n    cmd: {PYTHON} src/join.py out/all.txt {' '.join(outs)}\n    deps: [{', '.join(outs)}]\n    outs: [out/all.txt]\n"
    )
    _init_dvc(folder)


def make_bytes(folder: Path, steps: int) -> None:
    """It hashes nothing."""
    del steps
    (folder / "Makefile").write_text(
        f"size.txt: data\n\t@{PYTHON} src/read.py data size.txt\ndata:\n\t@{PYTHON} src/write.py data\n"
    )


def ninja_bytes(folder: Path, steps: int) -> None:
    """It hashes nothing."""
    del steps
    (folder / "build.ninja").write_text(
        f"rule write\n  command = {PYTHON} src/write.py $out\nrule read\n  command = {PYTHON} src/read.py $in $out\n"
        "build data: write\nbuild size.txt: read data\n"
    )


def snakemake_bytes(folder: Path, steps: int) -> None:
    """Its output is a directory."""
    del steps
    (folder / "Snakefile").write_text(
        f"rule read:\n    input: 'data'\n    output: 'size.txt'\n    shell: '{PYTHON} src/read.py {{input}} {{output}}'\n"
        f"rule write:\n    output: directory('data')\n    shell: '{PYTHON} src/write.py {{output}}'\n"
    )


def dvc_bytes(folder: Path, steps: int) -> None:
    """It hashes every file and keeps a copy or link of it, as we do."""
    del steps
    (folder / "dvc.yaml").write_text(
        f"stages:\n  write:\n    cmd: {PYTHON} src/write.py data\n    deps: [src/write.py]\n    outs: [data]\n"
        f"  read:\n    cmd: {PYTHON} src/read.py data size.txt\n    deps: [src/read.py, data]\n    outs: [size.txt]\n"
    )
    _init_dvc(folder)


def _init_dvc(folder: Path) -> None:
    for words in (["init", "-q", "--no-scm"], ["config", "core.analytics", "false"]):
        subprocess.run([program("dvc"), *words], cwd=folder, check=True, capture_output=True)


def peers(case: str) -> list[Contestant]:
    """Who else takes part in a case; an empty program is one that cannot be had."""
    make, ninja = [shutil.which("make") or ""], [program("ninja"), "--quiet"]
    snakemake = [program("snakemake"), "--quiet", "all", "--cores", "2"]
    dvc, alone = [program("dvc"), "repro"], "one step at a time: it has no parallel runs of stages"
    if case == "plan":
        return [
            Contestant("ninja", ninja_steps, [*ninja, "-n"]),
            Contestant("snakemake", snakemake_steps, [*snakemake, "-n"]),
        ]
    if case == "bytes":
        return [
            Contestant("make", make_bytes, [*make, "-s"], note="hashes nothing"),
            Contestant("ninja", ninja_bytes, ninja, note="hashes nothing"),
            Contestant("snakemake", snakemake_bytes, snakemake),
            Contestant("dvc", dvc_bytes, dvc),
        ]
    luigi = [
        program("luigi"),
        "--module",
        "tasks",
        "Join",
        "--local-scheduler",
        "--workers",
        "2",
        "--log-level",
        "ERROR",
    ]
    return [
        Contestant("make", make_steps, [*make, "-s", "-j2"], note="compares times of files"),
        Contestant("ninja", ninja_steps, [*ninja, "-j2"], note="compares times of files"),
        Contestant("doit", doit_steps, [program("doit"), "-n", "2", "-v", "0"]),
        Contestant("luigi", luigi_steps, luigi, {"PYTHONPATH": "."}, "knows only whether outputs are there"),
        Contestant("snakemake", snakemake_steps, snakemake),
        Contestant("dvc", dvc_steps, dvc, note=alone),
    ]
