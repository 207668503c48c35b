"""A guide is followed command by command: each answers what the guide says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contracts.postgres_server import running_server

from .follow import follow, read, same

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
FOLLOWED = ("az", "batch", "caching", "check", "control-flow", "cost", "data", "environments", "resume")


@pytest.mark.parametrize("guide", FOLLOWED)
def test_every_command_of_a_guide_answers_what_the_guide_says(guide: str, tmp_path: Path) -> None:
    holds(guide, tmp_path)


@pytest.mark.needs_postgres
def test_the_guide_on_one_record_for_several_people_holds(tmp_path: Path) -> None:
    with running_server() as server:
        holds("postgresql", tmp_path, {"postgresql://tidemill@db.example.org:5432/tidemill": server.url()})


def holds(guide: str, folder: Path, here: Mapping[str, str] | None = None) -> None:
    answers = follow((GUIDES / f"{guide}.md").read_text(), folder / guide, here)
    wrong = [f"$ {typed.command}\n{shown}" for typed, shown in answers if not same(typed.expected, shown)]
    assert not wrong, "\n".join(["the terminal says:", *wrong])


def test_what_differs_from_run_to_run_may_differ_and_nothing_else() -> None:
    assert same(
        "job calm_yawl_0123456789: 1 step\n…\ndone in 1.2s\n", "job eager_eddy_abcdefghij: 1 step\na\nb\ndone in 9s\n"
    )
    assert not same("job calm_yawl_0123456789: 1 step\n", "job calm_yawl_0123456789: 2 steps\n")


def test_a_guide_is_read_as_files_and_commands() -> None:
    text = "Words.\n\n```yaml\n# a.yml\nx: 1\n```\n\n```text\n$ cat a.yml\nx: 1\n$ true\n```\n"
    file, cat, true = read(text)
    assert file == ("a.yml", "x: 1\n", False)
    assert (cat.command, cat.expected, true.expected) == ("cat a.yml", "x: 1\n", "")  # type: ignore[union-attr]
