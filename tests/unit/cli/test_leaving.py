"""The process ends at once, and yet loses nothing of what it said or promised."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEAVING = """
import atexit, sys, threading, time
from tidemill.cli import main as door

def work(argv):
    sys.stdout.write("x" * 300_000 + "\\n")
    {more}
    return 7

atexit.register(lambda: sys.stdout.write("called at the end\\n"))
door.run_command_line = work
door.main([])
"""


def _leave(more: str = "pass") -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING.format(more=more)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()[1:], done.stderr


def test_what_was_written_last_and_what_is_called_at_the_end_is_there() -> None:
    assert _leave() == (7, ["called at the end"], "")


def test_a_thread_that_has_work_to_do_is_waited_for() -> None:
    more = "threading.Thread(target=lambda: (time.sleep(0.3), print('done', flush=True))).start()"
    assert _leave(more) == (7, ["done", "called at the end"], "")


@pytest.mark.parametrize("words", [["job", "list", "-o", "json"], ["check", "--help"]])
def test_an_answer_that_cannot_be_written_is_an_error(words: list[str]) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "tidemill", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 4
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_who_reads_no_further_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m tidemill --help | head -1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
