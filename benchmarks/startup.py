"""Start-up time of `tidemill --help` and of a cold `check`, beside a bare interpreter: `python benchmarks/startup.py`."""

from __future__ import annotations

import subprocess  # noqa: TID251 - measures whole processes
import sys
import time
from pathlib import Path

ROUNDS = 7
EXAMPLE = Path(__file__).parent.parent / "examples" / "digits" / "pipeline.yml"
CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "tidemill --help": [sys.executable, "-m", "tidemill", "--help"],
    "tidemill check pipeline.yml": [sys.executable, "-m", "tidemill", "check", str(EXAMPLE)],
    "tidemill plan pipeline.yml": [sys.executable, "-m", "tidemill", "plan", str(EXAMPLE)],
}


def best_of(argv: list[str]) -> float:
    """The shortest of ROUNDS wall-clock times, in seconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Print the table."""
    bare = 0.0
    for name, argv in CASES.items():
        seconds = best_of(argv)
        bare = bare or seconds
        print(f"{name:32} {seconds * 1000:8.0f} ms   {seconds / bare:6.1f} x bare")


if __name__ == "__main__":
    main()
