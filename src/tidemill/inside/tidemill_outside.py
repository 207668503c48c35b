"""What a step's Python may not write: its read-only inputs (refused), and what is outside its own folder (noted).

On Azure ML an input of mode `ro_mount` is a read-only file system, and what is written elsewhere is lost.
"""

import errno
import os
import sys

NOTES = "outside.jsonl"
MOST = 20
REFUSED = "Read-only file system: an input of mode ro_mount; write to an output, or give the input `mode: download`"
# event: where in its arguments a path that it changes stands, and the descriptor of the folder that is relative to
CHANGES = {
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "shutil.rmtree": ((0, None),),
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(folder):
    """From now on, as long as this Python lives."""
    if not hasattr(sys, "addaudithook"):  # older than 3.8
        return
    seen = set()
    allowed = _allowed(folder)
    read_only = _read_only(folder)
    note = os.path.join(folder, NOTES)

    def heard(event, args):
        if event != "open" and event not in CHANGES:
            return
        for path in _written(event, args):
            if (path + "/").startswith(read_only):
                raise OSError(errno.EROFS, REFUSED, path)
            if event == "open" and len(seen) < MOST and "__pycache__" not in path:
                hear_open(path)

    def hear_open(path):
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


def _read_only(folder):
    """The step's inputs of mode `ro_mount`, which the variable names."""
    names = [n for n in os.environ.get("TIDEMILL_READ_ONLY", "").split(",") if n]
    roots = {os.path.abspath(folder), os.path.realpath(folder)}
    return tuple(os.path.join(root, "inputs", "INPUT_" + name, "") for root in roots for name in names)


def _written(event, args):
    """The paths that an event is about to change; none for one relative to an open folder."""
    if event == "open":
        places = ((0, None),) if args[2] & WRITES else ()
    else:
        places = CHANGES[event]
    for place, at in places:
        path = os.fsdecode(args[place]) if isinstance(args[place], (bytes, os.PathLike)) else args[place]
        if isinstance(path, str) and (at is None or args[at] == -1):
            yield os.path.abspath(path)


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
