"""Files written outside a step's folder are noticed and named; what is nobody's business is not."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.inside.conftest import StepOfTest
from tidemill.base import proc

WRITER = """
import os, pathlib, sys, tempfile, threading
there = pathlib.Path(sys.argv[1])
open("inside.txt", "w").close()
os.makedirs("outputs", exist_ok=True)
pathlib.Path("outputs/x").write_text("x")
open(there / "read.txt").close()
open(there / "one.txt", "w").close()
open(os.fsencode(str(there / "two.txt")), "ab").close()
open(there / "one.txt", "a").close()
tempfile.NamedTemporaryFile().close()
open(os.devnull, "w").close()
open(os.path.expanduser("~/.some-cache"), "w").close()
thread = threading.Thread(target=lambda: os.close(os.open(there / "three.txt", os.O_CREAT | os.O_WRONLY)))
thread.start()
thread.join()
"""


def test_what_is_opened_for_writing_elsewhere_is_noted_once(step: StepOfTest, tmp_path: Path) -> None:
    there, temporary, home = (tmp_path / name for name in ("there", "tmp", "home"))
    for folder in (there, temporary, home):
        folder.mkdir()
    (there / "read.txt").write_text("read")
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    cwd = step.folder / "cwd"
    cwd.mkdir(parents=True, exist_ok=True)
    env = {**step.env, "TMPDIR": str(temporary), "HOME": str(home)}
    done = proc.run([step.env["TIDEMILL_PYTHON"], str(script), str(there)], cwd=cwd, env=env, timeout_s=60)
    assert done.returncode == 0, done.stderr
    noted = [json.loads(line) for line in (step.folder / "outside.jsonl").read_text().splitlines()]
    assert noted == [str(there / f"{name}.txt") for name in ("one", "two", "three")]
