"""The GPUs of this machine, by the names CUDA knows them by."""

from __future__ import annotations

import os
import shutil

from tidemill.base import proc
from tidemill.base.errors import BackendError

ANSWER_S = 10.0


def find_gpus() -> tuple[str, ...]:
    """What `CUDA_VISIBLE_DEVICES` leaves of them if it is set, else what the driver's own tool lists; none without a driver."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(name for name in (part.strip() for part in allowed.split(",")) if name and name != "-1")
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        done = proc.run([tool, "--query-gpu=index", "--format=csv,noheader"], timeout_s=ANSWER_S)
    except BackendError:  # a driver that does not answer has no GPUs to give
        return ()
    return tuple(done.stdout.split()) if done.returncode == 0 else ()
