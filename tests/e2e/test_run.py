"""`check`, `plan`, `run` and `job` on a small project."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Run

PIPELINE = """
type: pipeline
display_name: tiny
inputs:
  text: {type: uri_file, path: ./in.txt}
  times: 2
outputs:
  final: {type: uri_file}
jobs:
  repeat:
    command: python repeat.py ${{inputs.text}} ${{inputs.times}} ${{outputs.out}}
    code: ./src
    environment: azureml:any@latest
    inputs: {text: "${{parent.inputs.text}}", times: "${{parent.inputs.times}}"}
    outputs: {out: {type: uri_folder}}
  join:
    command: cat ${{inputs.data}}/* > ${{outputs.out}} && echo joined
    environment: azureml:any@latest
    inputs: {data: "${{parent.jobs.repeat.outputs.out}}"}
    outputs: {out: "${{parent.outputs.final}}"}
"""
REPEAT = "import sys, os; os.makedirs(sys.argv[3], exist_ok=True)\nfor i in range(int(sys.argv[2])): open(f'{sys.argv[3]}/{i}', 'w').write(open(sys.argv[1]).read())\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "repeat.py").write_text(REPEAT)
    (tmp_path / "in.txt").write_text("tide\n")
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "tidemill.yaml").write_text("name: tiny\n")
    return tmp_path


def test_help_loads_no_sdk() -> None:
    heavy = [
        "mlflow",
        "pandas",
        "sklearn",
        "fastapi",
        "azure",
        "lightkube",
        "ray",
        "numpy",
        "pydantic",
        "rich",
        "uvicorn",
    ]
    code = f"import sys; from tidemill.cli.main import run_command_line as r; r(['--help']); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_run_prints_one_object_and_a_second_one_reuses_every_step(tidemill: Run, project: Path) -> None:
    first = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)
    assert first["status"] == "Completed"
    assert first["display_name"] == "tiny"
    assert set(first["steps"]["repeat"]) >= {"status", "reused", "exit_code", "outputs", "log", "duration_s"}
    assert Path(first["outputs"]["final"]).read_text() == "tide\ntide\n"
    assert "joined" in Path(first["steps"]["join"]["log"]).read_text()
    second = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)
    assert [s["reused"] for s in second["steps"].values()] == [True, True]
    (project / "in.txt").write_text("ebb\n")
    third = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)
    assert "text" in third["steps"]["repeat"]["reason"]
    assert Path(third["outputs"]["final"]).read_text() == "ebb\nebb\n"


def test_set_changes_an_input(tidemill: Run) -> None:
    found = json.loads(tidemill("run", "pipeline.yml", "--set", "inputs.times=3", "-o", "json").stdout)
    assert Path(found["outputs"]["final"]).read_text() == "tide\n" * 3


def test_a_failing_step_exits_1_with_its_last_words_and_can_be_resumed(tidemill: Run, project: Path) -> None:
    (project / "src" / "repeat.py").write_text("raise SystemExit('the pictures are gone')\n")
    done = tidemill("run", "pipeline.yml", "-o", "json", code=1)
    assert "the pictures are gone" in done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["steps"]["join"]["status"]) == ("Failed", "Canceled")
    (project / "src" / "repeat.py").write_text(REPEAT)
    resumed = tidemill("job", "resume", found["name"]).stdout
    assert resumed.startswith(f"{found['name']}: Completed (2 ran, 0 reused)")


@pytest.mark.parametrize(
    ("broken", "code", "words"),
    [
        ("type: pipeline\njobs: [", 2, "pipeline.yml:"),
        (PIPELINE.replace("parent.inputs.times", "parent.inputs.time"), 2, "TM-B104"),
        (PIPELINE.replace("./src", "./scr"), 2, "TM-R101"),
        (
            PIPELINE.replace("path: ./in.txt", "path: azureml:nowhere:1").replace(
                "uri_file, path: azure", "uri_folder, path: azure"
            ),
            2,
            "nowhere",
        ),
    ],
)
def test_a_broken_document_exits_2_with_its_place_and_runs_nothing(
    tidemill: Run, project: Path, broken: str, code: int, words: str
) -> None:
    (project / "pipeline.yml").write_text(broken)
    done = tidemill("run", "pipeline.yml", code=code)
    assert words in done.stderr
    assert json.loads(tidemill("job", "list").stdout) == []


@pytest.mark.parametrize(
    "words", [("run", "nothing.yml"), ("rum", "pipeline.yml"), ("run",), ("run", "pipeline.yml", "--set", "x")]
)
def test_wrong_usage_exits_2(tidemill: Run, words: tuple[str, ...]) -> None:
    assert tidemill(*words, code=2).stderr


def test_check_json_has_the_promised_shape(tidemill: Run, project: Path) -> None:
    (project / "pipeline.yml").write_text(PIPELINE.replace("command: cat", "comand: cat"))
    (report,) = json.loads(tidemill("check", "pipeline.yml", "-o", "json", code=1).stdout)["files"]
    assert (report["path"], report["kind"], report["valid"]) == ("pipeline.yml", "pipeline_job", False)
    finding = next(f for f in report["findings"] if f["severity"] == "error")
    assert set(finding) == {"code", "severity", "line", "column", "path", "message", "hint"}
    sarif = json.loads(tidemill("check", "pipeline.yml", "-o", "sarif", code=1).stdout)
    assert sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] > 0


def test_az_words_work_on_the_local_workspace(tidemill: Run, project: Path, tmp_path: Path) -> None:
    tidemill("az", "ml", "job", "create", "--file", "pipeline.yml", "--set", "name=from-az", "-g", "rg", "-w", "ws")
    assert (
        tidemill("az", "ml", "job", "show", "-n", "from-az", "--query", "status", "-o", "tsv").stdout == "Completed\n"
    )
    tidemill("job", "download", "-n", "from-az", "-p", "got")
    assert (tmp_path / "got" / "named-outputs" / "final").exists()
    made = json.loads(tidemill("data", "create", "--name", "texts", "--path", "src").stdout)
    again = json.loads(tidemill("data", "create", "--name", "texts", "--path", "src").stdout)
    assert (made["version"], again["version"]) == ("1", "1")
    (project / "src" / "more.txt").write_text("more")
    assert json.loads(tidemill("data", "create", "--name", "texts", "--path", "src").stdout)["version"] == "2"
    assert "texts:1" in tidemill("data", "create", "--name", "texts", "--version", "1", "--path", "src", code=1).stderr
    assert tidemill("model", "show", "-n", "nothing", code=1).stderr.startswith("error:")
    tidemill("az", "login", "--service-principal", "-u", "x", "-p", "y", "--tenant", "t")
    tidemill("az", "vm", "create", code=2)


def test_the_shim_is_an_az_that_scripts_find(tidemill: Run, tmp_path: Path) -> None:
    tidemill("az-shim", "bin")
    done = subprocess.run(
        [tmp_path / "bin" / "az", "ml", "compute", "create", "--name", "c", "--type", "amlcompute"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["state"] == "Running"
    again = tidemill("compute", "start", "-n", "c")
    assert "already" in again.stderr


def test_costs_are_recorded_and_a_spent_budget_stops_the_next_run(tidemill: Run, project: Path) -> None:
    (project / "tidemill.yaml").write_text("name: tiny\nprices: {default: 360000}\nbudget: {limit: 0.001}\n")
    first = json.loads(tidemill("run", "pipeline.yml", "-o", "json", code=None).stdout)
    assert first["steps"]["repeat"]["usage"]["cost"] > 0
    again = tidemill("run", "pipeline.yml", "--set", "inputs.times=3", code=1)
    assert "The budget is spent" in again.stderr
    assert "Spent " in tidemill("status").stdout


def test_data_at_an_address_is_brought_and_data_that_is_not_there_is_said_before_anything_runs(
    tidemill: Run, project: Path
) -> None:
    (project / "site").mkdir()
    (project / "site" / "in.txt").write_text("from afar\n")
    argv = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(project / "site")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        text = PIPELINE.replace("path: ./in.txt", f"path: http://127.0.0.1:{port}/in.txt")
        (project / "pipeline.yml").write_text(text)
        done = tidemill("run", "pipeline.yml", "-o", "json")
        server.terminate()
    assert Path(json.loads(done.stdout)["outputs"]["final"]).read_text() == "from afar\nfrom afar\n"
    (project / "tidemill.yaml").write_text("name: tiny\ndata: {cats: ./cats, dogs: ./dogs}\n")
    two = (
        "{text: {type: uri_folder, path: 'azureml:cats:1'}, more: {type: uri_folder, path: 'azureml:dogs:1'}, times: 2}"
    )
    (project / "pipeline.yml").write_text(
        PIPELINE.replace(PIPELINE[PIPELINE.index("inputs:") : PIPELINE.index("outputs:")], f"inputs: {two}\n")
    )
    missing = tidemill("run", "pipeline.yml", code=2).stderr
    assert "data asset `azureml:cats:1` are not there" in missing
    assert "data asset `azureml:dogs:1` are not there" in missing


def test_all_data_that_is_not_there_is_said_at_once(tidemill: Run, project: Path) -> None:
    (project / "tidemill.yaml").write_text("name: tiny\ndata: {cats: ./cats}\ndatastores: {lake: ./lake}\n")
    (project / "j.yml").write_text(
        "type: command\ncommand: ls\nenvironment: {image: x}\ninputs:\n  a: {type: uri_folder, path: azureml:cats:1}\n"
        "  b: {type: uri_folder, path: azureml://datastores/lake/paths/tides}\n"
    )
    said = tidemill("run", "j.yml", code=2).stderr
    assert [line.split(":")[:2] for line in said.splitlines() if "error TM-R101" in line] == [
        ["j.yml", "5"],
        ["j.yml", "6"],
    ]


VANDAL = """
import os, pathlib, shutil, sys
read, own = map(pathlib.Path, sys.argv[1:])
def refused(change):
    try:
        change()
    except OSError as exc:
        return exc.strerror.startswith("Read-only file system")
tries = [
    lambda: (read / "a").write_text("b"),
    lambda: (read / "new").touch(),
    lambda: os.truncate(read / "a", 0),
    lambda: (read / "a").unlink(),
    lambda: os.rename(read / "a", read / "c"),
    lambda: os.rename(own / "a", read / "a"),
    lambda: (read / "sub").mkdir(),
    lambda: os.symlink("x", read / "l"),
    lambda: shutil.rmtree(read),
]
assert [refused(t) for t in tries] == [True] * len(tries)
read.mkdir(exist_ok=True)
assert (read / "a").read_text() == "a"
(own / "a").write_text("mine")
"""


def test_a_read_only_input_is_read_only_to_root_too(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("a")
    (tmp_path / "src" / "vandal.py").write_text(VANDAL)
    inputs = "{read: {type: uri_folder, path: ./data}, own: {type: uri_folder, path: ./data, mode: download}}"
    command = "python vandal.py ${{inputs.read}} ${{inputs.own}}"
    document = f"type: command\ncode: ./src\ncommand: {command}\nenvironment: azureml:any@latest\ncompute: local\ninputs: {inputs}\n"
    (tmp_path / "job.yml").write_text(document)
    tidemill("run", "job.yml")
    assert (tmp_path / "data" / "a").read_text() == "a"
