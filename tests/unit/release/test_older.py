"""The server's code as Pythons before 3.11 run it."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

import tidemill
from tidemill.base import proc
from tidemill.release.older import OLDEST, OURS, translate

PACKAGE = Path(tidemill.__file__).parent
OLD = [
    python
    for python in sorted(Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python"))
    if OLDEST <= tuple(int(n) for n in python.parts[-3].split(".")[:2]) < OURS
] or [Path(sys.executable)]

LATER = '''
"""What came later."""
from __future__ import annotations
import asyncio, contextlib, logging, sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, dataclass_transform
Rows = list[dict[str, int]] | None
class Level(StrEnum):
    HIGH = "high"
class Names(dict[str, str]):
    """A mapping."""
@dataclass_transform(frozen_default=True)
def frozen(cls: Any) -> Any:
    return dataclass(frozen=True, slots=True)(cls)
@frozen
class Point:
    x: int | None
async def late() -> str:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)
    except (TimeoutError, OSError):
        return "late"
    return "early"
async def waited() -> str:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(5), 0.01)
        return "early"
    return "late"
about = {"a": 1}
about |= {"b": 2}
print(f"{Level.HIGH}", Names(a="b")["a"], Point(1), list(zip([1], [2], strict=True)), asyncio.run(late()), asyncio.run(waited()))
print(about | {"c": 3}, 4 | 1, "prefix-a".removeprefix("prefix-"), datetime.fromtimestamp(0, UTC).year, asyncio.run(asyncio.to_thread(len, "abc")))
'''


def run(python: Path, folder: Path, script: str) -> str:
    (folder / "tidemill" / "base").mkdir(parents=True)
    for name in ("__init__.py", "base/__init__.py", "base/older.py"):
        (folder / "tidemill" / name).write_text((PACKAGE / name).read_text())
    (folder / "script.py").write_text(script)
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}, "PYTHONPATH": str(folder)}
    done = proc.run([str(python), str(folder / "script.py")], env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("python", OLD, ids=lambda p: p.parts[-3])
def test_what_came_later_does_the_same_there(tmp_path: Path, python: Path) -> None:
    assert run(python, tmp_path, translate(LATER)) == run(Path(sys.executable), tmp_path / "now", LATER)


@pytest.mark.parametrize("python", OLD, ids=lambda p: p.parts[-3])
def test_every_module_of_the_server_is_one_older_pythons_can_read(tmp_path: Path, python: Path) -> None:
    for part in ("base", "serve"):
        for path in sorted((PACKAGE / part).glob("*.py")):
            text = translate(path.read_text(encoding="utf-8"))
            ast.parse(text, feature_version=OLDEST)
            (tmp_path / f"{part}_{path.name}").write_text(text)
    done = proc.run([str(python), "-m", "compileall", "-q", str(tmp_path)])
    assert done.returncode == 0, done.stdout
