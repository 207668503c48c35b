"""Steps as Jobs of a Kubernetes cluster: what a step reads travels into its pod, what it says and writes travels back."""

from __future__ import annotations

import re
import secrets
import tarfile
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tidemill.backends.containers import own_variables
from tidemill.backends.environments.images import ImageEnvironments
from tidemill.backends.executors.pod_objects import PodRequest, mount_points
from tidemill.backends.executors.pods import PodLostError, StepPods
from tidemill.backends.executors.remote import cut_to_lines, detach_tracking, growing, travelling
from tidemill.backends.executors.threads import TaskThreads
from tidemill.base.errors import FailedError, TidemillError
from tidemill.base.hashing import digest_value
from tidemill.base.ids import JobName
from tidemill.plan.graph import EnvironmentRef
from tidemill.run.ports import EnvironmentProvider, PreparedEnvironment, Say, Task, TaskEnd, TaskWatch, Ticket

GRACE_S = 5.0
SLOTS = 16
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")


class KubernetesExecutor:
    """Runs each task in a pod of its own; as many at once as `slots`, and the cluster's scheduler finds the room."""

    def __init__(
        self,
        pods: StepPods,
        environments: ImageEnvironments,
        *,
        slots: int = SLOTS,
        pull_secret: str = "",
        grace_s: float = GRACE_S,
    ) -> None:
        self._pods = pods
        self._environments = environments
        self._pull_secret = pull_secret
        self._grace_s = grace_s
        self._wished_slots = slots
        self._prepared: dict[str, PreparedEnvironment] = {}
        self._preparing: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._tasks: TaskThreads[str] = TaskThreads("pod", self._ask_to_end)

    @property
    def slots(self) -> int:
        """How many pods at once."""
        return self._wished_slots

    def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        """The environment's image, made once however many steps ask."""
        key = digest_value([environment.label, str(environment.folder), environment.kind, repr(environment.document)])
        with self._lock:
            lock = self._preparing.setdefault(key, threading.Lock())
        with lock:
            if key not in self._prepared:
                self._prepared[key] = self._environments.prepare(environment, say)
            return self._prepared[key]

    def count_parts(self, workers: int, instances: int) -> int:  # noqa: ARG002 - the processes of an instance share a pod
        """A pod for each instance."""
        return instances

    def submit(self, task: Task, watch: TaskWatch) -> None:
        """Make the task's Job and follow it in a thread of its own."""
        self._tasks.start(task, watch, self._drive)

    def cancel(self, ticket: Ticket) -> None:
        """Ask the task's processes to end; one whose pod does not run yet does not start."""
        self._tasks.cancel(ticket)

    def reap(self, job: JobName, handles: Iterable[str], spare: Collection[str] = ()) -> int:
        """Take away the Jobs a killed run of `job` left."""
        names = {*map(_name_of, filter(self.takes_up, handles)), *self._pods.of_job(job)} - {*map(_name_of, spare)}
        return sum(self._pods.delete(name) for name in sorted(names))

    def takes_up(self, handle: str) -> bool:
        """Whether that is a Job in this namespace: its pod keeps what it wrote until somebody fetches it."""
        return handle.startswith(f"kubernetes:{self._pods.namespace}/")

    def close(self) -> None:
        """End everything still running."""
        self._tasks.close()
        self._pods.close()

    def _drive(self, task: Task, watch: TaskWatch) -> TaskEnd:
        """From making the Job to taking it away."""
        left = self._find_left(task)
        name = left[0] if left else _job_name(task)
        try:
            end = self._go_on(task, watch, *left) if left else self._run(task, watch, name)
        except PodLostError as exc:
            end = TaskEnd(None, lost=True, message=str(exc))
        except TidemillError as exc:
            end = TaskEnd(None, message=f"{exc}. {exc.hint}" if exc.hint else str(exc))
        except tarfile.TarError as exc:
            end = TaskEnd(None, message=f"what it wrote cannot be brought back: {exc}")
        except (httpx.HTTPError, OSError) as exc:
            end = TaskEnd(None, lost=True, message=f"the cluster could not be spoken to: {exc}")
        return self._tidy(name, end)

    def _tidy(self, name: str, end: TaskEnd) -> TaskEnd:
        try:
            self._pods.delete(name)
        except TidemillError as exc:
            return end if end.message else TaskEnd(end.exit_code, message=f"its Job could not be deleted: {exc}")
        return end

    def _run(self, task: Task, watch: TaskWatch, name: str) -> TaskEnd:
        roots = travelling(task)
        self._pods.create(self._request(task, name, roots))
        watch.started(f"kubernetes:{self._pods.namespace}/{name}")
        log = _log(task, watch)
        pod = self._pods.await_running(
            name, lambda: self._tasks.is_canceled(task.ticket), lambda why: log(f"tidemill: {why}\n")
        )
        if not pod:
            return TaskEnd(None, canceled=True)
        known = [cut_to_lines(path) for path in growing(task)]
        self._pods.send(pod, self._spec(task), roots)
        return self._follow(task, pod, log, str(task.folder), known)

    def _find_left(self, task: Task) -> tuple[str, str, str] | None:
        """A Job that a killed run made for the same step, its pod, and the folder it works in, if it runs or is done."""
        for name in map(_name_of, filter(self.takes_up, task.left)):
            try:
                found = self._pods.find_taken(name)
            except (TidemillError, httpx.HTTPError, OSError):
                continue  # then the step runs again
            if found is not None:
                return name, *found
        return None

    def _go_on(self, task: Task, watch: TaskWatch, name: str, pod: str, folder: str) -> TaskEnd:
        watch.started(f"kubernetes:{self._pods.namespace}/{name}")
        known = [cut_to_lines(path) for path in growing(task)]
        return self._follow(task, pod, _log(task, watch), folder, known)

    def _follow(self, task: Task, pod: str, log: Callable[[str], None], folder: str, known: Sequence[int]) -> TaskEnd:
        self._tasks.runs_as(task.ticket, pod)
        sinks = [log, *map(_append_to, growing(task))]
        end = self._pods.follow(pod, sinks, [0, *known])
        self._pods.collect(pod, task.folder, folder)
        return TaskEnd(**end)

    def _ask_to_end(self, pod: str) -> None:
        """In a thread, since whoever cancels many tasks must not wait for each; what fails here shows where it is followed."""

        def ask() -> None:
            try:
                self._pods.cancel(pod)
            except (TidemillError, httpx.HTTPError):
                return

        threading.Thread(target=ask, daemon=True).start()

    def _request(self, task: Task, name: str, roots: list[str]) -> PodRequest:
        if not task.environment.image:
            raise FailedError(f"Step `{task.step}` has no image to run in")
        return PodRequest(
            name=name,
            namespace=self._pods.namespace,
            job=task.job,
            step=task.step,
            image=task.environment.image,
            agent=self._pods.agent(),
            folders=mount_points(roots, {r: Path(r).is_file() for r in roots}),
            resources=task.resources,
            pull_secret=self._pull_secret,
        )

    def _spec(self, task: Task) -> dict[str, Any]:
        """What the pod is told. Variables travel in it, and not in the Job, where everybody who may read Jobs would see them."""
        detached = detach_tracking(task)
        return {
            "argv": list(task.argv), "command": task.command, "cwd": str(task.cwd), "env": own_variables(detached), "log": str(task.log),
            "processes": [dict(p) for p in task.processes], "timeout_s": task.timeout_s, "grace_s": self._grace_s,
            "python": task.environment.version, "secrets": list(task.secrets), "folder": str(task.folder), "follows": [str(task.log), *map(str, growing(task))],
        }  # fmt: skip


