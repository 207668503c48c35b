"""Steps as command jobs of an Azure Machine Learning workspace: submitted, followed, their outputs brought back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.backends.azure.automl import TASKS
from tidemill.backends.azure.environments import put_environment
from tidemill.backends.azure.follow import FINAL, SPEAKING, FollowedJob, read_error, read_run_s
from tidemill.backends.azure.in_place import look, send
from tidemill.backends.azure.metrics import JobMetrics
from tidemill.backends.azure.outputs import bring_artifacts, bring_back, bring_model
from tidemill.backends.azure.submit import FAILED, StepJobs, Wish
from tidemill.backends.azure.translate import translate
from tidemill.backends.azure.workspace import GONE, AzureWorkspace, Services
from tidemill.backends.executors.threads import TaskThreads
from tidemill.backends.rest import RefusedError
from tidemill.base.errors import FailedError, TidemillError, UsageError
from tidemill.base.ids import JobName
from tidemill.plan.graph import EnvironmentRef
from tidemill.run.abilities import Elsewhere
from tidemill.run.models import ModelSearch
from tidemill.run.ports import EnvironmentProvider, PreparedEnvironment, Say, Task, TaskEnd, TaskWatch, Ticket

API = "2024-04-01"
FIRST_POLL_S, POLL_S = 0.25, 5.0
SLOTS = 16
CANCELING, CANCEL_S = "CancelRequested", 60.0


class AzureExecutor:
    """Runs each task as a job; the name of a job says which attempt of which step it is, so that it is found again."""

    def __init__(self, workspace: AzureWorkspace, home: Path, *, image: str = "", slots: int = SLOTS) -> None:
        self._workspace = workspace
        self._jobs = StepJobs(workspace, home)
        self._handle = f"azureml:{workspace.identity}/jobs/"
        self._image = image
        self._wished_slots = slots
        self._elsewhere: dict[str, bool] = {}
        self._services: Services | None = None
        self._tasks: TaskThreads[threading.Event] = TaskThreads("azureml", threading.Event.set)
        self._preparing = threading.Lock()

    @property
    def slots(self) -> int:
        """How many jobs at once; what there is room for, the compute decides."""
        return self._wished_slots

    def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        """The environment's version in the workspace, made once however many steps ask."""
        with self._preparing:
            return put_environment(self._workspace, environment, self._image, say)

    def look(self, uri: str) -> Elsewhere | None:
        """What is at the URI of one of the workspace's datastores: its jobs read it there."""
        found = look(self._workspace, uri)
        if found is not None:
            self._elsewhere[uri] = found.is_file
        return found

    def send(self, path: Path, uri: str) -> bool:
        """Put an output into one of the workspace's datastores."""
        return send(self._workspace, path, uri)

    def searches(self, task: str) -> bool:
        """Whether the service's AutoML is asked for such a task from here."""
        return task in TASKS

    def submit(self, task: Task, watch: TaskWatch) -> None:
        """Submit the task's job and follow it in a thread of its own."""
        self._tasks.start(task, watch, self._drive)

    def cancel(self, ticket: Ticket) -> None:
        """Have the job canceled; Azure ML asks its processes politely first."""
        self._tasks.cancel(ticket)

    def reap(self, job: JobName, handles: Iterable[str], spare: Collection[str] = ()) -> int:  # noqa: ARG002 - its handles name what it started
        """Cancel jobs of a killed run that nobody will take up again."""
        found = 0
        for handle in (h for h in handles if h.startswith(self._handle)):
            name = handle.removeprefix(self._handle)
            if self._workspace.job_status(name) not in FINAL:
                self._workspace.cancel_job(name)
                found += 1
        return found

    def takes_up(self, handle: str) -> bool:
        """Whether that is a job of this workspace."""
        return handle.startswith(self._handle)

    def close(self) -> None:
        """Cancel everything still running."""
        self._tasks.close()

    def _drive(self, task: Task, watch: TaskWatch) -> TaskEnd:
        """From the upload to the end of the task."""
        try:
            return self._run(task, watch)
        except RefusedError as exc:
            return TaskEnd(None, lost=exc.passing, message=_say(exc))
        except TidemillError as exc:
            return TaskEnd(None, message=_say(exc))
        except OSError as exc:
            return TaskEnd(None, message=f"its files could not be read or written: {exc}")

    def _run(self, task: Task, watch: TaskWatch) -> TaskEnd:
        if task.search is not None:
            return self._search(task, task.search, watch)
        told = translate(task, self._elsewhere)
        if not task.environment.image or task.argv:
            raise FailedError(
                f"Step `{task.step}` cannot run on Azure ML: it runs in Tidemill's own environment",
                hint="Give its compute another executor in tidemill.yaml.",
            )
        listen = _log(task, watch)
        for secret in told.withheld:
            listen(f"tidemill: {_say_withheld(secret)}")
        name = self._begin(task, lambda: self._jobs.command(task, told), watch)
        if not name:
            return TaskEnd(None, canceled=True)
        end = self._await(task, name, watch, lambda _: bring_back(self._workspace, told, name))
        if told.withheld and not end.ok and not end.canceled:
            return replace(end, message=f"{end.message}; it ran without {', '.join(told.withheld)}, see its log")
        return end

    def _search(self, task: Task, search: ModelSearch, watch: TaskWatch) -> TaskEnd:
        """An AutoML document, which the service has a kind of job for."""
        name = self._begin(task, lambda: self._jobs.search(task, search), watch)
        if not name:
            return TaskEnd(None, canceled=True)
        return self._await(task, name, watch, lambda m: bring_model(self._workspace, m, name, search.output))

    def _begin(self, task: Task, wish: Callable[[], Wish], watch: TaskWatch) -> str:
        """The name of the task's job; empty when it was canceled before it was submitted."""
        return self._find_left(task, watch) or self._jobs.find_or_submit(
            task, wish(), lambda: self._tasks.is_canceled(task.ticket), lambda name: watch.started(self._handle + name)
        )

    def _await(self, task: Task, name: str, watch: TaskWatch, fetch: Callable[[JobMetrics], None]) -> TaskEnd:
        """From the submission to the end; `fetch` brings what a job that completed has made."""
        listen = _log(task, watch)
        services = self._services = self._services or self._workspace.services()
        followed = FollowedJob(self._workspace, name, services, listen)
        metrics = JobMetrics(self._workspace.rest, services, name, task.folder)
        status, late = self._follow(task, name, [followed.listen, metrics.fetch])
        if status == GONE:
            return TaskEnd(None, lost=True, message=f"job {name} is not on Azure ML any more")
        details = followed.listen_to_the_end()
        metrics.fetch()
        bring_artifacts(self._workspace, task, name)
        usage = self._measure(name, details)
        if status == "Completed":
            fetch(metrics)
            return TaskEnd(0, usage=usage)
        if late:
            return TaskEnd(None, timed_out=True, usage=usage)
        if status == "Canceled":
            return TaskEnd(None, canceled=True, message="it was canceled on Azure ML", usage=usage)
        failure = read_error(details)
        words = f"Azure ML: {failure.words or status} (job {name})"
        code = 1 if failure.exit_code is None else failure.exit_code
        return TaskEnd(code, lost=failure.lost, message=words, usage=usage)

    def _measure(self, name: str, details: Mapping[str, Any]) -> dict[str, float]:
        """Seconds for which machines were its own, times how many: what Azure has a price for. Waiting in a queue costs nothing."""
        run_s = read_run_s(details)
        if run_s is None:
            return {}
        found = ((self._workspace.get(f"jobs/{name}") or {}).get("properties") or {}).get("resources") or {}
        return {"machine_s": round(run_s * max(1, int(found.get("instanceCount") or 1)), 3)}

    def _find_left(self, task: Task, watch: TaskWatch) -> str:
        """A job that a killed run submitted for the same step, if it runs or completed meanwhile."""
        for handle in (h for h in task.left if self.takes_up(h)):
            name = handle.removeprefix(self._handle)
            if self._workspace.job_status(name) not in {*FAILED, GONE}:
                watch.started(handle)
                return name
        return ""

    def _follow(self, task: Task, name: str, look: Sequence[Callable[[], None]]) -> tuple[str, bool]:
        """Until it has ended: its state, and whether that is since it took longer than it may."""
        wake, clock, pause = threading.Event(), self._workspace.clock, FIRST_POLL_S
        self._tasks.runs_as(task.ticket, wake)
        deadline = asked_at = float("inf")
        late = False
        while (status := self._workspace.job_status(name)) not in FINAL:
            if status in SPEAKING:
                deadline = min(deadline, clock.monotonic() + (task.timeout_s or float("inf")))
                for each in look:
                    each()
            late = late or clock.monotonic() > deadline
            if asked_at == float("inf") and (late or self._tasks.is_canceled(task.ticket)):
                self._workspace.cancel_job(name)
                asked_at = clock.monotonic()
            if status == CANCELING and clock.monotonic() > asked_at + CANCEL_S:
                return "Canceled", late  # it was taken note of; a machine that is being set up ends only after that
            wake.wait(pause)
            wake.clear()
            pause = min(POLL_S, pause * 1.3)
        return status, late and status == "Canceled"


