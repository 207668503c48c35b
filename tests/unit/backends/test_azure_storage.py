"""Signatures for blob storage are those that Microsoft's own library makes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from tests.unit.backends.fake_rest import Patience
from tidemill.backends.azure.storage import SIGNED_FOR, container_url, sign

KEY = base64.b64encode(b"the key of an account").decode()


def test_a_signature_is_what_the_library_of_azure_makes_of_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = pytest.importorskip("azure.storage.blob")
    theirs = blob.generate_container_sas(
        "acct",
        "box",
        KEY,
        permission="rcwl",
        expiry=datetime(2026, 11, 21, tzinfo=UTC) + SIGNED_FOR,
        protocol="https,http",
    )
    found = parse_qs(theirs)
    monkeypatch.setattr("tidemill.backends.azure.storage.VERSION", found["sv"][0])
    assert parse_qs(sign("acct", "box", KEY, Patience())) == found


def test_an_account_answers_at_its_own_host_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert container_url("https", "acct", None, "box") == "https://acct.blob.core.windows.net/box"
    assert (
        container_url("https", "acct", "core.chinacloudapi.cn", "box") == "https://acct.blob.core.chinacloudapi.cn/box"
    )
    monkeypatch.setenv("TIDEMILL_AZURE_BLOB", "http://127.0.0.1:10000/")
    assert container_url("https", "acct", None, "box") == "http://127.0.0.1:10000/acct/box"
