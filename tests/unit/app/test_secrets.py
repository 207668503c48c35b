"""What is masked in the logs of steps."""

from __future__ import annotations

import pytest

from tidemill.app.run import find_secrets


def test_secrets_of_the_environment_and_the_stores_password_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "hush-hush")
    monkeypatch.setenv("TIDEMILL_STORE", "postgresql://me:p%40ssword@db/tidemill")
    assert {"hush-hush", "p@ssword", "p%40ssword"} <= set(find_secrets())
