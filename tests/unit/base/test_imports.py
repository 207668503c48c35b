"""What steps that run side by side import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGE = {
    # as MLflow's: the package loads parts that import it back, and takes its time
    "__init__.py": "from tangled import errors\nimport time; time.sleep(0.3)\nfrom tangled.client import Client\n",
    "errors.py": "class Refused(Exception): pass\n",
    "client.py": "import tangled\nclass Client: pass\n",
}
TWO_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from {module} import {function} as load

def use(number):
    sleep(number / 10)
    load("tangled.errors").Refused
    return load("tangled.client").Client

with ThreadPoolExecutor(4) as pool:
    print(len(set(pool.map(use, range(4)))))
"""


def test_threads_that_need_the_same_sdk_at_once_all_get_it_whole(tmp_path: Path) -> None:
    (tmp_path / "tangled").mkdir()
    for name, text in PACKAGE.items():
        (tmp_path / "tangled" / name).write_text(text)
    script = TWO_THREADS.format(module="tidemill.base.imports", function="import_late")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


SPARED = """
import sys
from tidemill.base.imports import spare_plugins
spare_plugins()
from pydantic import BaseModel
class Model(BaseModel):
    size: int
print(Model(size="3").size, "loud" in sys.modules, sys.modules["pydantic.plugin._loader"].__spec__)
from pydantic.plugin._loader import PYDANTIC_ENTRY_POINT_GROUP
print(PYDANTIC_ENTRY_POINT_GROUP)
"""


def test_commands_import_no_plugin_that_the_environment_has_for_pydantic(tmp_path: Path) -> None:
    info = tmp_path / "loud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pydantic]\nloud = loud:plugin\n")
    (tmp_path / "loud.py").write_text("raise SystemExit('imported')\n")
    done = subprocess.run(
        [sys.executable, "-c", SPARED], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("3 False None\npydantic\n", "")
