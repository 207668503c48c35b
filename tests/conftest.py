"""In CI every real component is there, so a marked test that skips is a failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# how long one example takes says how busy the machine is; .ci/run draws more of them
settings.register_profile(
    "tidemill",
    deadline=None,
    max_examples=int(os.environ.get("TIDEMILL_DRAWN", "60")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tidemill")


def pytest_configure(config: pytest.Config) -> None:
    """MLflow's store warns of itself where it is first imported: which test that is, is chance."""
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any]:
    """Turn a skip of a `needs_…` test into a failure where CI started the component."""
    del call
    outcome = yield
    report = outcome.get_result()
    needs = [m.name for m in item.iter_markers() if m.name.startswith("needs_")]
    if report.skipped and needs and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{', '.join(needs)}: skipped in CI, where the component must be: {report.longrepr}"


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    """What a test changes of this process, as a server changes its own, is put back for the next one."""
    environ, path, modules, folder = dict(os.environ), list(sys.path), set(sys.modules), Path.cwd()
    yield
    for name in {*environ, *os.environ} - {"PYTEST_CURRENT_TEST"}:
        if name not in environ:
            del os.environ[name]
        elif os.environ.get(name) != environ[name]:
            os.environ[name] = environ[name]
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if "/pytest-of-" in str(getattr(sys.modules[name], "__file__", "")):  # what another test's folder held
            del sys.modules[name]
    os.chdir(folder)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the state or the tracking server of the person who runs it."""
    for name in ("TIDEMILL_HOME", "TIDEMILL_STORE", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
