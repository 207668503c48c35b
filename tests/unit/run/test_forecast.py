"""What a run would do."""

from __future__ import annotations

from pathlib import Path

from tests.unit.run.conftest import Workspace, command, of, pipeline
from tidemill.plan.explain import plan_as_json, plan_as_text
from tidemill.plan.graph import Plan
from tidemill.run.forecast import forecast


def chain(first: str = "echo a > ${{outputs.o}}/x") -> Plan:
    return pipeline(
        command("one", first, outputs={"o": "uri_folder"}),
        command("two", "cat ${{inputs.i}}/x", inputs={"i": of("one", "o")}),
    )


def test_before_the_first_run_everything_would_run(workspace: Workspace) -> None:
    found = forecast(chain(), workspace.ports)
    assert [(f.cached, f.reason) for f in found.values()] == [
        (False, "it has not run before"), (False, "`one` runs before it")
    ]  # fmt: skip


def test_after_a_run_everything_is_cached(workspace: Workspace) -> None:
    job = workspace.run(chain()).name
    assert {f.reason for f in forecast(chain(), workspace.ports).values()} == {f"unchanged since {job}"}


def test_a_changed_command_says_so(workspace: Workspace) -> None:
    workspace.run(chain())
    found = forecast(chain("echo b > ${{outputs.o}}/x"), workspace.ports)
    assert next(iter(found.values())).reason == "command changed"


def test_forecasting_leaves_no_job_behind(workspace: Workspace) -> None:
    forecast(chain(), workspace.ports)
    assert workspace.store.jobs() == []
    assert not (workspace.home / "jobs").exists()


def test_a_plan_as_text_and_json_tells_the_same(workspace: Workspace) -> None:
    plan = chain()
    outlook = forecast(plan, workspace.ports)
    assert "run     one: it has not run before" in plan_as_text(plan, outlook)
    assert [s["cached"] for s in plan_as_json(plan, outlook)["steps"]] == [False, False]
    assert plan_as_json(plan)["steps"][1]["inputs"] == {"i": "one.o"}
    assert Path(plan_as_json(plan)["source"]).name == "pipeline.yml"
