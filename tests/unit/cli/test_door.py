"""What somebody sees who does not know the commands yet."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from tests.unit.cli.conftest import Run
from tidemill.cli.examples import EXAMPLES
from tidemill.cli.intents import INTENTS
from tidemill.cli.main import run_command_line
from tidemill.cli.main import tidemill as door
from tidemill.cli.words import regroup


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("chek", "`check`"),
        ("help", "`tidemill --help`"),
        ("deploy", "`tidemill up`"),
        ("logs", "`tidemill job stream -n NAME`"),
        ("ml", "Leave `ml` out"),
    ],
)
def test_a_command_that_other_tools_have_leads_to_ours(tidemill: Run, typed: str, said: str) -> None:
    assert said in tidemill(typed, code=2).stderr


def test_a_word_that_is_like_nothing_is_not_answered_with_a_list(tidemill: Run) -> None:
    said = tidemill("xyzzy", code=2).stderr
    assert "No such command `xyzzy`." in said
    assert "Known" not in said


@pytest.mark.parametrize(
    "line", [line for block in EXAMPLES.values() for line in block.strip().splitlines()] + list(INTENTS.values())
)
def test_every_command_line_we_show_can_be_read(line: str) -> None:
    words = regroup(shlex.split(line.partition("  #")[0])[1:], frozenset({"online-endpoint"}))
    _read(door, [w for w in words if w not in {"--help", "--version"}])


def _read(command: click.Command, words: list[str]) -> None:
    if not words:
        return
    context = click.Context(command, info_name="tidemill")
    if not isinstance(command, click.Group):
        if command.context_settings.get("ignore_unknown_options"):
            return
        command.make_parser(context).parse_args(list(words))
        return
    found = command.get_command(context, words[0])
    assert found is not None, words[0]
    _read(found, words[1:])


def test_help_ends_with_examples_as_they_are_typed(tidemill: Run) -> None:
    said = tidemill("run", "--help").stdout
    assert "Examples:\n    tidemill run pipeline.yml\n" in said


def test_help_of_a_noun_says_what_each_verb_does_to_the_end(tidemill: Run) -> None:
    said = tidemill("job", "--help").stdout
    assert "..." not in said.replace("[ARGS]...", "")


def test_az_without_words_says_what_it_is(tidemill: Run) -> None:
    for words in (["az"], ["az", "--help"], ["az", "-h"]):
        assert "local workspace" in tidemill(*words).stdout


def test_a_file_that_is_not_there_is_one_error_with_the_one_that_is(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("type: pipeline\njobs: {}\n")
    said = tidemill("run", "pipeline.yml", code=2).stderr
    assert said.count("error:") == 1
    assert "No such file: pipeline.yml" in said
    assert "Did you mean `pipeline.yaml`?" in said


def test_a_folder_without_documents_says_so_when_one_is_missing(tidemill: Run) -> None:
    assert "no YAML file" in tidemill("plan", "pipeline.yml", code=2).stderr


def test_a_script_in_place_of_a_document_gets_the_document_it_lacks(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')\n")
    said = tidemill("run", "train.py", code=2).stderr
    assert "command: python train.py" in said
    assert "tidemill run job.yml" in said


def test_a_check_that_looked_at_nothing_says_what_it_looks_for(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')\n")
    said = tidemill("check", ".").stdout
    assert "nothing to check" in said
    assert "Azure ML" in said


def test_a_name_looked_for_where_there_is_nothing_yet_leads_to_the_first(tidemill: Run) -> None:
    assert "tidemill model create" in tidemill("model", "show", "-n", "x", code=1).stderr
    assert "tidemill run FILE" in tidemill("job", "show", "-n", "x", code=1).stderr


def test_an_annotation_in_a_workflow_has_the_way_out_on_a_line_of_its_own(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(
        "type: command\ncommand: echo ${{input.lr}}\ninputs: {lr: 1}\nenvironment: {image: x}\n"
    )
    said = tidemill("check", ".", "-o", "github", code=1).stdout
    assert "has no meaning in a command%0ADid you mean `inputs.lr`?" in said


def test_a_time_that_is_none_is_refused_where_nothing_was_released_too(tidemill: Run) -> None:
    assert "yesterday" in tidemill("history", "--at", "yesterday", code=2).stderr
    assert "Nothing was released yet" in tidemill("history", "--at", "2026-11-20").stdout


def test_a_folder_in_place_of_a_document_is_one_error_with_what_is_in_it(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("type: pipeline\njobs: {}\n")
    said = tidemill("run", ".", code=2).stderr
    assert said.count("error:") == 1
    assert "There are: `pipeline.yaml`." in said


@pytest.mark.parametrize("wrapped", [True, False])
def test_ctrl_c_is_no_bug_of_ours_when_a_library_wraps_or_quotes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, wrapped: bool
) -> None:
    def torn(**_: object) -> None:
        if not wrapped:
            raise ValueError("Error building validator:\n  KeyboardInterrupt: ")
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as exc:
            raise ImportError("half a module") from exc

    monkeypatch.setattr(door, "main", torn)
    assert run_command_line(["status"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("typed", ["TM-X05", "tm-x05", "TM-X5", "x5"])
def test_a_code_is_explained_however_it_is_typed(tidemill: Run, typed: str) -> None:
    assert tidemill("check", "--explain", typed).stdout.startswith("TM-X05: Image by a movable tag")


def test_a_code_that_no_finding_has_is_answered_with_one_that_is_near(tidemill: Run) -> None:
    assert "Did you mean `TM-X" in tidemill("check", "--explain", "TM-X999", code=2).stderr
