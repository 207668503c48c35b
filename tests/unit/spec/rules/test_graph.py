from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.check import check_loaded
from tidemill.spec.load import load
from tidemill.spec.repository import scan

FIT = """name: fit
version: 1
type: command
inputs:
  data: {type: uri_folder}
  rate: {type: number, min: 0, max: 1}
  epochs: {type: integer, default: 3}
  mode: {type: string, enum: [fast, slow], default: fast}
  extra: {type: uri_file, optional: true}
outputs:
  model: {type: uri_folder}
command: fit ${{inputs.data}} ${{inputs.rate}} ${{inputs.epochs}} ${{inputs.mode}} $[[${{inputs.extra}}]] ${{outputs.model}}
environment: azureml:e@latest
"""
HEAD = "type: pipeline\ninputs:\n  data: {type: uri_folder, path: azureml:d:1}\n  rate: 0.5\noutputs:\n  model: {type: uri_folder}\njobs:\n"
GOOD = """  a:
    type: command
    component: ./fit.yml
    inputs:
      data: ${{parent.inputs.data}}
      rate: ${{parent.inputs.rate}}
    outputs:
      model: ${{parent.outputs.model}}
"""


def said(root: Path, text: str) -> list[tuple[str, str]]:
    """Codes and dotted paths of a pipeline beside `fit.yml`."""
    (root / "fit.yml").write_text(FIT)
    (root / "p.yml").write_text(text)
    return [(f.code, f.path) for f in check_loaded(load(root / "p.yml"), lambda: scan(root))]


def test_a_pipeline_that_fits_its_component_has_no_findings(tmp_path: Path) -> None:
    assert said(tmp_path, HEAD + GOOD) == []


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        ("      rate: ${{parent.inputs.rate}}\n", "", ("TM-B101", "jobs.a")),
        ("rate: ${{parent.inputs.rate}}", "rate: 0.1\n      rat: 1", ("TM-B102", "jobs.a.inputs.rat")),
        ("model: ${{parent.outputs.model}}", "modle: ${{parent.outputs.model}}", ("TM-B103", "jobs.a.outputs.modle")),
        ("${{parent.inputs.data}}", "${{parent.inputs.dta}}", ("TM-B104", "jobs.a.inputs.data")),
        ("${{parent.inputs.data}}", "${{parent.jobs.b.outputs.model}}", ("TM-B104", "jobs.a.inputs.data")),
        ("${{parent.outputs.model}}", "${{parent.outputs.mdel}}", ("TM-B104", "jobs.a.outputs.model")),
        ("${{parent.inputs.data}}", "${{parent.nothing}}", ("TM-B104", "jobs.a.inputs.data")),
        ("${{parent.inputs.data}}", "${{inputs.data}}", ("TM-B110", "jobs.a.inputs.data")),
        ("${{parent.inputs.data}}", "${{parent inputs data}}", ("TM-B111", "jobs.a.inputs.data")),
        ("${{parent.inputs.data}}", "${{parent.jobs.a.outputs.model}}", ("TM-B107", "jobs.a")),
        ("${{parent.inputs.data}}", "3", ("TM-B105", "jobs.a.inputs.data")),
        ("${{parent.inputs.rate}}", "fast", ("TM-B105", "jobs.a.inputs.rate")),
        ("${{parent.inputs.rate}}", "1.5", ("TM-B106", "jobs.a.inputs.rate")),
        ("rate: ${{parent.inputs.rate}}", "rate: 0.1\n      epochs: 2.5", ("TM-B105", "jobs.a.inputs.epochs")),
        ("rate: ${{parent.inputs.rate}}", "rate: 0.1\n      epochs: yes", ("TM-B105", "jobs.a.inputs.epochs")),
        ("rate: ${{parent.inputs.rate}}", "rate: 0.1\n      mode: medium", ("TM-B106", "jobs.a.inputs.mode")),
        ("  rate: 0.5", "  rate: 5", ("TM-B106", "inputs.rate")),
        ("./fit.yml", "./components/fit.yml", ("TM-R101", "jobs.a.component")),
        ("./fit.yml", "./p.yml", ("TM-R103", "jobs.a.component")),
        ("  a:\n", "  a-b:\n", ("TM-D201", "jobs.a-b")),
        ("    component: ./fit.yml\n", "", ("TM-D102", "jobs.a")),
    ],
)
def test_each_mistake_is_one_finding_at_its_place(
    tmp_path: Path, before: str, after: str, finding: tuple[str, str]
) -> None:
    text = HEAD + GOOD
    assert before in text
    assert said(tmp_path, text.replace(before, after)) == [finding]


