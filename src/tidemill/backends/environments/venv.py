"""Virtual environments built by uv: keyed by content, shared by all jobs, built once however many steps ask."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidemill.backends.environments.packages import PackageList
from tidemill.base import proc
from tidemill.base.errors import BackendError, UsageError
from tidemill.base.files import locked, write_atomic
from tidemill.base.hashing import digest_value
from tidemill.run.ports import Say

READY = "tidemill-ready.json"
BUILD_S = 1800.0
_PIN = re.compile(r"[=<>~!].*")


@dataclass(frozen=True, slots=True)
class Venv:
    """A built environment; `relaxed` names pins that were loosened."""

    folder: Path
    relaxed: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


def venv_key(packages: PackageList) -> str:
    """What decides about a venv's content."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return digest_value([packages.python or version, packages.conda, packages.pip])[:24]


def build_venv(packages: PackageList, root: Path, *, relax: bool, label: str, say: Say) -> Venv:
    """The venv of these packages, built if it is not there; one `UsageError` for all pins that cannot be had."""
    folder = root / (venv_key(packages) + ("-relaxed" if relax else ""))
    with locked(root / f"{folder.name}.lock"):
        ready = folder / READY
        if ready.exists():
            return Venv(folder, tuple(json.loads(ready.read_text(encoding="utf-8"))["relaxed"]))
        shutil.rmtree(folder, ignore_errors=True)
        say(f"building environment {label}")
        relaxed = _create(packages, folder, relax=relax, label=label)
        for name in packages.dropped:
            say(f"environment {label}: {name} has no server to talk to here and is left out")
        relaxed += _install(packages, folder, relax=relax, label=label, say=say)
        write_atomic(ready, json.dumps({"relaxed": relaxed, "conda": packages.conda, "pip": packages.pip}))
        return Venv(folder, tuple(relaxed))


def _uv() -> list[str]:
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    if found is None:
        raise BackendError(
            "uv is not installed, so no environment can be built",
            hint="pip install 'tidemill[env]', or map the environment to `host` in tidemill.yaml.",
        )
    return [found]


def _create(packages: PackageList, folder: Path, *, relax: bool, label: str) -> list[str]:
    """Make the venv with the Python asked for, or with this one when pins may be relaxed."""
    wanted = packages.python
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if wanted in {"", here} else wanted
    done = proc.run(
        [*_uv(), "venv", "--quiet", "--python", python, "--no-python-downloads", str(folder)], timeout_s=BUILD_S
    )
    if done.returncode == 0:
        return []
    if not relax:
        raise UsageError(
            f"Environment `{label}` pins Python {wanted}, which is not on this machine (this is {here})",
            hint="Install it, or loosen just what cannot be had with --relax-pins (or `pins: relaxed` in tidemill.yaml).",
        )
    made = proc.run([*_uv(), "venv", "--quiet", "--python", sys.executable, str(folder)], timeout_s=BUILD_S)
    if made.returncode != 0:
        raise BackendError(f"uv cannot make a virtual environment: {made.stderr.strip()[-500:]}")
    return [f"python={wanted} -> {here}"]


def _install(packages: PackageList, folder: Path, *, relax: bool, label: str, say: Say) -> list[str]:
    """Install conda packages, then pip ones; with `relax`, without the pins that cannot be had."""
    relaxed: list[str] = []
    wanted = [*packages.conda, *packages.pip]
    if not wanted:
        return relaxed
    say(f"environment {label}: installing {len(wanted)} packages")
    error = _pip(folder, wanted)
    if not error:
        return relaxed
    impossible = [r for r in wanted if _PIN.search(r) and _pip(folder, [r], dry=True)]
    if not relax:
        listed = ", ".join(impossible) or error.strip()[-800:]
        raise UsageError(
            f"Environment `{label}`: these cannot be had for this Python: {listed}",
            hint="--relax-pins loosens just those and records it; or map the environment to `host` in tidemill.yaml.",
        )
    loosened = [_PIN.sub("", r) if r in impossible else r for r in wanted]
    relaxed = [f"{r} -> {_PIN.sub('', r)}" for r in impossible]
    error = _pip(folder, loosened)
    if error:
        loosened, relaxed = (
            [_PIN.sub("", r) for r in wanted],
            [f"{r} -> {_PIN.sub('', r)}" for r in wanted if _PIN.search(r)],
        )
        error = _pip(folder, loosened)
    if error:
        raise UsageError(
            f"Environment `{label}` cannot be built even without pins: {error.strip()[-800:]}",
            hint="Map it to `host` in tidemill.yaml.",
        )
    return relaxed


def _pip(folder: Path, requirements: Sequence[str], *, dry: bool = False) -> str:
    """What uv says when it cannot install these; empty when it can."""
    argv = [
        *_uv(),
        "pip",
        "install",
        "--quiet",
        "--python",
        str(folder / "bin" / "python"),
        # Compiled here once, or by every step where the environment forbids caching.
        *(["--dry-run", "--no-deps"] if dry else ["--compile-bytecode"]),
        *requirements,
    ]
    done = proc.run(argv, timeout_s=BUILD_S)
    return "" if done.returncode == 0 else done.stderr or "uv failed"