def _log(task: Task, watch: TaskWatch) -> Callable[[str], None]:
    """Writes what a task says into its log here, secrets masked, and tells it."""

    def take(line: str) -> None:
        for secret in task.secrets:
            line = line.replace(secret, "***")
        with task.log.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{line}\n")
        if watch.wrote:
            watch.wrote(line)

    return take


def _say_withheld(name: str) -> str:
    """Everybody in the workspace may read a job's definition, so that secrets have no place there."""
    key = name.replace("_", "-")
    return (
        f"{name} holds a secret and is not sent to Azure ML, where a job's definition can be read by everybody in the workspace. "
        f"Keep it in the workspace's key vault (az keyvault secret set --vault-name VAULT --name {key} --value …), and read it in the "
        f'step: SecretClient("https://VAULT.vault.azure.net", DefaultAzureCredential()).get_secret("{key}").value'
    )


def _say(exc: TidemillError) -> str:
    return f"{str(exc).rstrip('.')}. {exc.hint}" if exc.hint else str(exc)


def open_executor(settings: Any, home: Path, environments: EnvironmentProvider) -> AzureExecutor:  # noqa: ANN401 - a compute's mapping
    """The executor of a workspace; `subscription`, `resource_group` and `workspace` from the project or the environment."""
    del environments  # Azure ML makes the environments itself
    names = {
        "subscription": settings.subscription or os.environ.get("AZURE_SUBSCRIPTION_ID"),
        "resource_group": settings.resource_group or os.environ.get("AZURE_RESOURCE_GROUP"),
        "workspace": settings.workspace or os.environ.get("AZUREML_WORKSPACE_NAME"),
    }
    missing = [name for name, value in names.items() if not value]
    if missing:
        raise UsageError(
            f"Executor `azureml` needs {', '.join(missing)}",
            hint="compute: {NAME: {executor: azureml, subscription: …, resource_group: …, workspace: …}} in tidemill.yaml, "
            "or AZURE_SUBSCRIPTION_ID, AZURE_RESOURCE_GROUP and AZUREML_WORKSPACE_NAME.",
        )
    subscription, group, name = (str(v) for v in names.values())
    workspace = AzureWorkspace(subscription, group, name, api=API)
    return AzureExecutor(workspace, home, image=settings.image or "", slots=settings.slots or SLOTS)
