"""Who speaks to Azure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tidemill.backends.azure import login
from tidemill.backends.azure.login import MANAGEMENT_SCOPE, STORAGE_SCOPE, find_token
from tidemill.base.errors import BackendError, UsageError


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TIDEMILL_AZURE_TOKEN", raising=False)
    login._credential.cache_clear()
    yield
    login._credential.cache_clear()


def test_a_token_that_is_given_is_for_the_management_interface_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = pytest.importorskip("azure.identity")
    monkeypatch.setenv("TIDEMILL_AZURE_TOKEN", "given")
    found = SimpleNamespace(get_token=lambda scope: SimpleNamespace(token=f"found for {scope}"))
    monkeypatch.setattr(identity, "DefaultAzureCredential", lambda: found)
    assert find_token(MANAGEMENT_SCOPE) == "given"
    assert find_token(STORAGE_SCOPE) == "found for https://storage.azure.com/.default"


def test_nobody_logged_in_is_said_without_the_sdks_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = pytest.importorskip("azure.identity")

    def refuse(scope: str) -> None:
        raise identity.CredentialUnavailableError("DefaultAzureCredential failed to retrieve a token …")

    monkeypatch.setattr(identity, "DefaultAzureCredential", lambda: SimpleNamespace(get_token=refuse))
    with pytest.raises(BackendError, match="Nobody is logged in to Azure") as raised:
        find_token()
    assert "az login" in raised.value.hint


def test_without_the_extra_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(UsageError, match="needs a login") as raised:
        find_token()
    assert "tidemill[azure]" in raised.value.hint
