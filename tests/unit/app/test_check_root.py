"""The same files are judged the same, wherever `check` is called from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.app.check import check

FIT = "name: fit\nversion: 1\ntype: command\ninputs: {data: {type: uri_folder}}\nenvironment: azureml:e@latest\ncommand: ls ${{inputs.data}}\n"
PIPELINE = "type: pipeline\njobs:\n  a:\n    component: azureml:fit@latest\n    compute: azureml:c\n    inputs: {dta: azureml:d@latest}\n"


@pytest.mark.parametrize("mark", ["tidemill.yaml", ".git/HEAD", ".github/workflows/a.yml", ".gitignore"])
def test_a_name_is_looked_up_in_the_files_own_repository(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"components/fit.yml": FIT, "pipelines/p.yml": PIPELINE, mark: ""}.items():
        path = tmp_path / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    verdicts = []
    for folder in (tmp_path, tmp_path / "repo", tmp_path / "repo" / "pipelines", Path("/")):
        monkeypatch.chdir(folder)
        reports = check([tmp_path / "repo" / "pipelines" / "p.yml"])
        verdicts.append([(f.code, f.at.line) for r in reports if r.path.endswith("p.yml") for f in r.findings])
    assert verdicts == [[("TM-B101", 3), ("TM-B102", 6)]] * 4


def test_without_any_mark_the_folder_itself_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.yml").write_text(PIPELINE)
    monkeypatch.chdir("/")
    (report,) = check([tmp_path / "p.yml"])
    assert report.findings == ()
