"""Managed online endpoints against a server that keeps what it is told, as Azure Resource Manager does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.backends.fake_rest import Asked, Fake, Patience, Reply, served
from tidemill.backends.targets.azureml import AzureEndpoints
from tidemill.base.errors import BackendError, FailedError
from tidemill.release.remote import AzureDeployment

IMAGE = "me.azurecr.io/digits@sha256:" + "c" * 64
ROOT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


class Workspace:
    """What Azure remembers; a deployment is an operation that goes on for a moment."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {"": {"location": "westeurope"}}
        self.url = ""
        self.fails = ""
        self.polls = 0

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path.partition("?")[0]
        if path == "/score":
            key = asked.headers["authorization"] == "Bearer k1"
            name = asked.headers.get("azureml-model-deployment", "?")
            return (200, {}, [name]) if key else (401, {}, {})
        if path == "/operation":
            self.polls += 1
            done = {"status": "Failed", "error": {"message": self.fails}} if self.fails else {"status": "Succeeded"}
            return (200, {"retry-after": "3"}, {"status": "InProgress"} if self.polls % 2 else done)
        name = path.removeprefix(ROOT).strip("/")
        return getattr(self, f"on_{asked.method.lower()}")(name, asked)  # type: ignore[no-any-return]

    def on_get(self, name: str, _: Asked) -> Reply:
        if name.endswith("/deployments"):
            return (
                200,
                {},
                {
                    "value": [
                        v | {"name": k.rpartition("/")[2]} for k, v in self.kept.items() if k.startswith(f"{name}/")
                    ]
                },
            )
        return (200, {}, self.kept[name]) if name in self.kept else (404, {}, {"error": {"message": "not there"}})

    def on_put(self, name: str, asked: Asked) -> Reply:
        body = asked.json()
        body["properties"] |= {"provisioningState": "Succeeded", "scoringUri": f"{self.url}/score"}
        self.kept[name] = body
        slow = "/deployments/" in name
        return 201, {"azure-asyncoperation": f"{self.url}/operation"} if slow else {}, body

    def on_post(self, name: str, _: Asked) -> Reply:
        if name.endswith("/listKeys"):
            return 200, {}, {"primaryKey": "k1"}
        return 200, {}, {"content": "ModuleNotFoundError: yaml"}

    def on_delete(self, name: str, _: Asked) -> Reply:
        return (200 if self.kept.pop(name, None) else 404), {}, {}


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture
def fake(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with served(workspace) as found:
        workspace.url = found.url
        monkeypatch.setenv("TIDEMILL_AZURE_MANAGEMENT", found.url)
        monkeypatch.setenv("TIDEMILL_AZURE_TOKEN", "t0ken")
        yield found


def wish(name: str = "blue-1") -> AzureDeployment:
    return AzureDeployment("digits", name, IMAGE, "digits", "Standard_DS2_v2", 2, {"A": "1"}, {"d": "x"})


def test_a_version_is_created_asked_by_name_and_given_the_traffic(fake: Fake, workspace: Workspace) -> None:
    target = AzureEndpoints("s", "g", "w", Patience())
    assert target.traffic("digits") == {}
    target.deploy(wish(), timeout_s=60)
    assert target.score("digits", "blue-1", b"[1]") == (200, b'["blue-1"]')
    target.set_traffic("digits", {"blue-1": 100}, timeout_s=60)
    assert target.traffic("digits") == {"blue-1": 100}
    assert target.deployments("digits") == {"blue-1": {"d": "x"}}
    deployment = workspace.kept["onlineEndpoints/digits/deployments/blue-1"]
    assert deployment["sku"]["capacity"] == 2
    environment = deployment["properties"]["environmentId"].removeprefix(f"{ROOT}/")
    assert workspace.kept[environment]["properties"]["image"] == IMAGE
    assert all(a.headers["authorization"] == "Bearer t0ken" for a in fake.asked if a.path != "/score")
    target.delete("digits", "blue-1", timeout_s=60)
    target.delete("digits", "blue-1", timeout_s=60)
    assert target.deployments("digits") == {}


def test_a_deployment_that_does_not_come_up_is_told_with_its_last_words(fake: Fake, workspace: Workspace) -> None:
    del fake
    workspace.fails = "the container ended"
    with pytest.raises(FailedError, match=r"the container ended\nModuleNotFoundError: yaml"):
        AzureEndpoints("s", "g", "w", Patience()).deploy(wish(), timeout_s=60)


def test_busy_services_are_waited_for_as_long_as_they_ask(fake: Fake) -> None:
    fake.faults = [
        (429, {"retry-after": "7"}, {}),
        (503, {"retry-after": "Sat, 21 Nov 2026 00:00:09 GMT"}, {}),
        (502, {}, {}),
    ]
    clock = Patience()
    assert AzureEndpoints("s", "g", "w", clock).traffic("digits") == {}
    assert clock.waited == [7.0, 9.0, 2.0]


def test_a_change_under_way_is_waited_for(fake: Fake) -> None:
    target = AzureEndpoints("s", "g", "w", clock := Patience())
    target.deploy(wish(), timeout_s=60)
    clock.waited.clear()
    original = fake.answer
    refusals = [(409, {}, {"error": {"message": "another operation"}})] * 2

    def busy(asked: Asked) -> Reply:
        return refusals.pop() if asked.method == "PUT" and refusals else original(asked)

    fake.answer = busy
    target.set_traffic("digits", {"blue-1": 100}, timeout_s=60)
    assert clock.waited == [5.0, 5.0]


@pytest.mark.parametrize(
    ("status", "tries", "hint"), [(401, 2, "az login"), (403, 1, "az login"), (400, 1, ""), (500, 6, "")]
)
def test_what_stays_wrong_is_said_in_azures_words(fake: Fake, status: int, tries: int, hint: str) -> None:
    fake.faults = [(status, {}, {"error": {"message": "quota of 4 cores"}})] * tries
    with pytest.raises(BackendError, match=f"HTTP {status}: quota of 4 cores") as raised:
        AzureEndpoints("s", "g", "w", Patience()).traffic("digits")
    assert hint in raised.value.hint
    assert fake.faults == []
