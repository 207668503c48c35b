"""The step as its own Python sees it: its folder, what was measured, whether it failed, and the commands of Tidemill."""

import json
import os
import sys
import time

FOLDER = os.environ.get("TIDEMILL_STEP_FOLDER", ".")
METRICS_FILE = os.path.join(FOLDER, "metrics.jsonl")
PARAMS_FILE = os.path.join(FOLDER, "params.jsonl")
_ended = {"code": None}


def say(words):
    """A line in the step's log that is marked as ours."""
    sys.stderr.write("tidemill: %s\n" % words)


def note_metric(key, value, step=None):
    """Append a measured number; what is not a number is left out."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return
    _append(METRICS_FILE, {"name": str(key), "value": number, "step": int(step or 0), "at": time.time()})


def note_param(key, value):
    """Append a chosen value."""
    _append(PARAMS_FILE, {"name": str(key), "value": str(value), "at": time.time()})


def _append(path, row):
    # one write of one line: several processes of a step may append at once
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (json.dumps(row) + "\n").encode())
    finally:
        os.close(handle)


def watch_exit():
    """Remember the code given to `sys.exit`: nothing else tells it to what runs at exit."""
    leave = sys.exit
    if getattr(leave, "tidemill", False):
        return

    def remembered(code=None):
        _ended["code"] = code
        leave(code)

    remembered.tidemill = True
    sys.exit = remembered


def has_failed():
    """Whether this process ends by an exception nobody caught, or with an exit code other than 0."""
    return _ended["code"] not in (None, 0) or getattr(sys, "last_value", None) is not None


def tidemill(*arguments):
    """Run a command of the workspace's own Tidemill and return its JSON; `RuntimeError` with its words otherwise."""
    import subprocess

    python = os.environ.get("TIDEMILL_PYTHON", "")
    if not os.path.exists(python):
        raise RuntimeError("The workspace cannot be reached from where this step runs; use a register_model step.")
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "TIDEMILL_STEP_FOLDER", "MLFLOW_RUN_ID")
    env = {key: value for key, value in os.environ.items() if key not in dropped}
    env["TIDEMILL_HOME"] = os.environ.get("TIDEMILL_STATE", "")
    if os.environ.get("TIDEMILL_MLFLOW_ARTIFACTS"):  # the embedded store, which a workspace finds by itself
        env.pop("MLFLOW_TRACKING_URI", None)
        env.pop("MLFLOW_REGISTRY_URI", None)
    done = subprocess.run(
        [python, "-m", "tidemill"] + list(arguments) + ["-o", "json"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or "tidemill %s failed" % " ".join(arguments))
    return json.loads(done.stdout) if done.stdout.strip() else None
