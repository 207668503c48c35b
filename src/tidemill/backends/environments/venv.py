"""Virtual environments built by uv: keyed by content, shared by all jobs, built once however many steps ask."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from pathlib import Path

from tidemill.backends.environments.packages import PackageList, name_of
from tidemill.base import proc
from tidemill.base.errors import BackendError, UsageError
from tidemill.base.files import locked, write_atomic
from tidemill.base.frozen import frozen
from tidemill.base.hashing import digest_value
from tidemill.run.ports import Say

READY = "tidemill-ready.json"
SETUPTOOLS = "setuptools<81"  # later ones have no `pkg_resources`, which MLflow 2 and most of Azure\'s packages import
BUILD_S = 1800.0
PROBES = 4
_PIN = re.compile(r"[=<>~!].*")


@frozen
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
    options = [packages.options] if packages.options else []
    return digest_value([packages.python or version, packages.conda, packages.pip, "with pip", *options])[:24]


def build_venv(packages: PackageList, root: Path, *, relax: bool, label: str, say: Say) -> Venv:
    """The venv of these packages, built if it is not there; one `UsageError` for all pins that cannot be had."""
    folder = root / (venv_key(packages) + ("-relaxed" if relax else ""))
    with locked(root / f"{folder.name}.lock"):
        ready = folder / READY
        if ready.exists():
            os.utime(ready)  # so that collecting garbage by age sees when it was last used
            return Venv(folder, tuple(json.loads(ready.read_text(encoding="utf-8"))["relaxed"]))
        shutil.rmtree(folder, ignore_errors=True)
        say(f"building environment {label}")
        with ExitStack() as unless_built:
            unless_built.callback(shutil.rmtree, folder, ignore_errors=True)
            relaxed = _create(packages, folder, relax=relax, label=label)
            for name in packages.dropped:
                say(f"environment {label}: {name} has no server to talk to here and is left out")
            relaxed += _install(packages, folder, relax=relax, label=label, say=say)
            write_atomic(ready, json.dumps({"relaxed": relaxed, "conda": packages.conda, "pip": packages.pip}))
            unless_built.pop_all()
        return Venv(folder, tuple(relaxed))


def read_built(root: Path, key: str) -> set[str] | None:
    """The packages that the venv with that key was asked to hold; None when it is not here."""
    ready = next((p for p in (root / key / READY, root / f"{key}-relaxed" / READY) if key and p.exists()), None)
    if ready is None:
        return None
    built = json.loads(ready.read_text(encoding="utf-8"))
    return {*built.get("conda", ()), *built.get("pip", ())}


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
    python = sys.executable if wanted in {"", here} else find_python(wanted)
    done = proc.run(
        [*_uv(), "venv", "--quiet", "--seed", "--python", python, "--no-python-downloads", str(folder)],
        timeout_s=BUILD_S,
        ends_with_us=True,
    )
    if done.returncode == 0:
        return []
    if not relax:
        raise UsageError(
            f"Environment `{label}` pins Python {wanted}, which is not on this machine (this is {here})",
            hint="Install it, or loosen just what cannot be had with --relax-pins (or `pins: relaxed` in tidemill.yaml).",
        )
    made = proc.run(
        [*_uv(), "venv", "--quiet", "--seed", "--python", sys.executable, str(folder)],
        timeout_s=BUILD_S,
        ends_with_us=True,
    )
    if made.returncode != 0:
        raise BackendError(f"uv cannot make a virtual environment: {made.stderr.strip()[-500:]}")
    return [f"python={wanted} -> {here}"]


def find_python(version: str) -> str:
    """An interpreter of that version where version managers keep theirs, which uv does not look into; else the version."""
    home = Path.home()
    places = (home / ".pyenv" / "versions", home / ".asdf" / "installs" / "python")
    found = [p for place in places for p in place.glob(f"{version}.*/bin/python")]
    return str(max(found)) if found else version


def counted(packages: int) -> str:
    """`1 package`, `5 packages`."""
    return f"{packages} package{'' if packages == 1 else 's'}"


def _install(packages: PackageList, folder: Path, *, relax: bool, label: str, say: Say) -> list[str]:
    """Install conda packages, then pip ones; with `relax`, without the pins that cannot be had."""
    relaxed: list[str] = []
    wanted = [*packages.conda, *packages.pip]
    if not wanted:
        return relaxed
    say(f"environment {label}: installing {counted(len(wanted))}")
    seeded = any(folder.glob("lib/python*/site-packages/setuptools")) and "setuptools" not in map(name_of, wanted)
    error = _pip(folder, [*_with_our_mlflow(wanted), *([SETUPTOOLS] if seeded else [])], packages.options)
    if error and seeded:
        error = _pip(folder, _with_our_mlflow(wanted), packages.options)
    if error and "mlflow" in wanted:
        error = _pip(folder, wanted, packages.options)
    if not error:
        return relaxed
    impossible = find_impossible(folder, wanted, packages.options)
    if not relax:
        listed = ", ".join(impossible) or _essence(error)
        raise UsageError(
            f"Environment `{label}`: these cannot be had for this Python: {listed}",
            hint=f"--relax-pins loosens just those and records it; or {_to_host(label)}.",
        )
    for loosened in _attempts(packages, impossible):
        error = _pip(folder, [new for new in loosened.values() if new], packages.options)
        if not error:
            return [f"{old} -> {new or 'left out'}" for old, new in loosened.items() if old != new]
    raise UsageError(
        f"Environment `{label}` cannot be built even without pins: {_essence(error)}",
        hint=f"You can {_to_host(label)}.",
    )


def _to_host(label: str) -> str:
    """How the environment's steps come to run in this Python; only one that has a name can be mapped."""
    name = label.partition(":")[0]
    if name == "inline":
        return "give the environment a name and map that in tidemill.yaml: environments: {NAME: {python: host}}"
    return f"run its steps in this Python by tidemill.yaml: environments: {{{name}: {{python: host}}}}"


