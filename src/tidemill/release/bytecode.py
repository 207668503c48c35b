"""Python compiled when an image is made: a container that cannot write would compile all it imports at each start."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tidemill.base import proc
from tidemill.base.errors import FailedError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_value

COMPILE_S = 900
LEFT_OUT = r"/tests?/"  # nobody imports them in a server, and they are half of some packages


def compile_folder(folder: Path, inside: str, python_version: str) -> None:
    """Bytecode beside every module of `folder`, which is `inside` in the image. `FailedError` when that cannot be done.

    The same sources give the same bytes: the files' times are not in them, nor is where they lie here. Another Python than this one
    would not read them: nothing is compiled for it.
    """
    if python_version != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    argv = [sys.executable, "-m", "compileall", "-qq", "-f", "-x", LEFT_OUT]
    argv += ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", inside, str(folder)]
    done = proc.run(argv, env={**os.environ, "PYTHONHASHSEED": "0"}, timeout_s=COMPILE_S)
    # 1 says that a module did not compile: some packages carry templates, or code of another Python
    if done.returncode not in {0, 1}:
        raise FailedError(f"The image's packages cannot be compiled: {done.stderr.strip()[-500:]}")


def compile_once(folder: Path, inside: str, python_version: str) -> None:
    """As `compile_folder`, unless that is done."""
    done = folder.with_name(f"{folder.name}.compiled")
    if not done.exists():
        compile_folder(folder, inside, python_version)
        write_atomic(done, "")


def copy_once(files: Mapping[str, tuple[Path, str]], work: Path) -> Path:
    """A folder with these files, for their bytecode to lie in: paths below it → where each is and its digest."""
    folder = work / f"runtime-{digest_value({name: digest for name, (_, digest) in files.items()})[:24]}"
    if not folder.exists():
        begun = folder.with_name(f"{folder.name}.begun")
        shutil.rmtree(begun, ignore_errors=True)
        for name, (source, _) in files.items():
            (begun / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, begun / name)
        begun.rename(folder)
    return folder
