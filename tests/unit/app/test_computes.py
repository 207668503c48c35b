"""Computes follow the clock: schedules, idle shutdown, and what a person does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidemill.app.computes import find_compute, list_nodes, restart, set_state
from tidemill.app.declared import create, list_all
from tidemill.app.settings import Settings
from tidemill.app.wiring import App, open_app
from tidemill.base.clock import SystemClock
from tidemill.base.errors import UsageError
from tidemill.cli.main import run_command_line

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
INSTANCE = """\
$schema: https://azuremlschemas.azureedge.net/latest/computeInstance.schema.json
name: box
type: computeinstance
"""
NIGHTS = """\
schedules:
  compute_start_stop:
    - action: stop
      trigger: {type: cron, expression: "0 18 * * *"}
    - action: start
      trigger: {type: recurrence, frequency: day, interval: 1, schedule: {hours: [7], minutes: [0]}}
    - action: stop
      state: disabled
      trigger: {type: cron, expression: "* * * * *"}
"""


class Watch:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = START
        monkeypatch.setattr(SystemClock, "now", lambda _: self.time)

    def set(self, *, day: int = 20, hour: int, minute: int = 0) -> None:
        self.time = datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as found:
        yield found


def make(app: App, text: str) -> dict[str, object]:
    file = app.settings.root / "box.yml"
    file.write_text(INSTANCE + text)
    return create(app, "compute", file, (), None, {})[0]


def said(app: App) -> tuple[str, str, str]:
    row = find_compute(app, "box")
    operation = row["last_operation"]
    return row["state"], operation["operation_trigger"], operation["operation_time"][:16]


def test_schedules_stop_and_start_an_instance_though_nobody_looked(app: App, watch: Watch) -> None:
    made = make(app, NIGHTS)
    assert made["next_stop"] == {"at": "2026-11-20T18:00:00.000000Z", "because_of": "Schedule"}
    watch.set(hour=18, minute=1)
    assert said(app) == ("Stopped", "Schedule", "2026-11-20T18:00")
    assert find_compute(app, "box")["next_start"]["at"].startswith("2026-11-21T07:00")
    assert list_nodes(app, "box") == []
    watch.set(day=25, hour=9)
    assert said(app) == ("Running", "Schedule", "2026-11-25T07:00")
    assert [c["state"] for c in list_all(app, "compute")] == ["Running"]
    assert len(list_nodes(app, "box")) == 1


def test_what_a_person_does_holds_until_the_next_moment_of_the_schedule(app: App, watch: Watch) -> None:
    make(app, NIGHTS)
    watch.set(hour=20)
    assert set_state(app, "box", "Running")
    assert said(app)[:2] == ("Running", "User")
    assert not set_state(app, "box", "Running")
    watch.set(day=21, hour=17)
    assert said(app)[0] == "Running"
    watch.set(day=21, hour=18)
    assert said(app) == ("Stopped", "Schedule", "2026-11-21T18:00")


@pytest.mark.parametrize("idle", ["idle_time_before_shutdown_minutes: 30", "idle_time_before_shutdown: PT30M"])
def test_an_idle_instance_stops(app: App, watch: Watch, idle: str) -> None:
    made = make(app, idle + "\n")
    assert made["next_stop"] == {"at": "2026-11-20T08:30:00.000000Z", "because_of": "IdleShutdown"}
    watch.set(hour=8, minute=20)
    restart(app, "box")
    watch.set(hour=8, minute=45)
    assert said(app)[0] == "Running"
    watch.set(hour=9)
    assert said(app) == ("Stopped", "IdleShutdown", "2026-11-20T08:50")
    with pytest.raises(UsageError, match="is Stopped"):
        restart(app, "box")


def test_a_job_on_it_keeps_it_up_and_one_elsewhere_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "box.yml").write_text(INSTANCE + "idle_time_before_shutdown_minutes: 30\n")
    (tmp_path / "job.yml").write_text(
        "type: command\ncommand: sleep 0.2\nenvironment: {image: busybox}\ncompute: azureml:box\n"
    )
    assert run_command_line(["compute", "create", "-f", "box.yml"]) == 0

    def next_stop() -> datetime:
        capsys.readouterr()
        assert run_command_line(["compute", "show", "-n", "box"]) == 0
        return datetime.fromisoformat(json.loads(capsys.readouterr().out)["next_stop"]["at"])

    at_first = next_stop()
    assert run_command_line(["job", "create", "-f", "job.yml", "--set", "compute=azureml:other"]) == 0
    assert next_stop() == at_first
    assert run_command_line(["job", "create", "-f", "job.yml"]) == 0
    assert next_stop() > at_first + timedelta(milliseconds=200)


def test_a_cluster_only_keeps_what_it_is_told(app: App, watch: Watch) -> None:
    file = app.settings.root / "c.yml"
    file.write_text(
        "name: many\ntype: amlcompute\nmin_instances: 0\nmax_instances: 2\nidle_time_before_scale_down: 120\n"
    )
    create(app, "compute", file, (), None, {})
    watch.set(day=29, hour=1)
    assert find_compute(app, "many")["state"] == "Running"
    assert "next_stop" not in find_compute(app, "many")
