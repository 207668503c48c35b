"""What every Python of a step gets without asking."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.inside.conftest import StepOfTest
from tidemill.base import proc

OTHERS = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))


def test_folders_list_their_files_sorted_however_they_are_asked(step: StepOfTest) -> None:
    code = """
import glob, os, pathlib, shutil, tempfile
base = tempfile.mkdtemp(dir=".")
for name in ("b", "a", "d", "c", "10", "9"):
    open(os.path.join(base, name), "w").close()
wanted = ["10", "9", "a", "b", "c", "d"]
assert os.listdir(base) == wanted
assert [e.name for e in os.scandir(base)] == wanted
assert [os.path.basename(p) for p in glob.glob(base + "/*")] == wanted
assert [p.name for p in pathlib.Path(base).iterdir()] == wanted
assert [p.name for p in pathlib.Path(base).glob("*")] == wanted
assert next(os.walk(base))[2] == wanted
with os.scandir(base) as entries:
    assert next(entries).name == "10"
shutil.copytree(base, base + "2"); shutil.rmtree(base)
assert not os.path.exists(base) and os.listdir(base + "2") == wanted
"""
    step.run(code)


def test_nothing_heavy_is_imported_before_the_code_asks(step: StepOfTest) -> None:
    assert (
        step.run("import sys; print([m for m in ('mlflow', 'json', 'importlib.util') if m in sys.modules])") == "[]\n"
    )


def test_looking_whether_mlflow_is_installed_does_not_unhook_it(step: StepOfTest) -> None:
    step.run(
        "import importlib.util; assert importlib.util.find_spec('mlflow'); import mlflow; mlflow.log_metric('a', 1)"
    )
    assert [r["name"] for r in step.rows()] == ["a"]


def test_the_environments_own_sitecustomize_still_runs(step: StepOfTest, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.was_here = 42")
    env = step.env | {"PYTHONPATH": step.env["PYTHONPATH"] + ":" + str(tmp_path)}
    done = proc.run(["python", "-c", "print(was_here)"], env=env)
    assert done.stdout == "42\n", done.stderr


@pytest.mark.parametrize("python", OTHERS, ids=lambda p: p.parent.parent.name)
def test_every_python_from_3_8_can_be_a_step(step: StepOfTest, python: Path) -> None:
    version = tuple(int(n) for n in python.parent.parent.name.removeprefix("3.").split("."))
    if version < (8,):
        pytest.skip("older than what is promised")
    code = "from azureml.core import Run; Run.get_context().log('a', 2); import os; print(sorted(os.listdir('/')) == os.listdir('/'))"
    assert step.run(code, python=str(python)) == "True\n"
    assert step.rows()[-1]["value"] == 2


def test_a_copy_of_a_read_only_input_may_be_written(step: StepOfTest) -> None:
    data = step.folder / "inputs" / "INPUT_d"
    data.mkdir(parents=True)
    (data / "a.txt").write_text("1")
    (data / "a.txt").chmod(0o444)
    code = f"""
import os, shutil
shutil.copy("{data}/a.txt", "one"); shutil.copy2("{data}/a.txt", "two"); shutil.copytree("{data}", "all")
print([oct(os.stat(p).st_mode & 0o777) for p in ("one", "two", "all/a.txt")])
os.chmod("one", 0o400); shutil.copy("one", "three"); print(oct(os.stat("three").st_mode & 0o777))
"""
    assert step.run(code).split("\n")[:2] == ["['0o644', '0o644', '0o644']", "0o400"]
