"""A container that may not write starts from bytecode made with its image; the same sources give the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tidemill.release.bytecode import compile_folder
from tidemill.release.package import files_of

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def sources(folder: Path) -> Path:
    (folder / "pack" / "tests").mkdir(parents=True)
    (folder / "pack" / "__init__.py").write_text(
        "WORDS = {'a', 'b', 'c'}\n\ndef found(word):\n    return word in {'x', 'y', 'z'}\n"
    )
    (folder / "pack" / "template.py").write_text("class {{ name }}:\n")
    (folder / "pack" / "tests" / "__init__.py").write_text("")
    return folder


def test_two_machines_make_the_same_bytes_whenever_and_wherever_the_files_were_written(tmp_path: Path) -> None:
    one, two = sources(tmp_path / "one"), sources(tmp_path / "some" / "where" / "else")
    os.utime(two / "pack" / "__init__.py", (1, 1))
    for folder in (one, two):
        compile_folder(folder, "/opt/site", HERE)
    shown = [[(f.target, f.digest) for f in files_of(folder, "/opt/site", bytecode=True)] for folder in (one, two)]
    assert shown[0] == shown[1]
    compiled = [target for target, _ in shown[0] if target.endswith(".pyc")]
    assert [Path(target).name.partition(".")[0] for target in compiled] == ["__init__"]


def test_it_is_taken_whatever_times_the_image_gives_its_files(tmp_path: Path) -> None:
    folder = sources(tmp_path / "site")
    compile_folder(folder, "/opt/site", HERE)
    (folder / "pack" / "__init__.py").write_text("raise SystemExit('compiled again')\n")
    code = "import pack; print(pack.found('x'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(folder)}, check=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"


def test_nothing_is_compiled_for_another_python_and_models_bring_no_bytecode(tmp_path: Path) -> None:
    folder = sources(tmp_path / "site")
    compile_folder(folder, "/opt/site", "3.8")
    assert not list(folder.rglob("*.pyc"))
    compile_folder(folder, "/opt/site", HERE)
    assert not [f for f in files_of(folder, "/opt/model") if "__pycache__" in f.target]
