"""What a deployment's server runs in, by the words of its document."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.app.deploy import serving_environment
from tidemill.app.settings import Settings
from tidemill.app.wiring import open_app
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid

DEPLOYMENT = (
    "name: blue\nendpoint_name: e\nmodel: azureml:m@latest\ninstance_type: s\ninstance_count: 1\nenvironment: {}\n"
)
LISTED = "name: listed\nversion: 1\nconda_file: conda.yml\nimage: some/image\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{conda_file: ../conda.yml, image: some/image}", ("inline", "venv", "serving")),
        ("../env/listed.yml", ("listed", "venv", "env")),
        ("azureml:listed@latest", ("listed", "venv", "env")),
        ("{image: some/image}", None),
        ("azureml:nobody@latest", None),
    ],
)
def test_packages_come_from_where_the_document_says(
    tmp_path: Path, said: str, expected: tuple[str, str, str] | None
) -> None:
    for name in ("serving", "env"):
        (tmp_path / name).mkdir()
    (tmp_path / "tidemill.yaml").write_text("name: p\n")
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.11]\n")
    (tmp_path / "env" / "conda.yml").write_text("dependencies: [python=3.11]\n")
    (tmp_path / "env" / "listed.yml").write_text(LISTED)
    file = tmp_path / "serving" / "deployment.yml"
    file.write_text(DEPLOYMENT.format(said))
    document = load_valid(file, expect=(Kind.ONLINE_DEPLOYMENT,)).document
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        found = serving_environment(app, document, file.parent)
    assert (found and (found.name or "inline", found.kind, found.folder.name)) == expected
