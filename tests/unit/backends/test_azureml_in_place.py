"""Data in the workspace's datastores is read where it lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.azureml.service import AzureML
from tests.azureml.steps import task
from tidemill.backends.executors.azureml import AzureExecutor
from tidemill.testing.executors import submit

STORE = "azureml://datastores/workspaceblobstore/paths"
LONG = "azureml://subscriptions/s/resourcegroups/G/workspaces/w/datastores/workspaceblobstore/paths"


@pytest.fixture
def lake(azure: AzureML) -> AzureML:
    for name in ("lake/a.txt", "lake/deep/b.txt", "lake2/c.txt"):
        azure.storage.blobs[f"azureml-blobstore-1/{name}"] = name.encode()
    return azure


def test_a_job_is_given_the_address_and_nothing_is_uploaded(
    lake: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    executor, folder, file = make(), f"{STORE}/lake/", f"{STORE}/lake/a.txt"
    kinds = [found.is_file for uri in (folder, file) if (found := executor.look(uri))]
    assert kinds == [False, True]
    env = {"AZURE_ML_INPUT_all": folder, "AZURE_ML_INPUT_one": file}
    one = task(tmp_path / "a", f"cat {file} {folder}/deep/b.txt; ls {folder}", env=env)
    end = submit(executor, one).wait()
    assert end.ok, end.message
    assert one.log.read_text() == "lake/a.txtlake/deep/b.txta.txt\ndeep\n"
    assert not [name for name in lake.storage.blobs if "/tidemill/" in name]


def test_what_is_there_is_told_apart_by_its_blobs(lake: AzureML, make: Callable[[], AzureExecutor]) -> None:
    executor = make()
    before = executor.look(f"{STORE}/lake")
    assert before == executor.look(f"{STORE}/lake")
    lake.storage.blobs["azureml-blobstore-1/lake2/c.txt"] = b"another folder"
    assert before == executor.look(f"{STORE}/lake")
    lake.storage.blobs["azureml-blobstore-1/lake/deep/b.txt"] = b"LAKE/deep/b.txt"
    assert before != executor.look(f"{STORE}/lake")


def test_an_output_is_sent_there_once_and_again_when_somebody_touched_it(
    lake: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    executor, uri, asked = make(), f"{STORE}/out/v1/", []
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "deep" / "x").write_text("seven")
    blob = "azureml-blobstore-1/out/v1/deep/x"
    for _ in range(2):
        assert executor.send(tmp_path / "out", uri)
        asked.append(lake.storage.writes[blob])
    assert asked == [1, 1]
    lake.storage.blobs[blob] = b"touched"
    assert executor.send(tmp_path / "out", uri)
    assert lake.storage.blobs[blob] == b"seven"
    assert executor.send(tmp_path / "out" / "deep" / "x", f"{STORE}/one.txt")
    assert lake.storage.blobs["azureml-blobstore-1/one.txt"] == b"seven"
    assert not executor.send(tmp_path / "out", "azureml://datastores/unknown/paths/out")


@pytest.mark.parametrize(
    "uri",
    [
        f"{STORE}/nothing",
        f"{STORE}/lake/a",
        "azureml://datastores/unknown/paths/lake",
        LONG.replace("/w/", "/another/") + "/lake",
        "azureml://jobs/x/outputs/y",
    ],
)
def test_what_the_workspace_does_not_have_is_left_to_this_machine(
    lake: AzureML, make: Callable[[], AzureExecutor], uri: str
) -> None:
    assert make().look(uri) is None


def test_the_long_form_of_an_address_is_the_same_place(lake: AzureML, make: Callable[[], AzureExecutor]) -> None:
    found = make().look(f"{LONG}/lake/a.txt")
    assert found is not None
    assert found.is_file
