"""What `--fix` mends is mended in place, once, and everything else stays byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.app.check import check, fix
from tidemill.spec.mends import MENDS

HEAD = (
    "# the head\n$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\ntype: command   # kept\n"
)
JOB = HEAD + "environment: azureml:e@latest\n"
OPTIONAL = "# a component\ntype: command\nname: fit\nversion: 1\ninputs:\n  x: {type: number, optional: true}\n  y: {type: number, optional: true}\nenvironment: azureml:e@latest\n"
COMPONENT = "type: command\ncode: ./src\ncommand: >-\n  python split.py --data{0} x  \n"
PARSER = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--data_output')\np.parse_args()\n"
DOWNLOAD = "az ml job download -n x\n"
SCRIPT = {"src/split.py": PARSER}

Case = tuple[str, str, str, str, dict[str, str]]
CASES: list[Case] = [
    ("TM-B109", "c.yml", OPTIONAL + "command: run --x ${{inputs.x}} -q\n", OPTIONAL + "command: run $[[--x ${{inputs.x}}]] -q\n", {}),
    ("TM-B109", "c.yml", OPTIONAL + "command: >-\n  run  # no comment\n  --x=${{ inputs.x }} --y '${{inputs.y}}' --x ${{inputs.x}}\n", OPTIONAL + "command: >-\n  run  # no comment\n  $[[--x=${{ inputs.x }}]] $[[--y '${{inputs.y}}']] $[[--x ${{inputs.x}}]]\n", {}),
    ("TM-D104", "j.yml", JOB + "command: ls\ndisplay_name: 3   # three\n", JOB + 'command: ls\ndisplay_name: "3"   # three\n', {}),
    ("TM-D104", "j.yml", JOB + "command: ls\ndescription: 2024-01-31\n", JOB + 'command: ls\ndescription: "2024-01-31"\n', {}),
    ("TM-D107", "j.yml", JOB + "command: ls\ninputs:\n  a: {type: string, path: x}\n  since: 2024-01-31 # day\n", JOB + 'command: ls\ninputs:\n  a: {type: string, path: x}\n  since: "2024-01-31" # day\n', {}),
    ("TM-X01", "a.sh", "set -e\naz ml  job create -f j.yml  # x\n" + DOWNLOAD, "set -e\naz ml  job create --stream -f j.yml  # x\n" + DOWNLOAD, {}),
    ("TM-X01", "a.py", "run(['az', 'ml', 'job', 'create', '-f', name])  # x\n", "run(['az', 'ml', 'job', 'create', '-f', name, '--stream'])  # x\n", {"b.sh": DOWNLOAD}),
    ("TM-X01", "a.py", 'run(["az", "ml", "job", "create", "-f", "j.yml", ])\n', 'run(["az", "ml", "job", "create", "-f", "j.yml", "--stream", ])\n', {"b.sh": DOWNLOAD}),
    ("TM-X10", "a.sh", 'az ml model download -n a \\\n  --version "latest" 2>/dev/null\n', "az ml model download -n a \\\n  --label latest 2>/dev/null\n", {}),
    ("TM-X10", "a.sh", "az ml model show -v latest -n a # -v latest\n", "az ml model show --label latest -n a # -v latest\n", {}),
    ("TM-X14", "a.sh", "az ml components create -f c.yml; az ml models list\n", "az ml component create -f c.yml; az ml model list\n", {}),
    ("TM-X15", "c.yml", COMPONENT.format(""), COMPONENT.format("_output"), SCRIPT),
]  # fmt: skip
LEFT = [
    ("c.yml", OPTIONAL + "command: >-\n  run --x\n  ${{inputs.x}}\n", {}),
    ("c.yml", OPTIONAL + "command: run ${{inputs.x}}\n", {}),
    ("a.sh", "JOB=$(az ml job create -f j.yml --query name -o tsv)\n" + DOWNLOAD, {}),
    ("a.py", "run(['az', 'ml', 'job', 'create',\n     name,  # x\n     ])\n", {"b.sh": DOWNLOAD}),
    ("j.yml", JOB + "command: ls\ndisplay_name: true\n", {}),
    ("j.yml", JOB + "command: ls\ninputs: {a: null}\n", {}),
]


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def mended(folder: Path) -> None:
    while fix(check([folder])):
        pass


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_the_place_is_mended_and_nothing_else(tmp_path: Path, case: Case, ends: str) -> None:
    code, name, before, after, others = case
    write(
        tmp_path,
        {n: t.encode() for n, t in {**others, name: before}.items()} | {name: before.replace("\n", ends).encode()},
    )
    assert code in {f.code for r in check([tmp_path]) for f in r.findings}
    mended(tmp_path)
    assert (tmp_path / name).read_bytes() == after.replace("\n", ends).encode()
    if after != before:
        assert code not in {f.code for r in check([tmp_path]) for f in r.findings}
    assert fix(check([tmp_path])) == []


@pytest.mark.parametrize(("name", "text", "others"), LEFT)
def test_what_takes_judgement_is_left(tmp_path: Path, name: str, text: str, others: dict[str, str]) -> None:
    write(tmp_path, {n: t.encode() for n, t in {**others, name: text}.items()})
    assert [f for r in check([tmp_path]) for f in r.findings if f.code in MENDS]
    assert fix(check([tmp_path])) == []


def test_every_code_that_is_said_to_be_mended_has_its_case() -> None:
    assert {c[0] for c in CASES} == set(MENDS)


def test_other_encodings_are_left_alone(tmp_path: Path) -> None:
    text = (JOB + "command: ls\ndisplay_name: 3\n").encode("utf-16")
    write(tmp_path, {"j.yml": text})
    assert "TM-D104" in {f.code for r in check([tmp_path]) for f in r.findings}
    assert fix(check([tmp_path])) == []
    assert (tmp_path / "j.yml").read_bytes() == text


def test_a_byte_order_mark_stays(tmp_path: Path) -> None:
    write(tmp_path, {"j.yml": ("\ufeff" + JOB + "command: ls\ndisplay_name: 3\n").encode()})
    mended(tmp_path)
    assert (tmp_path / "j.yml").read_bytes().decode() == "\ufeff" + JOB + 'command: ls\ndisplay_name: "3"\n'
