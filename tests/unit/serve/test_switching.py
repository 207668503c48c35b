"""A switch to a version that is not the one that was trained does not happen, and is called that at once."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.unit.serve.test_endpoint import wish
from tests.waiting import PATIENCE_S
from tidemill.backends.targets.local import open_target
from tidemill.base.errors import FailedError

pytestmark = pytest.mark.filterwarnings("ignore")
JSON = {"content-type": "application/json"}


def served(model: Path, version: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "tidemill.serve", "--model", str(model), "--allow-pickle", "--port", "{port}"]
    return {"argv": [*argv, "--name", "m", "--version", version], "cwd": str(model.parent)}


def test_a_version_that_answers_otherwise_than_at_training_time_is_refused_at_once_and_the_old_one_serves_on(
    table_model: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(table_model, tmp_path / "other"))
    golden = json.loads((other / "golden.json").read_text())
    row = golden["inputs"][0]
    golden["predictions"] = [{"yes": "no", "no": "yes"}[p] for p in golden["predictions"]]
    (other / "golden.json").write_text(json.dumps(golden))
    target = open_target(tmp_path)
    try:
        target.put("e", wish(traffic={"blue": 100}, blue=served(table_model, "1")))
        target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
        target.put("e", wish(traffic={"blue": 100}, blue=served(other, "2")))
        with pytest.raises(FailedError, match="otherwise than at training time: golden row 0: served `"):
            target.wait_healthy("e", "blue", timeout_s=300)
        asked = Request(f"{target.observe('e')['url']}/predict", json.dumps(row).encode(), JSON)
        with urlopen(asked, timeout=PATIENCE_S) as answer:
            assert json.load(answer)["version"] == "1"
    finally:
        target.delete("e")
