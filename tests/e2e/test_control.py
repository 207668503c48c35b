"""Conditions, loops and fan-outs, as `run` shows them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Run
from tests.waiting import until

STEP = """
import pathlib, sys, time
what, *args = sys.argv[1:]
if what == "check":
    pathlib.Path(args[1]).write_text(args[2] if len(args) > 2 else str(float(args[0]) > 5))
elif what == "add":
    n = int(args[0]) + 1
    if n == 4 and pathlib.Path(args[3]).exists():
        time.sleep(60)
    if n == int(args[4]):
        sys.exit(f"{n} is too much")
    pathlib.Path(args[1]).write_text(str(n)); pathlib.Path(args[2]).write_text("true" if n < 5 else "false")
elif what == "fit":
    out = pathlib.Path(args[1]); out.mkdir(exist_ok=True); (out / "m.txt").write_text("lr " + args[0])
elif what == "upper":
    pathlib.Path(args[1]).write_text(pathlib.Path(args[0]).read_text().upper())
"""
LOOK = """
name: look
version: 1
type: command
inputs: {x: {type: number}, word: {type: string, optional: true}}
outputs: {big: {type: boolean, is_control: true}}
command: python step.py check ${{inputs.x}} ${{outputs.big}} $[[${{inputs.word}}]]
code: ./src
environment: azureml:h:1
"""
ADD = """
name: add
version: 1
type: command
inputs: {n: {type: integer}, wait: {type: string, default: none}, most: {type: integer, default: 99}}
outputs: {n: {type: integer}, again: {type: boolean, is_control: true}}
command: python step.py add ${{inputs.n}} ${{outputs.n}} ${{outputs.again}} ${{inputs.wait}} ${{inputs.most}}
code: ./src
environment: azureml:h:1
"""
COUNT = """
name: count
version: 1
type: command
inputs: {n: {type: integer}}
command: echo counted ${{inputs.n}}
environment: azureml:h:1
"""
CHOICE = """
type: pipeline
inputs: {x: 7}
jobs:
  look: {type: command, component: ./look.yml, inputs: {x: "${{parent.inputs.x}}"}}
  decide:
    type: if_else
    condition: ${{parent.jobs.look.outputs.big}}
    true_block: ${{parent.jobs.large}}
    false_block: ${{parent.jobs.small}}
  large: {type: command, command: "echo large > ${{outputs.o}}", environment: "azureml:h:1", outputs: {o: {type: uri_file}}}
  small: {type: command, command: "echo small > ${{outputs.o}}", environment: "azureml:h:1", outputs: {o: {type: uri_file}}}
  say: {type: command, command: "cat ${{inputs.o}}", environment: "azureml:h:1", inputs: {o: "${{parent.jobs.decide.outputs.o}}"}}
"""
LOOP = """
type: pipeline
inputs: {wait: none, most: 99}
jobs:
  loop:
    type: do_while
    body: ${{parent.jobs.add}}
    condition: ${{parent.jobs.add.outputs.again}}
    mapping: {n: "${{parent.jobs.add.inputs.n}}"}
    limits: {max_iteration_count: 10}
  add: {type: command, component: ./add.yml, inputs: {n: 1, wait: "${{parent.inputs.wait}}", most: "${{parent.inputs.most}}"}}
  after: {type: command, component: ./count.yml, inputs: {n: "${{parent.jobs.loop.outputs.n}}"}}
