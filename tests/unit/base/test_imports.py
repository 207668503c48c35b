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