def _log(task: Task, watch: TaskWatch) -> Callable[[str], None]:
    """Writes what a task says into its log here, and tells each line."""
    append = _append_to(task.log)

    def take(text: str) -> None:
        append(text)
        if watch.wrote:
            for line in text.splitlines():
                watch.wrote(line)

    return take


def _append_to(path: Path) -> Callable[[str], None]:
    def append(text: str) -> None:
        with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)

    return append


def _name_of(handle: str) -> str:
    return handle.rpartition("/")[2]


def _job_name(task: Task) -> str:
    """At most 63 characters, as Kubernetes wants; the last of them make it this attempt's own."""
    readable = _NOT_A_NAME.sub("-", f"{task.job}-{task.step}".lower()).strip("-")[:45].strip("-")
    return f"tm-{readable}-{secrets.token_hex(4)}"


def open_executor(settings: Any, home: Path, environments: EnvironmentProvider) -> KubernetesExecutor:  # noqa: ANN401 - a compute's mapping
    """The executor of a compute: `context`, `namespace`, `registry`, `image` (below the packages), `pull_secret`, `slots`."""
    images = ImageEnvironments(home / "images", environments, settings.image or "", settings.registry or "")
    pods = StepPods(settings.context or "", settings.namespace or "")
    return KubernetesExecutor(pods, images, slots=settings.slots or SLOTS, pull_secret=settings.pull_secret or "")
