"""The server's log, as a user whose script prints and crashes reads it."""

from __future__ import annotations

import subprocess
import sys

SERVER = """
import logging, sys
from tidemill.serve.said import REQUEST, log_prints, start_log
start_log()
log_prints()
print("before any request")
REQUEST.set(b"r1")
print("within", 1)
logging.getLogger("mine").warning("logged")
logging.getLogger("tidemill.access").info("has its own field")
print("elsewhere", file=sys.stderr)
sys.stdout.write("as it is\\n")
import ctypes
ctypes.string_at(0)
"""


def test_what_is_printed_and_logged_names_its_request_and_a_crash_its_place() -> None:
    done = subprocess.run([sys.executable, "-c", SERVER], capture_output=True, text=True, check=False)
    said = [line.partition(",")[2][4:] or line for line in done.stderr.splitlines()]
    assert said[:5] == [
        "INFO before any request", "INFO [r1] within 1", "WARNING [r1] logged", "INFO has its own field", "elsewhere",
    ]  # fmt: skip
    assert done.stdout == "as it is\n"
    assert done.returncode < 0
    assert "Segmentation fault" in done.stderr
    assert 'File "<string>", line 14' in done.stderr