def _with_our_mlflow(wanted: Sequence[str]) -> list[str]:
    """The workspace's own MLflow where any will do: other versions cannot share its database."""
    from importlib import metadata  # noqa: PLC0415 - 10 ms, of environments that are made only

    try:
        ours = f"mlflow=={metadata.version('mlflow')}"
    except metadata.PackageNotFoundError:
        return list(wanted)
    return [ours if r == "mlflow" else r for r in wanted]


def _attempts(packages: PackageList, impossible: Sequence[str]) -> Iterator[dict[str, str]]:
    """What to install for each requirement: first only what cannot be had is loosened, then what stands in the way."""
    wanted = [*packages.conda, *packages.pip]
    # a package that does not exist without its pin either is nothing pip can install: a library of conda's
    first = {r: (_loosen(r) if r in impossible else r) for r in wanted}
    yield {r: ("" if new == r and r in impossible else new) for r, new in first.items()}
    gone = {r for r in impossible if _loosen(r) == r}
    yield {r: "" if r in gone else _loosen(r) if r in packages.conda or r in impossible else r for r in wanted}
    yield {r: "" if r in gone else _loosen(r) for r in wanted}


def _loosen(requirement: str) -> str:
    """The requirement without its versions; markers and URLs stay."""
    pin, semicolon, marker = requirement.partition(";")
    return requirement if "://" in pin or pin.startswith("/") else _PIN.sub("", pin).strip() + semicolon + marker


def find_impossible(folder: Path, wanted: Sequence[str], options: Sequence[str]) -> list[str]:
    """The requirements that cannot be had even alone."""
    with ThreadPoolExecutor(PROBES) as pool:
        probes = [(copy_context(), r) for r in wanted]
        errors = pool.map(lambda p: p[0].run(_pip, folder, [p[1]], options, dry=True), probes)
        return [r for r, error in zip(wanted, errors, strict=True) if error]


def _essence(error: str) -> str:
    """The end of what uv said, on one line."""
    return " ".join(error.split())[-800:]


def _pip(folder: Path, requirements: Sequence[str], options: Sequence[str] = (), *, dry: bool = False) -> str:
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
        *options,
        *requirements,
    ]
    done = proc.run(argv, timeout_s=BUILD_S, ends_with_us=True)
    return "" if done.returncode == 0 else done.stderr or "uv failed"


def install_beside(packages: PackageList, folder: Path, *, python: str, label: str) -> None:
    """Install into a plain folder for another Linux Python (`3.11`); `UsageError` with uv's words when it cannot be done."""
    argv = [*_uv(), "pip", "install", "--quiet", "--target", str(folder), "--python-version", python]
    argv += ["--python-platform", "linux", "--only-binary", ":all:", "--compile-bytecode", *packages.options]
    done = proc.run([*argv, *packages.conda, *packages.pip], timeout_s=BUILD_S, ends_with_us=True)
    if done.returncode != 0:
        raise UsageError(
            f"Environment `{label}` cannot be installed for the image's Python {python}: {_essence(done.stderr)}",
            hint="Change the pins or the image; only packages with wheels can stand beside an image.",
        )
    for script in (folder / "bin").glob("*") if (folder / "bin").is_dir() else ():
        _point_to_image(script)


def _point_to_image(script: Path) -> None:
    """A console script starts the Python on the image's PATH, not the one that installed it."""
    content = script.read_bytes() if script.is_file() else b""
    if content.startswith(b"#!") and b"python" in content.partition(b"\n")[0]:
        script.write_bytes(b"#!/usr/bin/env python\n" + content.partition(b"\n")[2])
