"""A pipeline with every kind of step, each of which writes down what it does, and what must be true of it whatever was killed."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_S, until
from tidemill.base import proc

CHAINS, LINKS = 6, 3
JOB = "j"
# A step holds a lock of its name, and so does the child that it leaves in a session of its own: who finds it held runs
# beside itself.
DO = """
name=$1 out=$2; shift 2
exec 9>>"$TRACE/$name.lock"
flock -n 9 || echo "$name" >> "$TRACE/twice"
echo "$name" >> "$TRACE/log"
(setsid sleep 300 </dev/null >/dev/null 2>&1 &)
sleep 0.02
mkdir -p "$out/sub"
for n in 1 2 3; do echo "$name $n" > "$out/sub/$n"; done
{ echo "$name"; cat "$@" < /dev/null; } > "$out/all"
case $name in named|model) date +%N > "$out/moment";; esac
"""
SCORE = """
import fcntl, os
def init():
    pass
def run(mini_batch):
    for path in mini_batch:
        name = "batch-" + os.path.basename(path)
        place = os.environ["TRACE"]
        with open(os.path.join(place, name + ".lock"), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                open(os.path.join(place, "twice"), "a").write(name + "\\n")
            open(os.path.join(place, "log"), "a").write(name + "\\n")
    return [open(p).read().strip() for p in mini_batch]
"""
FOLDER = {"type": "uri_folder"}
HOST = {"environment": {"image": "x"}, "code": "./src"}


def of(step: str, output: str = "o") -> str:
    return "${{parent.jobs." + step + ".outputs." + output + "}}"


def does(name: str, reads: str = "", *, output: dict[str, str] | str = "", **more: Any) -> dict[str, Any]:
    """A command step; `reads` is what it goes on from."""
    command = f'bash do.sh {name} "${{{{outputs.o}}}}"' + (' "${{inputs.i}}"/all' if reads else "")
    inputs = {"inputs": {"i": reads}} if reads else {}
    return {"type": "command", **HOST, "command": command, **inputs, "outputs": {"o": output or FOLDER}, **more}


def quick_steps() -> dict[str, Any]:
    """Thirty: chains, nested pipelines, equal steps, a loop over items, a named output."""
    jobs: dict[str, Any] = {}
    for chain in range(CHAINS):
        for link in range(LINKS):
            before = of(f"c{chain}_{link - 1}") if link else ""
            jobs[f"c{chain}_{link}"] = does(f"c{chain}_{link}", before, is_deterministic=bool(chain % 2))
    jobs |= {f"equal_{n}": does("equal") for n in "ab"}
    for n in "01":
        jobs[f"deep{n}"] = {"type": "pipeline", "component": "./deep.yml", "inputs": {"i": of(f"c{n}_2"), "n": n}}
    jobs["named"] = does("named", of("c2_2"), output={**FOLDER, "name": "crash-data"})
    jobs["each"] = {"type": "parallel_for", "body": "${{parent.jobs.turn}}", "items": '[{"x": 1}, {"x": 2}, {"x": 3}]'}
    jobs["turn"] = does("turn-${{inputs.x}}") | {"inputs": {"x": 0}}
    jobs["last"] = does("last", of("deep0"), output="${{parent.outputs.whole}}")
    return jobs


def heavy_steps() -> dict[str, Any]:
    """A parallel step and a registered model: they take seconds to begin with."""
    return {
        "first": does("first"),
        "model": does("model", of("first"), output={"type": "custom_model", "name": "crash-model"}),
        "spread": does("spread") | {"command": 'bash do.sh spread . && cp sub/* "${{outputs.o}}"'},
        "batch": {
            "type": "parallel",
            "inputs": {"i": of("spread")},
            "outputs": {"o": "${{parent.outputs.whole}}"},
            "input_data": "${{inputs.i}}",
            "mini_batch_size": "1",
            "mini_batch_error_threshold": 0,
            "max_concurrency_per_instance": 2,
            "task": {"type": "run_function", **HOST, "entry_script": "score.py", "append_row_to": "${{outputs.o}}"},
        },
    }


def write(folder: Path, jobs: dict[str, Any]) -> None:
    """The project."""
    for name in ("tmp", "trace"):
        (folder / name).mkdir(parents=True)
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "do.sh").write_text(DO)
    (folder / "src" / "score.py").write_text(SCORE)
    inner = {"a": does("deep${{inputs.n}}_a", "${{parent.inputs.i}}"), "b": does("deep${{inputs.n}}_b", of("a"))}
    for step in inner.values():
        step["inputs"] |= {"n": "${{parent.inputs.n}}"}
    inner["b"]["outputs"] = {"o": "${{parent.outputs.o}}"}
    deep = {
        "type": "pipeline",
        "inputs": {"i": FOLDER, "n": {"type": "string"}},
        "outputs": {"o": FOLDER},
        "jobs": inner,
    }
    whole = {"type": "pipeline", "outputs": {"whole": FOLDER}, "jobs": jobs}
    for name, document in {"deep": deep, "pipeline": whole}.items():
        (folder / f"{name}.yml").write_text(json.dumps(document, indent=1))


@dataclass(frozen=True)
class Project:
    """The pipeline in a folder, and what can be asked of it from outside."""

    folder: Path

    @property
    def home(self) -> Path:
        """Its state."""
        return self.folder / ".tidemill"

    @property
    def trace(self) -> Path:
        """What its steps wrote down."""
        return self.folder / "trace"

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """A command in a process of its own, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "tidemill", *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TRACE": str(self.trace), "TMPDIR": str(self.folder / "tmp"), **env},
        )

    def ask(self, *words: str, code: int = 0, **env: str) -> str:
        """What a command says."""
        process = self.start(*words, **env)
        said = process.communicate(timeout=PATIENCE_S)[0]
        assert process.returncode == code, f"{words}: exit {process.returncode}\n{said}"
        assert "Traceback" not in said
        return said

    def run(self) -> subprocess.Popen[str]:
        return self.start("run", "pipeline.yml", "-n", JOB, "-o", "json")

    def log(self) -> list[str]:
        """The steps that began, in order, each time they did."""
        path = self.trace / "log"
        return path.read_text().splitlines() if path.exists() else []

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database holds, asked past the program."""
        if not (self.home / "tidemill.db").exists():
            return []
        db = sqlite3.connect(self.home / "tidemill.db")
        try:
            made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchall()
            return db.execute(sql).fetchall() if made else []  # killed before it had tables
        finally:
            db.close()

    def completed(self) -> set[str]:
        """Steps the record says are done."""
        found = self.rows("SELECT kind, body FROM events WHERE kind IN ('step_finished', 'step_reused') ORDER BY seq")
        ended = [(kind, json.loads(body)) for kind, body in found]
        return {b["step"] for kind, b in ended if kind == "step_reused" or b["status"] == "Completed"}

    def processes(self) -> list[int]:
        """What runs on behalf of any of its commands, theirs included."""
        return proc.find_marked("TRACE", str(self.trace))

    def outputs(self) -> dict[str, str]:
        """Digest of every file of every output of the job, by its place."""
        root = self.home / "jobs" / JOB
        files = [p for p in root.glob("*/outputs/**/*") if p.is_file() and p.name != "moment"]
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def word_of(step: str) -> str:
    """What a step calls itself in the trace."""
    if step.startswith("equal"):
        return "equal"
    if step.startswith("each."):
        return f"turn-{int(step.split('.')[1]) + 1}"
    return step.replace(".", "_")


def check_store(home: Path) -> None:
    """The database is sound; every object is what its name says, and every list names objects that are there."""
    db = sqlite3.connect(home / "tidemill.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    for path in (home / "store" / "objects").glob("*/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    for path in (home / "store" / "trees").glob("*/*.json"):
        for digest in json.loads(path.read_text())["changed_ns"]:
            assert (home / "store" / "objects" / digest[:2] / digest).exists(), path


def check_nothing_left(project: Project) -> None:
    """No process, no temporary file; what `gc` may leave for an hour goes with the next one."""
    until(lambda: not project.processes(), "a process is left")
    project.ask("gc")
    assert not list((project.home / "store" / "incoming").iterdir())
    assert not list((project.folder / "tmp").iterdir())
    hidden = [p for p in project.home.rglob(".*") if p.name != ".lock"]
    assert not hidden


def check_assets(project: Project) -> None:
    """One version of each, and its bytes are those of the job's output."""
    named = project.rows("SELECT version, path FROM assets WHERE name = 'crash-data'")
    if (project.home / "jobs" / JOB / "named").exists():
        assert [version for version, _ in named] == ["1"]
        for file in ("all", "moment"):
            mine = project.home / "jobs" / JOB / "named" / "outputs" / "o" / file
            assert (Path(named[0][1]) / file).read_text() == mine.read_text()
    if (project.home / "jobs" / JOB / "model").exists():
        models = json.loads(project.ask("model", "list", "-o", "json"))
        assert [(m["name"], m["version"]) for m in models] == [("crash-model", "1")]
