"""Azure's REST interface over such machines: resource manager, run history and blob storage on one port.

It refuses what the real one refuses: no or an old token, no `api-version`, ids of things that are not there, references
to inputs nobody declared, names that are none.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.azureml.automl import run_search
from tests.azureml.automl import wrong_with as wrong_with_search
from tests.azureml.machine import DATASTORES, Job, place_of, run_job
from tests.azureml.storage import ACCOUNT, KEY, Storage
from tests.azureml.tracking import track
from tests.unit.backends.fake_rest import Asked, Reply, served

TOKEN = "t0ken"
ROOT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
FINAL = {"Completed", "Failed", "Canceled"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_REFERENCE = re.compile(r"\$\{\{(inputs|outputs)\.([^}]+)\}\}")


def refusal(status: int, code: str, message: str) -> Reply:
    """As Azure says no."""
    return status, {}, {"error": {"code": code, "message": message}}


@dataclass
class Fault:
    """Answers the first requests whose `METHOD path` the pattern is found in; `late` when they were carried out before."""

    pattern: str
    reply: Reply
    times: int = 1
    late: bool = False


class AzureML:
    """One workspace, and what is to go wrong in it."""

    def __init__(self) -> None:
        self.url = ""
        self.token = TOKEN
        self.hidden: dict[str, str] = {}  # variables that processes get besides the job's
        self.storage = Storage()
        self.kept: dict[str, Any] = {"computes/big": {}}
        self.jobs: dict[str, Job] = {}
        self.faults: list[Fault] = []
        self.threads: list[threading.Thread] = []
        self.lock = threading.RLock()

    def __call__(self, asked: Asked) -> Reply:
        path = urlsplit(asked.path).path
        with self.lock:
            fault = next((f for f in self.faults if f.times and re.search(f.pattern, f"{asked.method} {path}")), None)
            if fault is None:
                return self.answer(asked, path)
            fault.times -= 1
            if fault.late:
                self.answer(asked, path)
            return fault.reply

    def answer(self, asked: Asked, path: str) -> Reply:
        """As Azure does on a good day."""
        if path == "/discovery":
            return 200, {}, {"api": self.url}
        if path.startswith("/blob/"):
            return self.storage(asked)
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return refusal(401, "InvalidAuthenticationToken", "The access token has expired.")
        if path.startswith(f"/history/v1.0{ROOT}/runs/"):
            return self.details(path.split("/")[-2])
        if path.startswith(f"/mlflow/v1.0{ROOT}/"):
            return track(self.jobs, asked)
        return self.manage(asked, path)

    def manage(self, asked: Asked, path: str) -> Reply:
        """What the resource manager answers."""
        if "api-version=20" not in asked.path:
            return refusal(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        if not path.startswith(ROOT):
            return refusal(404, "ResourceNotFound", "The workspace was not found.")
        name = path.removeprefix(ROOT).strip("/")
        if name.startswith("jobs/"):
            return self.on_job(name.split("/")[1], asked)
        return getattr(self, f"on_{asked.method.lower()}")(name, asked)  # type: ignore[no-any-return]

    def on_get(self, name: str, asked: Asked) -> Reply:
        if not name:
            tracking = f"{self.url}/mlflow/v1.0{ROOT}".replace("http:", "azureml:")
            about = {"discoveryUrl": f"{self.url}/discovery", "mlFlowTrackingUri": tracking}
            return 200, {}, {"location": "westeurope", "properties": about}
        kind, _, store = name.partition("/")
        if kind == "datastores" and store in DATASTORES:
            about = {"datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": DATASTORES[store]}
            return 200, {}, {"properties": about | {"protocol": "https", "endpoint": "core.windows.net"}}
        return (200, {}, self.kept[name]) if name in self.kept else refusal(404, "NotFound", f"{name} was not found.")

    def on_put(self, name: str, asked: Asked) -> Reply:
        self.kept[name] = asked.json() | {"id": f"{ROOT}/{name}"}
        return 201, {}, self.kept[name]

    def on_post(self, name: str, asked: Asked) -> Reply:
        if name.endswith("/listSecrets"):
            return 200, {}, {"secretsType": "AccountKey", "key": KEY}
        assert name.endswith("/startPendingUpload"), name
        ticket = secrets.token_hex(8)
        self.storage.tickets.add(ticket)
        place = f"{self.url}/blob/{ACCOUNT}/{name.split('/')[1]}-upload-{ticket[:4]}"
        credential = {"credentialType": "SAS", "sasUri": f"{place}?sv=2021&sr=c&sig={ticket}"}
        return 200, {}, {"blobReferenceForConsumption": {"blobUri": place, "credential": credential}}

    def on_job(self, name: str, asked: Asked) -> Reply:
        job = self.jobs.get(name)
        if asked.method == "PUT" and job is None:
            return self.submit(name, asked.json()["properties"])
        if job is None:
            return refusal(404, "UserError", f"Job {name} was not found.")
        if asked.method == "POST":
            if job.status in FINAL:
                return refusal(400, "UserError", f"Job {name} is in a terminal state.")
            job.status = "CancelRequested"
            job.cancel.set()
            return 202, {"location": f"{self.url}/operation", "retry-after": "1"}, b""
        return 200, {}, {"name": name, "properties": {**job.properties, "status": job.status}}

    def submit(self, name: str, properties: dict[str, Any]) -> Reply:
        """A job, if everything it names is there."""
        wrong = self.wrong_with(name, properties)
        if wrong:
            return refusal(400, "UserError", wrong)
        code = properties.get("codeId", "").removeprefix(f"{ROOT}/")
        where = (
            urlsplit(self.kept[code]["properties"]["codeUri"]).path.removeprefix(f"/blob/{ACCOUNT}/") if code else ""
        )
        job = self.jobs[name] = Job(name, properties, where)
        if properties["jobType"] == "AutoML":
            thread = threading.Thread(target=run_search, args=(job, self.storage))
        else:
            thread = threading.Thread(target=run_job, args=(job, self.storage, self.given(job)))
        self.threads.append(thread)
        thread.start()
        return 201, {}, {"name": name, "properties": {**properties, "status": job.status}}

    def given(self, job: Job) -> dict[str, str]:
        """Variables that Azure gives a job's processes; it has its own scheme for MLflow, which needs a plug-in."""
        tracking = f"{self.url}/mlflow/v1.0{ROOT}"
        ours = {"MLFLOW_TRACKING_URI": tracking, "MLFLOW_TRACKING_TOKEN": TOKEN, "MLFLOW_RUN_ID": job.name}
        return {**ours, **self.hidden}

    def wrong_with(self, name: str, properties: dict[str, Any]) -> str:
        """Why a job is refused."""
        if not _NAME.fullmatch(name):
            return f"{name} cannot name a job"
        searches = properties.get("jobType") == "AutoML"
        if not searches and (properties.get("jobType") != "Command" or not properties.get("command")):
            return "only command and AutoML jobs are taken here"
        for key, needed in (("environmentId", not searches), ("codeId", False), ("computeId", False)):
            value = properties.get(key, "")
            if (needed or value) and value.removeprefix(f"{ROOT}/") not in self.kept:
                return f"{key} names nothing: {value}"
        if searches:
            return wrong_with_search(properties["taskDetails"], self.storage)
        texts = [properties["command"], *properties["environmentVariables"].values()]
        for kind, used in (found for text in texts for found in _REFERENCE.findall(text)):
            if used not in properties[kind]:
                return f"${{{{{kind}.{used}}}}} is used and not declared"
        for declared in (*properties["inputs"].values(), *properties["outputs"].values()):
            place_of(declared["uri"])
        return ""

    def details(self, name: str) -> Reply:
        """What run history knows."""
        job = self.jobs.get(name)
        if job is None:
            return refusal(404, "NotFound", "no such run")
        ticket = secrets.token_hex(8)
        self.storage.tickets.add(ticket)
        with self.storage.lock:
            logs = [n for n in self.storage.blobs if n.startswith(f"{job.log}/")]
        files = {f"user_logs/{n.rpartition('/')[2]}": f"{self.url}/blob/{ACCOUNT}/{n}?sig={ticket}" for n in logs}
        files["system_logs/lifecycler/lifecycler.log"] = f"{self.url}/blob/{ACCOUNT}/nothing?sig={ticket}"
        return (
            200,
            {},
            {"runId": name, "status": job.status, "logFiles": files}
            | {k: t.isoformat() for k, t in (("startTimeUtc", job.started), ("endTimeUtc", job.ended)) if t}
            | ({"error": {"error": job.error}} if job.error else {}),
        )

    def environment(self) -> dict[str, str]:
        """What makes Tidemill speak to it."""
        return {
            "TIDEMILL_AZURE_MANAGEMENT": self.url,
            "TIDEMILL_AZURE_BLOB": f"{self.url}/blob",
            "TIDEMILL_AZURE_TOKEN": TOKEN,
            "AZURE_SUBSCRIPTION_ID": "s",
            "AZURE_RESOURCE_GROUP": "g",
            "AZUREML_WORKSPACE_NAME": "w",
        }

    def end(self) -> None:
        """End what still runs."""
        for job in self.jobs.values():
            job.cancel.set()
        for thread in self.threads:
            thread.join()


@contextmanager
def azure_ml() -> Iterator[AzureML]:
    """A workspace on a free port of loopback."""
    azure = AzureML()
    with served(azure) as fake:
        azure.url = fake.url
        try:
            yield azure
        finally:
            azure.end()


def main() -> None:
    """Serve until interrupted; what to export comes first. Its computes are `big` and what the arguments name."""
    with azure_ml() as azure:
        azure.kept |= {f"computes/{name}": {} for name in sys.argv[1:]}
        for name, value in azure.environment().items():
            sys.stdout.write(f"export {name}={json.dumps(value)}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
