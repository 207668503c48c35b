"""The Python a version's server runs in: its environment's own, with what the server needs beside the packages that are there."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import tidemill
from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.errors import FailedError
from tidemill.base.files import locked, write_atomic
from tidemill.base.hashing import digest_value
from tidemill.plan.graph import EnvironmentRef
from tidemill.release.older import OURS, translate

INSTALL_S = 900
UNTOUCHED = "older.py"


def serving_python(app: App, environment: EnvironmentRef, also: Sequence[str] = ()) -> tuple[Path, dict[str, str]]:
    """The interpreter of an environment, with what the server needs (and `also`) beside the model's own packages."""
    prepared = app.environments().prepare(environment, lambda _: None)
    if environment.kind == "host":
        return Path(sys.executable), {}
    marker = prepared.python.parent.parent / "tidemill-serve.txt"
    there = set(marker.read_text(encoding="utf-8").split("\n")) if marker.exists() else set()
    wanted = sorted({*serve_requirements(), *also})
    if not there.issuperset(wanted):
        _install(prepared.python, wanted, environment.label)
        write_atomic(marker, "\n".join(sorted(there.union(wanted) - {""})))
    runtime = _link(app.home) if version_of(prepared.python) >= OURS else _older_runtime(app.home)
    return prepared.python, {"PYTHONPATH": str(runtime)}


def serve_requirements() -> list[str]:
    """What the `serve` extra asks for, from this distribution's own metadata."""
    declared = importlib.metadata.requires("tidemill") or []
    return [r.partition(";")[0].strip() for r in declared if "extra == 'serve'" in r.replace('"', "'")]


def version_of(python: Path) -> tuple[int, int]:
    """Which Python it is, as its environment's own file says; ours where there is none."""
    config = python.parent.parent / "pyvenv.cfg"
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (sys.version_info.major, sys.version_info.minor)


def _install(python: Path, wanted: Sequence[str], label: str) -> None:
    """Beside what is there, which stays as it is: a model's libraries are those it was made with, older than we ask for or not."""
    uv = [sys.executable, "-m", "uv", "pip"]
    frozen = proc.run([*uv, "freeze", "--python", str(python)], timeout_s=INSTALL_S)
    kept = [line for line in frozen.stdout.splitlines() if "==" in line]
    names = {_bare(line) for line in kept}
    new = [r for r in wanted if _bare(r) not in names]
    limits = python.parent.parent / "tidemill-kept.txt"
    write_atomic(limits, "\n".join(kept))
    failed = ""
    for asked in (wanted, new, [_bare(r) for r in new]):
        if not asked:
            return
        argv = [*uv, "install", "--quiet", "--python", str(python), "--constraint", str(limits), *asked]
        done = proc.run(argv, timeout_s=INSTALL_S)
        if done.returncode == 0:
            return
        failed = failed or done.stderr.strip()[-800:]
    raise FailedError(f"The server's packages cannot be installed beside those of `{label}`:\n{failed}")


def _bare(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-")


def _link(home: Path) -> Path:
    """A folder with this package alone in it: nothing else of our own Python is to be seen."""
    runtime = home / "runtime"
    link, source = runtime / "tidemill", Path(tidemill.__file__).parent
    if link.is_symlink() and link.readlink() != source:
        link.unlink()  # the clone was moved, or another Tidemill wrote it
    if not link.exists():
        runtime.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source, target_is_directory=True)
    return runtime


def _older_runtime(home: Path) -> Path:
    """The part of this package that serves, as older Pythons run it; made once for each state of it."""
    package = Path(tidemill.__file__).parent
    files = [package / "__init__.py", *(p for part in ("base", "serve") for p in sorted((package / part).glob("*.py")))]
    texts = {str(p.relative_to(package)): p.read_text(encoding="utf-8") for p in files}
    translator = Path(sys.modules[translate.__module__].__file__ or "").read_text(encoding="utf-8")
    runtime = home / f"runtime-{digest_value([texts, translator])[:16]}"
    with locked(home / "runtime.lock"):
        if not runtime.exists():
            begun = runtime.with_name(f"{runtime.name}.begun")
            shutil.rmtree(begun, ignore_errors=True)
            for name, text in texts.items():
                own = name.endswith(UNTOUCHED)
                write_atomic(begun / "tidemill" / name, text if own else translate(text))
            begun.rename(runtime)
    return runtime
