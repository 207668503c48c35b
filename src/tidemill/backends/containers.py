"""Docker or podman: whichever answers. Its client is all we need, and it keeps its own credentials."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidemill.base import proc
from tidemill.base.errors import BackendError, UsageError
from tidemill.base.hashing import digest_value
from tidemill.run.ports import Say, Task

ENGINES = ("docker", "podman")
ANSWER_S = 10.0
PULL_S = 1800.0
LABEL = "tidemill.job"
TAIL = 1500
# the client's own, or made for this machine's programs: an image has its own
_OF_THE_HOST = frozenset(
    {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHOME", "TMPDIR"}
)
_OURS = re.compile(
    r"^(AZUREML_|AZURE_ML_|MLFLOW_|TIDEMILL_|PYTHONPATH$|PYTHONUNBUFFERED$|LANG$|LC_ALL$|RANK$|LOCAL_RANK$|WORLD_SIZE$|MASTER_|NODE_RANK$|TF_CONFIG$)"
)
# A container's first process hears no signal it does not trap, and not every engine has an init to put before it:
# this one passes a polite request on to everything in the container and waits until the command has ended.
_FIRST_PROCESS = """bash -c "$1" & child=$!
trap 'kill -TERM -1 2>/dev/null' TERM INT
wait $child; code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
exit $code"""


@functools.cache
def find_engine() -> str:
    """The client of an engine that answers; empty when there is none. `TIDEMILL_CONTAINER_ENGINE` names one."""
    wanted = os.environ.get("TIDEMILL_CONTAINER_ENGINE")
    for name in (wanted,) if wanted else ENGINES:
        path = shutil.which(name)
        if path and _answers([path, "version"]):
            return path
    return ""


def require_engine(purpose: str) -> str:
    """The client of an engine that answers; `UsageError` that says what needs it when there is none."""
    found = find_engine()
    if not found:
        raise UsageError(
            f"{purpose} needs a container engine, and neither docker nor podman answers here",
            hint="Start one (or set DOCKER_HOST), or map the environment to `venv` or `host` in tidemill.yaml.",
        )
    return found


def _answers(argv: Sequence[str]) -> bool:
    try:
        return proc.run(argv, timeout_s=ANSWER_S).returncode == 0
    except BackendError:
        return False


def pull(image: str, say: Say) -> str:
    """The id of an image, fetched if the engine does not have it; `BackendError` with the engine's words."""
    engine = require_engine(f"The image {image}")
    found = _image_id(engine, image)
    if found:
        return found
    say(f"pulling {image}")
    done = proc.run([engine, "pull", "--quiet", image], timeout_s=PULL_S)
    found = _image_id(engine, image)
    if done.returncode != 0 or not found:
        raise BackendError(
            f"The image {image} cannot be pulled: {done.stderr.strip()[-TAIL:]}",
            hint="Check its name, and log in to its registry with the engine's own `login`.",
        )
    return found


def build(context: Path, dockerfile: str, say: Say, *, label: str) -> str:
    """The id of the image a Docker context makes (the engine's cache makes a second time quick); `BackendError` with its words."""
    engine = require_engine(f"The Docker context {context}")
    tag = f"localhost/tidemill-environment:{digest_value([str(context), dockerfile])[:16]}"
    say(f"building the image of environment {label}")
    done = proc.run(
        [engine, "build", "--quiet", "--tag", tag, "--file", str(context / dockerfile), str(context)], timeout_s=PULL_S
    )
    found = _image_id(engine, tag)
    if done.returncode != 0 or not found:
        raise BackendError(
            f"The image of environment `{label}` cannot be built:\n{(done.stdout + done.stderr).strip()[-TAIL:]}"
        )
    return found


def push(image: str, reference: str, say: Say) -> None:
    """Put an image of the engine into a registry under that name; `BackendError` with the engine's words."""
    engine = require_engine(f"Pushing {reference}")
    say(f"pushing {reference}")
    proc.run([engine, "tag", image, reference], timeout_s=ANSWER_S)
    done = proc.run([engine, "push", "--quiet", reference], timeout_s=PULL_S)
    if done.returncode != 0:
        raise BackendError(
            f"The image cannot be pushed to {reference}: {done.stderr.strip()[-TAIL:]}",
            hint="Log in to the registry with the engine's own `login`.",
        )


def python_of(image: str) -> str:
    """`3.11`: the Python of an image; `UsageError` when it has none."""
    engine = require_engine(f"The image {image}")
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = proc.run(
        [engine, "run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", code], timeout_s=PULL_S
    )
    if done.returncode != 0:
        raise UsageError(
            f"The image {image[:19]} has no `python` to install packages for: {done.stderr.strip()[-300:]}",
            hint="Choose an image with Python, or leave out the package list.",
        )
    return done.stdout.strip()


def _image_id(engine: str, image: str) -> str:
    done = proc.run([engine, "image", "inspect", "--format", "{{.Id}}", image], timeout_s=ANSWER_S)
    return done.stdout.strip() if done.returncode == 0 else ""


