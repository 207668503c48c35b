"""One job of the workspace for each attempt of a step, under a name that a later process finds again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tidemill.backends.azure.automl import as_table, task_details
from tidemill.backends.azure.blobs import files_below
from tidemill.backends.azure.layout import beside
from tidemill.backends.azure.storage import open_datastore
from tidemill.backends.azure.translate import STORE, Translated, job_body, search_body
from tidemill.backends.azure.uploads import digest_of, upload_code, upload_folder
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.backends.rest import RefusedError
from tidemill.base.errors import FailedError
from tidemill.base.files import locked, write_atomic
from tidemill.base.hashing import digest_value
from tidemill.base.ids import JobName
from tidemill.run.folders import job_folder
from tidemill.run.models import ModelSearch
from tidemill.run.ports import Task

CONTENT = "tidemill-content"
FAILED = frozenset({"Failed", "Canceled", "CancelRequested"})
COMPLETED = "Completed"
NAMES_NOTHING = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
SERVERLESS = frozenset({"", "local", "serverless"})
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Wish:
    """A job to be: a digest of all that decides what it does, and its body by its name."""

    content: str
    body: Callable[[str], Mapping[str, Any]]


class StepJobs:
    """The jobs of steps. Whoever submits the same attempt of the same step again gets the job that is there."""

    def __init__(self, workspace: AzureWorkspace, home: Path) -> None:
        self._workspace = workspace
        self._home = home

    def find_or_submit(
        self, task: Task, wish: Wish, is_canceled: Callable[[], bool], begin: Callable[[str], None]
    ) -> str:
        """The name of the job that does what is wished for `task`; empty when it was canceled before it was submitted.

        One that runs, or completed while nobody looked, is taken up. One that failed stays as it is, and the next gets
        a number; one that does something else by now (the code was changed) is canceled first. `begin` is told the
        name before there is such a job, so that nothing runs of which nobody knows.
        """
        for name in _numbered(self._name(task)):
            if is_canceled():
                return ""
            found = self._workspace.get(f"jobs/{name}")
            if found is None:
                begin(name)
                self._submit(name, wish.body(name))
                return name
            properties = found["properties"]
            same = (properties.get("tags") or {}).get(CONTENT) == wish.content
            if same and properties.get("status") not in FAILED:
                begin(name)
                return name
            if properties.get("status") not in FAILED | {COMPLETED}:
                self._workspace.cancel_job(name)
        return ""

    def command(self, task: Task, told: Translated) -> Wish:
        """A command job; everything it reads is uploaded."""
        about, content = self._upload(task, told)
        return Wish(content, lambda name: job_body(task, told, {**about, "job": name}, {CONTENT: content}))

    def search(self, task: Task, search: ModelSearch) -> Wish:
        """An AutoML job; its tables are uploaded."""
        store = open_datastore(self._workspace, STORE)
        tables = {name: as_table(task, name, path) for name, path in search.data.items()}
        uris = {name: upload_folder(self._workspace, path, store)[1] for name, path in tables.items()}
        details, compute = task_details(search.body, uris), self._compute(task.compute)
        content = digest_value([details, compute, task.resources.instance_type])
        return Wish(content, lambda _: search_body(task, details, compute, {CONTENT: content}))

    def _submit(self, name: str, body: Mapping[str, Any]) -> None:
        """A second time changes nothing, so that a request whose answer was lost may be repeated."""
        try:
            self._workspace.rest.call("PUT", self._workspace.url(f"jobs/{name}"), body, accept=(HTTPStatus.CONFLICT,))
        except RefusedError as exc:
            compute = str(body.get("properties", {}).get("computeId") or "").rpartition("/")[2]
            if exc.status in NAMES_NOTHING and compute and self._workspace.get(f"computes/{compute}") is None:
                raise FailedError(
                    f"The workspace has no compute `{compute}`",
                    hint=f"`az ml compute create --name {compute} …`, or name one it has (`az ml compute list`) in the job.",
                ) from exc
            raise

    def _upload(self, task: Task, told: Translated) -> tuple[dict[str, Any], str]:
        """Everything the job reads, where it is; and a digest of all that decides what the job does."""
        code = _code(task) + (beside(task) if told.programs else [])
        store = open_datastore(self._workspace, STORE)
        about: dict[str, Any] = {
            "code": upload_code(self._workspace, code),
            "environment": task.environment.image,
            "compute": self._compute(task.compute),
            "inputs": {n: upload_folder(self._workspace, p, store)[1] for n, p in told.inputs.items()},
        }
        return about, digest_value(
            [told.command, sorted(told.variables.items()), digest_of(code), about, told.elsewhere]
        )

    def _compute(self, compute: str | None) -> str:
        """The id of the compute a document names; without one Azure ML finds a machine itself (serverless)."""
        name = (compute or "").removeprefix("azureml:").partition("@")[0]
        return "" if name in SERVERLESS else f"{self._workspace.identity}/computes/{name}"

    def _name(self, task: Task) -> str:
        """The same for the same step of the same job of this workspace here, and for no other's."""
        readable = _NOT_A_NAME.sub("_", f"{task.job}_{task.step}")[:180].strip("_-")
        return f"{readable or 'step'}_{digest_value([self._token(task.job), task.step])[:10]}"

    def _token(self, job: JobName) -> str:
        """What tells our job from one of that name in another folder or on another machine; it goes with the job's folder."""
        path = self._token_file(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(".azureml.lock")):
            if not path.exists():
                write_atomic(path, secrets.token_hex(8))
            return path.read_text(encoding="utf-8")

    def _token_file(self, job: JobName) -> Path:
        return job_folder(self._home, job).root / ".azureml"


def _code(task: Task) -> list[tuple[str, Path]]:
    """The working folder, but for `logs` where that is a link to what the step says here."""
    logs = task.cwd / "logs"
    return [(n, p) for n, p in files_below(task.cwd) if not (logs.is_symlink() and logs in p.parents)]


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