@pytest.mark.parametrize("rate", ["1e-1", "0", "'0.25'", "1"])
def test_numbers_may_be_written_in_any_way_yaml_and_azure_read(tmp_path: Path, rate: str) -> None:
    assert said(tmp_path, (HEAD + GOOD).replace("${{parent.inputs.rate}}", rate)) == []


@pytest.mark.parametrize(
    "data",
    [
        "azureml:d@latest",
        "https://example.org/x",
        "{type: uri_file, path: azureml:d:1}",
        "{path: '${{parent.inputs.data}}', mode: download}",
    ],
)
def test_data_arrives_in_any_form(tmp_path: Path, data: str) -> None:
    assert said(tmp_path, (HEAD + GOOD).replace("${{parent.inputs.data}}", data)) == []


def test_a_circle_of_steps_is_named_in_order(tmp_path: Path) -> None:
    steps = "".join(
        f"  {name}: {{component: ./fit.yml, inputs: {{rate: 0.1, data: '${{{{parent.jobs.{source}.outputs.model}}}}'}}}}\n"
        for name, source in (("a", "c"), ("b", "a"), ("c", "b"))
    )
    (tmp_path / "fit.yml").write_text(FIT)
    (tmp_path / "p.yml").write_text(HEAD + steps)
    (finding,) = check_loaded(load(tmp_path / "p.yml"), lambda: scan(tmp_path))
    assert finding.code == "TM-B107"
    assert "a → c → b → a" in finding.message


def test_a_near_file_is_suggested_for_a_component_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "components/fit.yml").write_text(FIT)
    path = tmp_path / "pipelines/p.yml"
    path.write_text((HEAD + GOOD).replace("./fit.yml", "./components/fit.yml"))
    (finding,) = check_loaded(load(path), lambda: scan(tmp_path))
    assert "`../components/fit.yml`" in finding.hint


