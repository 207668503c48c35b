"""Notes files that a step's Python opens for writing outside the step's own folder: on Azure they would be lost."""

import os
import sys

NOTES = "outside.jsonl"
MOST = 20
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(folder):
    """From now on, as long as this Python lives."""
    if not hasattr(sys, "addaudithook"):  # older than 3.8
        return
    seen = set()
    allowed = _allowed(folder)
    note = os.path.join(folder, NOTES)

    def heard(event, args):
        if event != "open" or not args[2] & WRITES or len(seen) >= MOST:
            return
        path = args[0]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or "__pycache__" in path:
            return
        path = os.path.abspath(path)
        if path in seen or (path + "/").startswith(allowed) or (os.path.realpath(path) + "/").startswith(allowed):
            return
        seen.add(path)
        _append(note, path)

    sys.addaudithook(heard)


def _allowed(folder):
    """The step's folder; what is temporary, a device, a cache of the user's, or the interpreter's own."""
    home = os.path.expanduser("~")
    temporary = os.environ.get("TMPDIR") or "/tmp"
    state = os.environ.get("TIDEMILL_STATE") or folder
    places = [folder, state, temporary, "/var/tmp", "/dev", "/proc", "/sys", "/run", sys.prefix, sys.base_prefix]
    roots = {os.path.abspath(p) for p in places} | {os.path.realpath(p) for p in places}
    return tuple(sorted(root.rstrip("/") + "/" for root in roots if root != "/") + [home.rstrip("/") + "/."])


def _append(note, path):
    import json

    # one write of one line: several processes of a step may append at once
    try:
        handle = os.open(note, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError:  # the folder is gone: nobody will read it
        return
    try:
        os.write(handle, (json.dumps(path) + "\n").encode())
    finally:
        os.close(handle)
