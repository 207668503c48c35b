"""What a command is started as does what bash would do with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.base.shell import shell_argv

SHOW = "import os, sys\nprint(sys.argv[1:], os.environ.get('PWD'), sys.executable)\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "show.py").write_text(SHOW)
    return {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "PWD": str(tmp_path)}


def _said(argv: list[str], folder: Path, env: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "python show.py",
        "  python show.py --lr=0.1 -n 3 a,b ./x:y @z +5 5%  ",
        "python -u show.py\n",
        "python3.11 show.py",
    ],
)
def test_a_plain_call_of_python_is_started_without_a_bash(command: str, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3.11").symlink_to(sys.executable)
    argv = list(shell_argv(command, env))
    assert argv[0] in command.split()
    assert _said(argv, tmp_path, env) == _said(["bash", "-c", command], tmp_path, env)


@pytest.mark.parametrize(
    "command",
    [
        "python show.py 'a b'",
        "python show.py $HOME",
        "python show.py *.py",
        "python show.py > out",
        "python show.py && echo done",
        "python show.py\npython show.py",
        "python show.py ~/x",
        "python show.py {a,b}",
        "python show.py # note",
        "A=1 python show.py",
        "pythonic show.py",
        "echo python",
        "python show.py a\\ b",
        "python show.py ü",
        "",
    ],
)
def test_everything_else_is_bash_s(command: str, env: dict[str, str]) -> None:
    assert shell_argv(command, env) == ["bash", "-c", command]


@pytest.mark.parametrize("name", ["BASH_ENV", "BASH_FUNC_python%%"])
def test_what_bash_was_given_first_is_bash_s(name: str, env: dict[str, str]) -> None:
    assert shell_argv("python show.py", {**env, name: "x"})[0] == "bash"


def test_without_a_python_bash_says_so(tmp_path: Path) -> None:
    assert shell_argv("python show.py", {"PATH": str(tmp_path)})[0] == "bash"
