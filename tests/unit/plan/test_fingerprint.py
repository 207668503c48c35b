"""Keys of steps and the words for what changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tidemill.base.hashing import TreeEntry
from tidemill.base.ids import StepName
from tidemill.plan.fingerprint import explain_change, make_key, make_parts
from tidemill.plan.graph import DataInput, DataRef, Distribution, Literal, OutputSpec, Resources, Step
from tidemill.spec.expression import parse_template

STEP = Step(
    StepName("train"),
    command=parse_template("python train.py ${{inputs.epochs}}"),
    inputs={"epochs": Literal("5", 5), "data": DataInput(DataRef("/d", "uri_folder"))},
    outputs={"model": OutputSpec()},
)


def parts(step: Step = STEP, *, code: str = "c", data: str = "d", environment: str = "e") -> dict[str, str]:
    return make_parts(step, code=code, environment=environment, data={"data": data})


def test_the_key_is_the_same_for_the_same_and_other_for_anything_that_matters() -> None:
    assert make_key(parts()) == make_key(parts())
    others = [parts(code="x"), parts(data="x"), parts(environment="x")]
    assert len({make_key(p) for p in [parts(), *others]}) == 4


def test_where_and_how_long_a_step_runs_decide_nothing() -> None:
    moved = Step(
        STEP.name, command=STEP.command, inputs=STEP.inputs, outputs=STEP.outputs, compute="gpu", timeout_s=5.0
    )
    assert make_key(parts(moved)) == make_key(parts())


def test_run_settings_decide() -> None:
    two = Step(
        STEP.name, command=STEP.command, inputs=STEP.inputs, outputs=STEP.outputs, resources=Resources(instance_count=2)
    )
    assert explain_change(parts(), parts(two), lambda _: None) == "instance_count: 1 → 2"
    torch = replace(STEP, distribution=Distribution("pytorch", 2))
    said = explain_change(parts(), parts(torch), lambda _: None)
    assert "distribution.type: (none) → pytorch" in said


def test_of_a_step_of_another_kind_the_setting_is_named_and_its_value_not_told() -> None:
    before = replace(STEP, body={"limits": {"max_total_trials": 2}, "task": {"environment_variables": {"A": "secret"}}})
    after = replace(before, body={**before.body, "limits": {"max_total_trials": 3}, "objective": {"goal": "maximize"}})
    said = explain_change(parts(before), parts(after), lambda _: None)
    assert said == "setting `limits` changed; setting `objective` added"
    assert "secret" not in str(parts(before))


def test_a_first_run_says_so() -> None:
    assert explain_change(None, parts(), lambda _: None) == "it has not run before"


def test_a_parameter_is_shown_before_and_after() -> None:
    more = Step(
        STEP.name, command=STEP.command, inputs={**STEP.inputs, "epochs": Literal("3", 3)}, outputs=STEP.outputs
    )
    assert explain_change(parts(), parts(more), lambda _: None) == "parameter epochs: 5 → 3"


def test_files_added_are_counted() -> None:
    trees = {"old": [TreeEntry("a", "1", 1)], "new": [TreeEntry(n, "1", 1) for n in "abcd"]}
    assert (
        explain_change(parts(data="old"), parts(data="new"), trees.get) == "input data changed: 3 files added (`data`)"
    )


def test_changed_code_is_named() -> None:
    trees = {"old": [TreeEntry("train.py", "1", 1)], "new": [TreeEntry("train.py", "2", 1)]}
    assert explain_change(parts(code="old"), parts(code="new"), trees.get) == "code changed: train.py"


def test_the_same_parts_without_a_result_say_that() -> None:
    assert explain_change(parts(), parts(), lambda _: None) == "its outputs are no longer kept"


def test_a_variables_value_is_not_told() -> None:
    secret = Step(STEP.name, inputs=STEP.inputs, environment_variables={"TOKEN": "hunter2"})
    assert "hunter2" not in str(parts(secret))
    assert Path("/d").name == "d"


def test_what_changed_in_an_environment_is_said_where_it_is_known() -> None:
    said = explain_change(parts(), parts(environment="f"), lambda _: None, {"e": "six (gone)"}.__getitem__)
    assert said == "environment changed: six (gone)"
    assert explain_change(parts(), parts(environment="f"), lambda _: None) == "environment changed"
