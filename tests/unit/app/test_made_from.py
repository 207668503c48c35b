"""What a job was planned from is kept, and stands in for what is there later."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tidemill.app.made_from import Asked, Kept, as_then, find_kept, keep, say_changes
from tidemill.app.project import read_project
from tidemill.app.run import RunRequest, plan_kept
from tidemill.app.settings import Settings
from tidemill.app.wiring import App
from tidemill.plan.graph import DataRef


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "conda.yml").write_text(
        "dependencies: [python=3.11, {pip: ['-r more/requirements.txt']}]\n"
    )
    (tmp_path / "environment" / "more").mkdir()
    (tmp_path / "environment" / "more" / "requirements.txt").write_text("idna==3.7\n")
    (tmp_path / "job.yml").write_text("command: echo hi\nenvironment: {image: x, conda_file: environment/conda.yml}\n")
    return tmp_path


def open_at(root: Path, stack: ExitStack) -> App:
    settings = Settings(root, root / ".tidemill")
    return App(settings, stack, read_project(settings))


def test_an_environment_is_built_from_its_files_of_then(project: Path) -> None:
    with ExitStack() as stack:
        app = open_at(project, stack)
        plan, kept = plan_kept(app, RunRequest(project / "job.yml"))
        key = app.environments().key(plan.steps[0].environment)
        keep(app, "j", plan, kept, ())
        (project / "environment" / "more" / "requirements.txt").write_text("idna==3.6\n")
        assert app.environments().key(plan.steps[0].environment) != key
        found = find_kept(app, "j")
        assert found is not None
        then = as_then(app, "j", plan, found)
        assert app.environments().key(then.steps[0].environment) == key
        assert say_changes(app, plan, found) == [
            f"{project}/environment/more/requirements.txt has changed: it is used as it was when the job began"
        ]


def test_an_environment_whose_files_did_not_change_stays_where_it_is(project: Path) -> None:
    with ExitStack() as stack:
        app = open_at(project, stack)
        plan, kept = plan_kept(app, RunRequest(project / "job.yml"))
        keep(app, "j", plan, kept, ())
        assert as_then(app, "j", plan, kept).steps[0].environment == plan.steps[0].environment
        assert say_changes(app, plan, kept) == []


def test_a_label_stands_for_the_version_of_then(tmp_path: Path) -> None:
    class Growing:
        """Registers another version each time it is asked."""

        def __init__(self) -> None:
            self.version = 0

        def find_data(self, name: str, version: str | None, label: str | None) -> DataRef:
            del version, label
            self.version += 1
            return DataRef(f"/data/{self.version}", "uri_folder", None, f"{name}:{self.version}")

    assets, kept = Growing(), Kept()
    first = Asked(assets, kept).find_data("d", None, "latest")  # type: ignore[arg-type]
    again = Asked(assets, Kept(**kept.as_record())).find_data("d", None, "latest")  # type: ignore[arg-type]
    assert again == first == DataRef("/data/1", "uri_folder", None, "d:1")
