"""Files of records become Parquet in a process of its own, with the module's name and the file as its words.

What writes Parquet takes memory a server has other uses for, and scikit-learn asks every array whether it is of pandas or pyarrow
as soon as either has begun to be imported: requests would fail while the thread that records still imports them.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from tidemill.base import proc
from tidemill.serve.records import finished, to_parquet
from tidemill.serve.workers import how_it_ended

NICE = 10  # answers come first


def finish(lines: Path, kind: str, lock: int) -> Path:
    """As `to_parquet`; `OSError` when it failed. `lock` is an open file that says that somebody is at work, and does so until the end."""
    if find_spec("pyarrow") is None:
        return to_parquet(lines, kind)
    # where the records are, since a folder that Python starts in can hold modules
    code = proc.start_sharing([sys.executable, "-m", __name__, lines.name, kind], (lock,), cwd=lines.parent).wait()
    if code:
        raise OSError(f"the process that writes Parquet {how_it_ended(code)}")
    return finished(lines)


def main(argv: list[str]) -> int:
    """The process."""
    os.nice(NICE)
    lines, kind = argv
    try:
        to_parquet(Path(lines), kind)
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"{lines}: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