"""
EACH = """
type: pipeline
jobs:
  each:
    type: parallel_for
    body: ${{parent.jobs.fit}}
    items: '[{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]'
    max_concurrency: 2
    outputs: {model: {type: mltable}}
  fit:
    type: command
    command: python step.py fit ${{inputs.lr}} ${{outputs.model}}
    code: ./src
    environment: azureml:h:1
    inputs: {lr: 0.5}
    outputs: {model: {type: uri_folder}}
  collect:
    type: command
    command: cat ${{inputs.models}}/*/m.txt
    environment: azureml:h:1
    inputs: {models: "${{parent.jobs.each.outputs.model}}"}
"""
FOLDER = """
type: pipeline
jobs:
  each: {type: parallel_for, body: "${{parent.jobs.upper}}", items: "${{parent.jobs.make.outputs.texts}}"}
  make:
    type: command
    command: echo one > ${{outputs.texts}}/a.txt && echo two > ${{outputs.texts}}/b.txt
    environment: azureml:h:1
    outputs: {texts: {type: uri_folder}}
  upper:
    type: command
    command: python step.py upper ${{inputs.item}} ${{outputs.o}}
    code: ./src
    environment: azureml:h:1
    inputs: {item: "${{parent.jobs.make.outputs.texts}}"}
    outputs: {o: {type: uri_file}}
"""
INNER = """
name: inner
version: 1
type: pipeline
inputs: {n: {type: integer}}
outputs: {n: {type: integer}, again: {type: boolean}}
jobs:
  deep:
    type: command
    component: ./add.yml
    inputs: {n: "${{parent.inputs.n}}"}
    outputs: {n: "${{parent.outputs.n}}", again: "${{parent.outputs.again}}"}
"""
NESTED = """
type: pipeline
jobs:
  decide: {type: if_else, condition: true, true_block: "${{parent.jobs.loop}}"}
  loop:
    type: do_while
    body: ${{parent.jobs.inner}}
    condition: ${{parent.jobs.inner.outputs.again}}
    mapping: {n: n}
    limits: {max_iteration_count: 2}
  inner: {type: pipeline, component: ./inner.yml, inputs: {n: 1}}
  after: {type: command, component: ./count.yml, inputs: {n: "${{parent.jobs.decide.outputs.n}}"}}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "step.py").write_text(STEP)
    for name, text in {"look": LOOK, "add": ADD, "count": COUNT, "inner": INNER}.items():
        (tmp_path / f"{name}.yml").write_text(text)
    (tmp_path / "tidemill.yaml").write_text("name: control\nenvironments: {h: {python: host}}\n")
    return tmp_path


def run(tidemill: Run, project: Path, text: str, *words: str, code: int = 0) -> dict[str, Any]:
    (project / "pipeline.yml").write_text(text)
    done = tidemill("run", "pipeline.yml", "-o", "json", *words, code=code)
    return dict(json.loads(done.stdout))


def log(result: dict[str, Any], step: str) -> str:
    return Path(result["steps"][step]["log"]).read_text().strip()


@pytest.mark.parametrize(("x", "taken", "left"), [(7, "large", "small"), (3, "small", "large")])
def test_a_condition_runs_one_branch_and_says_so_of_the_other(
    tidemill: Run, project: Path, x: int, taken: str, left: str
) -> None:
    result = run(tidemill, project, CHOICE, "--set", f"inputs.x={x}")
    assert result["status"] == "Completed"
    assert (result["steps"][taken]["status"], result["steps"][left]["status"]) == ("Completed", "NotStarted")
    assert log(result, "say") == taken
    assert result["steps"][taken]["parent"] == "decide"


def test_a_condition_that_is_neither_true_nor_false_fails_with_its_text(tidemill: Run, project: Path) -> None:
    text = CHOICE.replace('inputs: {x: "${{parent.inputs.x}}"}', 'inputs: {x: "${{parent.inputs.x}}", word: perhaps}')
    result = run(tidemill, project, text, code=1)
    assert "`look.big` holds `perhaps`, which is neither true nor false" in result["steps"]["decide"]["message"]
    assert result["steps"]["say"]["status"] == "Canceled"


def test_a_loop_hands_values_on_until_its_condition_is_false_and_its_rounds_are_reused(
    tidemill: Run, project: Path
) -> None:
    result = run(tidemill, project, LOOP)
    assert [n for n in result["steps"] if n.startswith("loop.")] == [f"loop.{i}.add" for i in range(1, 5)]
    assert log(result, "after") == "counted 5"
    again = run(tidemill, project, LOOP)
    assert all(s["reused"] for n, s in again["steps"].items() if n != "loop")


def test_a_loop_ends_at_its_limit(tidemill: Run, project: Path) -> None:
    result = run(tidemill, project, LOOP.replace("max_iteration_count: 10", "max_iteration_count: 2"))
    assert log(result, "after") == "counted 3"


def test_a_round_that_fails_fails_the_loop_and_is_named(tidemill: Run, project: Path) -> None:
    (project / "pipeline.yml").write_text(LOOP)
    done = tidemill("run", "pipeline.yml", "--set", "inputs.most=3", code=1)
    assert "loop.2.add" in done.stderr
    assert "3 is too much" in done.stderr


def test_a_killed_loop_goes_on_in_the_round_it_was_in(tidemill: Run, project: Path) -> None:
    (project / "pipeline.yml").write_text(LOOP)
    (project / "wait").touch()
    argv = [
        sys.executable,
        "-m",
        "tidemill",
        "run",
        "pipeline.yml",
        "--set",
        f"inputs.wait={project / 'wait'}",
        "-n",
        "j",
    ]
    process = subprocess.Popen(argv, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until((project / ".tidemill" / "jobs" / "j" / "loop.3.add" / "logs").exists)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (project / "wait").unlink()
    shown = json.loads(tidemill("job", "resume", "j", "-o", "json").stdout)
    assert shown["status"] == "Completed"
    assert [shown["steps"][f"loop.{i}.add"]["reused"] for i in (1, 2, 3, 4)] == [True, True, False, False]


def test_a_fan_out_runs_its_body_for_each_item_and_gathers_the_outputs(tidemill: Run, project: Path) -> None:
    result = run(tidemill, project, EACH)
    assert log(result, "collect") == "lr 0.1lr 0.2lr 0.3"
    table = Path(result["steps"]["each"]["outputs"]["model"]) / "MLTable"
    assert "  - folder: ./1" in table.read_text()
    more = run(tidemill, project, EACH.replace('{"lr": 0.3}', '{"lr": 0.3}, {"lr": 0.4}'))
    assert [more["steps"][f"each.{i}.fit"]["reused"] for i in range(4)] == [True, True, True, False]


def test_a_fan_out_goes_through_the_files_of_a_folder(tidemill: Run, project: Path) -> None:
    result = run(tidemill, project, FOLDER)
    folder = Path(result["steps"]["each"]["outputs"]["o"])
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a": "ONE\n", "b": "TWO\n"}


def test_items_that_are_no_list_fail_before_anything_runs(tidemill: Run, project: Path) -> None:
    (project / "pipeline.yml").write_text(EACH.replace("[{", "{{"))
    assert "The items of `each` are no list of objects" in tidemill("run", "pipeline.yml", code=2).stderr
    assert not (project / ".tidemill" / "jobs").exists()


def test_a_loop_over_a_pipeline_inside_a_condition(tidemill: Run, project: Path) -> None:
    result = run(tidemill, project, NESTED)
    assert log(result, "after") == "counted 3"


def test_plan_shows_what_a_control_step_may_run(tidemill: Run, project: Path) -> None:
    (project / "pipeline.yml").write_text(CHOICE)
    assert "true: large" in tidemill("plan", "pipeline.yml").stdout