def load(archive: Path) -> str:
    """The id of the image in an archive; `BackendError` with the engine's words."""
    done = proc.run([require_engine("Proving an image"), "load", "--quiet", "--input", str(archive)], timeout_s=PULL_S)
    found = re.search(r"sha256:[0-9a-f]{64}", done.stdout)
    if done.returncode != 0 or found is None:
        raise BackendError(f"The engine cannot load the image: {(done.stderr or done.stdout).strip()[-TAIL:]}")
    return found.group()


def start_sealed(image: str, name: str) -> None:
    """Start an image as a cluster would: read-only, no privileges, and with no network at all."""
    argv = [require_engine("Proving an image"), "run", "--detach", "--name", name, "--network", "none", "--read-only"]
    argv += ["--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", image]  # noqa: S108 - inside it
    done = proc.run(argv, timeout_s=PULL_S)
    if done.returncode != 0:
        raise BackendError(f"The image does not start: {done.stderr.strip()[-TAIL:]}")


def ask_inside(name: str, argv: Sequence[str], stdin: str, *, timeout_s: float) -> proc.CompletedProcess[str]:
    """Run a program in a container, with `stdin`."""
    return proc.run(
        [require_engine("Proving an image"), "exec", "--interactive", name, *argv], stdin=stdin, timeout_s=timeout_s
    )


def last_words(name: str) -> str:
    """The end of what a container wrote."""
    done = proc.run([require_engine("Proving an image"), "logs", name], timeout_s=ANSWER_S)
    return (done.stdout + done.stderr).strip()[-TAIL:]


def remove_image(image: str) -> None:
    """Take an image away from the engine again; one that others use stays."""
    proc.run([require_engine("Proving an image"), "image", "rm", image], timeout_s=PULL_S)


def container_name(task: Task, index: int, scope: str) -> str:
    """The same for the same process of the same task."""
    return f"tidemill-{digest_value([scope, task.ticket, index])[:20]}"


def run_argv(task: Task, index: int, extra: Mapping[str, str], scope: str) -> list[str]:
    """The client's arguments that run one process of a task in its image.

    The step's folders are where they are on the host, as the same user; of everything else outside only what the
    task reads is there, read-only. Variables are named, never written out: their values come from the client's own
    environment, so that no secret is in an argument list.
    """
    resources = task.resources
    argv = [
        require_engine(f"Step `{task.step}`"),
        "run",
        "--rm",
        "--name",
        container_name(task, index, scope),
    ]
    argv += ["--label", f"{LABEL}={_job_label(scope, task.job)}", "--network", "host", "--workdir", str(task.cwd)]
    argv += ["--user", f"{os.getuid()}:{os.getgid()}", "--entrypoint", "bash", "--env", "HOME=/tmp"]
    for name in sorted({*own_variables(task), *extra} - _OF_THE_HOST):
        argv += ["--env", name]
    for folder, mode in _mounts(task):
        argv += ["--volume", f"{folder}:{folder}:{mode}"]
    if resources.shm_size:
        argv += ["--shm-size", resources.shm_size]
    if resources.gpus:
        argv += ["--gpus", str(int(resources.gpus))]
    return [*argv, str(task.environment.image), "-c", _FIRST_PROCESS, "tidemill", task.command]


def own_variables(task: Task) -> dict[str, str]:
    """The variables of a task that mean something where the rest of this machine's environment is not."""
    return {
        name: value
        for name, value in task.env.items()
        if name not in _OF_THE_HOST and (_OURS.match(name) or value != os.environ.get(name))
    }


def _mounts(task: Task) -> list[tuple[Path, str]]:
    """What a task sees of this machine: a folder comes before what is mounted inside it."""
    written = (
        [task.folder, Path(task.env["TIDEMILL_STATE"]) / "mlflow"] if "TIDEMILL_STATE" in task.env else [task.folder]
    )
    searched = [Path(p) for p in task.env.get("PYTHONPATH", "").split(os.pathsep) if p]
    mounts = {p: "ro" for p in (*task.reads.values(), *searched) if p.exists()} | {
        p: "rw" for p in written if p.exists()
    }
    return sorted(mounts.items())


def remove(names: Sequence[str]) -> None:
    """End containers and take them away; those that are gone already are no error."""
    engine = find_engine()
    if engine and names:
        proc.run(
            [engine, "rm", "--force", "--time", "0", *names]
            if engine.endswith("podman")
            else [engine, "rm", "--force", *names]
        )


def remove_of_job(scope: str, job: str) -> int:
    """End the containers a killed run left; how many there were."""
    engine = find_engine()
    if not engine:
        return 0
    done = proc.run(
        [engine, "ps", "--all", "--quiet", "--filter", f"label={LABEL}={_job_label(scope, job)}"], timeout_s=ANSWER_S
    )
    found = done.stdout.split()
    remove(found)
    return len(found)


def _job_label(scope: str, job: str) -> str:
    return digest_value([scope, job])[:32]
