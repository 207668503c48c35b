"""What runs in a step's pod: waits for the task, runs it, keeps what it wrote until the driver has it.

Standard library alone, for any Python from 3.8: the image knows nothing of Tidemill. The driver talks to it by running this
file again inside the pod, so that the pod listens on no port; the two meet in files of one folder.
"""

# ruff: noqa: PTH110, PTH123 - small, and the same on every Python

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from remote_worker import Worker, pack_changes, stamp_tree, unpack_trees  # type: ignore[import-not-found]  # beside it there

MEET = os.environ.get("TIDEMILL_MEET", "/tidemill")
WAIT_S = 600.0
KEEP_S = 3600.0  # the driver may have been killed: the next run comes for what the task wrote
LOOK_S = 0.1
ALIVE_S = 10.0
LENGTH = 16
NEVER_CAME = 75
CHUNK = 1 << 16


def place(name: str) -> str:
    """A file where the driver and this pod meet."""
    return os.path.join(MEET, name)  # noqa: PTH118


def write(name: str, value: Any) -> None:  # noqa: ANN401
    """All of it or nothing."""
    with open(place(f"{name}.part"), "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(place(f"{name}.part"), place(name))  # noqa: PTH105


def read(name: str) -> Any:  # noqa: ANN401
    """What `write` wrote."""
    with open(place(name), encoding="utf-8") as file:
        return json.load(file)


def await_file(name: str, leave: threading.Event, seconds: float) -> bool:
    """Whether the file came in time, and before the pod was asked to leave."""
    deadline = time.monotonic() + seconds
    while not os.path.exists(place(name)):
        if time.monotonic() > deadline or leave.wait(LOOK_S):
            return False
    return True


def serve() -> int:
    """The pod's own process: one task from its coming to its being collected."""
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
    if not await_file("task.json", leave, WAIT_S):
        sys.stderr.write("tidemill: no task came\n")
        return NEVER_CAME
    spec = read("task.json")
    write("end.json", run(spec, leave))
    await_file("collected", leave, KEEP_S)
    return 0


def run(spec: dict[str, Any], leave: threading.Event) -> dict[str, Any]:
    """The task, until it has ended or the pod is asked to leave; how it ended."""
    here, wanted = f"{sys.version_info[0]}.{sys.version_info[1]}", spec.get("python") or ""
    if wanted not in {"", here}:
        said = f"its packages are for Python {wanted}, and its image has Python {here}. "
        return {"exit_code": None, "message": f"{said}Give the compute an `image` with Python {wanted}, or none"}
    spec["env"] = {**os.environ, **spec["env"]}
    worker = Worker(lambda line: print(line, flush=True))  # noqa: T201 - for `kubectl logs`
    ends: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: ends.append(worker.run(spec)))
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_S)
        if leave.is_set() or os.path.exists(place("cancel")):
            worker.cancel()
    return ends[0] if ends else {"exit_code": None, "message": "its pod could not run it"}


def receive() -> int:
    """Take a task from standard input: the length of its description, that, and a tar of its files."""
    stream = sys.stdin.buffer
    spec = json.loads(stream.read(int(stream.read(LENGTH))))
    unpack_trees(stream)
    write("stamps.json", stamp_tree(spec["folder"]))
    write("task.json", spec)
    return 0


def follow(offsets: list[str]) -> int:
    """Send what is added to each file the driver follows, from its offsets on, until the task has ended; then its end."""
    files = read("task.json")["follows"]
    told = [int(offset) for offset in offsets] or [0] * len(files)
    ended, said_at = False, time.monotonic()
    while not ended:
        ended = os.path.exists(place("end.json"))  # looked at first, so that nothing written before it is missed
        quiet = True
        for number, path in enumerate(files):
            data = _read_on(path, told[number])
            if data:
                quiet = False
                told[number] += len(data)
                _send([number, data.decode("utf-8", "surrogateescape")])
        ended = ended and quiet
        if not quiet or time.monotonic() - said_at > ALIVE_S:
            said_at = time.monotonic()
            _send(["alive", 0])
        if quiet and not ended:
            time.sleep(LOOK_S)
    _send(["end", read("end.json")])
    return 0


def _read_on(path: str, start: int) -> bytes:
    """Whole lines alone, so that no character is torn; the rest too once the task has ended."""
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read(CHUNK)
    whole = data.rfind(b"\n") + 1
    return data if os.path.exists(place("end.json")) or len(data) == CHUNK else data[:whole]


def _send(message: list[Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def collect() -> int:
    """Send what the task wrote, as a tar; what was followed is there already."""
    spec = read("task.json")
    pack_changes(
        spec["folder"], {k: tuple(v) for k, v in read("stamps.json").items()}, sys.stdout.buffer, spec["follows"]
    )
    return 0


def say_folder() -> int:
    """Where the task works, for a driver that did not send it."""
    sys.stdout.write(json.dumps(read("task.json")["folder"]))
    return 0


def mark(name: str) -> int:
    """Leave word for the pod's own process."""
    with open(place(name), "w"):
        return 0


def main(words: list[str]) -> int:
    """Do what the first word says."""
    if words[0] == "follow":
        return follow(words[1:])
    if words[0] in {"cancel", "collected"}:
        return mark(words[0])
    return {"serve": serve, "receive": receive, "collect": collect, "folder": say_folder}[words[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