def test_an_invalid_component_is_named_at_the_step(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(FIT.replace("command: fit", "comand: fit"))
    assert said(tmp_path, (HEAD + GOOD).replace("./fit.yml", "./bad.yml")) == [("TM-R102", "jobs.a.component")]


INLINE = """  a:
    type: command
    command: fit ${{inputs.d}} $[[${{inputs.e}}]] ${{outputs.o}}
    environment: azureml:e@latest
    inputs: {d: "${{parent.inputs.data}}"}
    outputs: {o: }
"""


def test_an_inline_command_may_use_what_the_step_gives(tmp_path: Path) -> None:
    assert said(tmp_path, HEAD + INLINE.replace(" $[[${{inputs.e}}]]", "")) == []
    assert said(tmp_path, HEAD + INLINE.replace("inputs.d}} $[[${{inputs.e}}]]", "inputs.dd}}")) == [
        ("TM-B108", "jobs.a.command")
    ]
    assert said(tmp_path, HEAD + INLINE.replace("inputs.d}} $[[${{inputs.e}}]]", "parent.inputs.d}}")) == [
        ("TM-B110", "jobs.a.command")
    ]


def test_a_pipeline_written_out_in_a_step_is_checked_too(tmp_path: Path) -> None:
    inner = "".join(
        f"        {line}\n" for line in GOOD.replace("parent.inputs.rate", "parent.inputs.rte").splitlines()
    )
    text = HEAD + (
        "  outer:\n    type: pipeline\n    inputs: {data: '${{parent.inputs.data}}', rate: 0.5}\n"
        "    component:\n      type: pipeline\n      inputs: {data: {type: uri_folder}, rate: {type: number}}\n"
        "      outputs: {model: {type: uri_folder}}\n      jobs:\n" + inner
    )
    assert said(tmp_path, text) == [("TM-B104", "jobs.outer.component.jobs.a.inputs.rate")]


CONTROL = """  test:
    command: test ${{outputs.go}}
    environment: azureml:e@latest
    outputs: {go: {type: uri_folder}}
  branch:
    type: if_else
    condition: ${{parent.jobs.test.outputs.go}}
    true_block: ${{parent.jobs.a}}
"""


def test_branches_name_steps_and_outputs_that_exist(tmp_path: Path) -> None:
    assert said(tmp_path, HEAD + GOOD + CONTROL) == []
    assert said(tmp_path, HEAD + GOOD + CONTROL.replace("jobs.a}}", "jobs.z}}")) == [
        ("TM-B104", "jobs.branch.true_block")
    ]
    assert said(tmp_path, HEAD + GOOD + CONTROL.replace("jobs.test.", "jobs.tst.")) == [
        ("TM-B104", "jobs.branch.condition")
    ]


def test_a_branch_that_decides_about_its_own_source_is_a_circle(tmp_path: Path) -> None:
    assert ("TM-B107", "jobs.test") in said(tmp_path, HEAD + CONTROL.replace("jobs.a}}", "jobs.test}}"))


def test_a_job_that_is_one_component_may_get_its_inputs_later(tmp_path: Path) -> None:
    inner = FIT.replace("type: command\n", "type: pipeline\n", 1)
    (tmp_path / "whole.yml").write_text(
        inner[: inner.index("command:")] + "jobs: {s: {command: ls, environment: azureml:e@latest}}\n"
    )
    assert said(tmp_path, "type: pipeline\ncomponent: ./whole.yml\n") == []
    assert said(tmp_path, "type: pipeline\ncomponent: ./whole.yml\ninputs: {dta: 1}\n") == [("TM-B102", "inputs.dta")]
    assert said(tmp_path, "type: pipeline\ncomponent: ./none.yml\n") == [("TM-R101", "component")]
    assert said(tmp_path, "type: pipeline\n$schema: pipelineJob.schema.json\n") == [("TM-D102", "")]


def test_unknown_fields_of_steps_and_settings_are_warnings(tmp_path: Path) -> None:
    text = HEAD.replace("jobs:\n", "settings: {force_rerun: true, tide: 1}\njobs:\n") + GOOD + "    tide: 2\n"
    assert said(tmp_path, text) == [("TM-D106", "settings.tide"), ("TM-D106", "jobs.a.tide")]
    assert said(tmp_path, HEAD + GOOD + "    name: a\n") == []
    assert said(tmp_path, HEAD + GOOD + "    name: b\n") == [("TM-D106", "jobs.a.name")]


def test_of_several_components_of_one_name_the_nearest_is_meant(tmp_path: Path) -> None:
    port = "inputs: {{{0}: {{type: uri_folder}}}}"
    text = "type: command\nname: train\nversion: {1}\n" + port + "\nenvironment: e\ncommand: ls ${{{{inputs.{0}}}}}\n"
    for version, name in enumerate(("data", "raw"), 1):
        (tmp_path / f"{name}.yml").write_text(text.format(name, version))
    step = "type: pipeline\njobs:\n  a:\n    component: azureml:train@latest\n    inputs: {%s: azureml:d@latest}\n"
    assert said(tmp_path, step % "data") == []
    assert said(tmp_path, step % "raw") == []
    assert ("TM-B102", "jobs.a.inputs.other") in said(tmp_path, step % "other")


LOOP = """  each: {{type: parallel_for, body: "${{{{parent.jobs.a}}}}", items: '{items}'}}
  a: {{component: ./fit.yml, inputs: {{data: "${{{{parent.inputs.data}}}}"}}}}
"""


def test_items_that_are_written_out_give_the_body_its_inputs(tmp_path: Path) -> None:
    head = HEAD.replace("outputs:\n  model: {type: uri_folder}\n", "")
    assert said(tmp_path, head + LOOP.format(items='[{"rate": 0.1}, {"rate": 0.2}]')) == []
    assert said(tmp_path, head + LOOP.format(items='[{"rate": 0.1}, {"epochs": 2}]')) == [("TM-B101", "jobs.a")]
    assert ("TM-D109", "jobs.each.items") in said(tmp_path, head + LOOP.format(items="[1, "))
    assert ("TM-D109", "jobs.each.items") in said(tmp_path, head + LOOP.format(items="[0.1, 0.2]"))


ROUNDS = """type: pipeline
jobs:
  loop: {{type: do_while, body: "${{{{parent.jobs.a}}}}", mapping: {{{name}: n}}, limits: {{max_iteration_count: {most}}}}}
  a: {{component: ./add.yml, inputs: {{n: 1}}}}
"""


def test_a_loop_hands_on_what_its_body_has_and_goes_round_at_least_once(tmp_path: Path) -> None:
    (tmp_path / "add.yml").write_text(
        "type: command\nname: add\ninputs: {n: {type: integer}}\noutputs: {n: {type: integer}}\nenvironment: e\n"
        "command: echo ${{inputs.n}} > ${{outputs.n}}\n"
    )
    assert said(tmp_path, ROUNDS.format(name="n", most=1000)) == []
    assert said(tmp_path, ROUNDS.format(name="m", most=3)) == [("TM-B104", "jobs.loop.mapping.m")]
    for most in (0, 1001):
        assert said(tmp_path, ROUNDS.format(name="n", most=most)) == [
            ("TM-D105", "jobs.loop.limits.max_iteration_count")
        ]
