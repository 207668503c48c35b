"""A deployment without a model: an error, unless its script may do without."""

from __future__ import annotations

from pathlib import Path

from tidemill.base.findings import Severity
from tidemill.spec.check import check_loaded
from tidemill.spec.load import load
from tidemill.spec.repository import scan

DEPLOYMENT = (
    "name: blue\nendpoint_name: tides\ninstance_count: 1\ninstance_type: Standard_DS3_v2\nenvironment: azureml:e:1\n"
)
CODE = "code_configuration: {code: ., scoring_script: score.py}\n"


def severities(folder: Path, script: str) -> list[Severity]:
    (folder / "score.py").write_text(script)
    (folder / "d.yml").write_text(DEPLOYMENT + CODE)
    found = check_loaded(load(folder / "d.yml"), lambda: scan(folder))
    return [f.severity for f in found if f.code == "TM-L101"]


def test_a_script_that_asks_for_the_models_folder_needs_one(tmp_path: Path) -> None:
    assert severities(tmp_path, "import os\nfolder = os.environ['AZUREML_MODEL_DIR']\n") == [Severity.ERROR]


def test_a_script_that_never_asks_for_a_model_is_only_warned_of(tmp_path: Path) -> None:
    assert severities(tmp_path, "def init(): ...\ndef run(rows): return rows\n") == [Severity.WARNING]
