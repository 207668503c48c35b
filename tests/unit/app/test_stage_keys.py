"""`online-endpoint get-credentials` for an endpoint of a stage on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.app.fake_cluster import FakeCluster
from tidemill.app.settings import Settings
from tidemill.app.stage_keys import endpoint_keys
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import NotFoundError, UsageError

PROJECT = """
name: digits
stages:
  staging: {target: kubernetes, namespace: one, registry: r}
  production: {target: kubernetes, namespace: two, registry: r}
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    cluster = FakeCluster()
    monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": cluster)
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as opened:
        yield opened


def test_a_stage_names_whose_keys_are_meant(app: App) -> None:
    assert endpoint_keys(app, "digits", "production") == {"primaryKey": "first", "secondaryKey": "second"}
    renewed = endpoint_keys(app, "digits", "production", renew="turn")
    assert renewed == {"primaryKey": "new", "secondaryKey": "first"}


def test_several_stages_and_unknown_names_are_asked_about(app: App) -> None:
    with pytest.raises(UsageError, match="staging, production"):
        endpoint_keys(app, "digits", None)
    with pytest.raises(UsageError, match="No stage `prod`"):
        endpoint_keys(app, "digits", "prod")
    with pytest.raises(NotFoundError):
        endpoint_keys(app, "letters", None)
