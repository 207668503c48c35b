"""What a run notices holds for every run that reuses what was noticed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.conftest import Run

LAZY = """
type: pipeline
jobs:
  lazy:
    command: echo hello
    environment: azureml:any@latest
    outputs: {made: {type: uri_folder}}
"""


def test_a_reused_step_keeps_its_findings(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(LAZY)
    assert "TM-N101: Output `made` of `lazy` stayed empty" in tidemill("run", "p.yml").stdout
    for _ in range(2):
        again = tidemill("run", "p.yml").stdout
        assert "(0 ran, 1 reused)" in again
        assert again.count("TM-N101") == 1
    done = json.loads(tidemill("run", "p.yml", "-o", "json").stdout)
    assert done["steps"]["lazy"]["reused"] is True
