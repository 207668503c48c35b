"""Projects in folders whose names have spaces and quotes: commands get each path as one word."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.run.conftest import command, open_workspace, pipeline
from tidemill.run.quoting import Places

AWKWARD = '/my data/it\'s "$HOME" `x` (1)'


@pytest.mark.parametrize(
    "text",
    [
        "printf %s {}",
        'printf %s "{}"',
        "printf %s '{}'",
        'printf %s "$(printf %s {})"',
        'printf %s "$(printf %s "$(printf %s \'{}\')")"',
        "(printf %s {})",
        "# don't take {} for a word\nprintf %s {}",
        "true isn\\'t && printf %s {}",
        "true 'a \\' && printf %s {}",
        'python3 -c "import sys; sys.stdout.write(sys.argv[1])" {}',
    ],
)
def test_bash_takes_a_path_as_one_word_wherever_it_stands(text: str) -> None:
    places = Places()
    done = subprocess.run(
        ["bash", "-c", places.fill(text.replace("{}", places.mark(AWKWARD)))], capture_output=True, check=True
    )
    assert done.stdout.decode() == AWKWARD


def test_a_path_that_needs_no_quotes_stands_as_it_is() -> None:
    places = Places()
    command = f"cat {places.mark('/data/x')} 'and"
    assert places.fill(command) == "cat /data/x 'and"


def test_data_and_outputs_below_a_folder_with_spaces_are_read_and_written_and_values_stay_words(
    tmp_path: Path,
) -> None:
    data = tmp_path / "my data.txt"
    data.write_text("seven\n")
    with ExitStack() as stack:
        workspace = open_workspace(tmp_path / "a project" / ".tidemill", stack)
        text = 'cat ${{inputs.x}} > ${{outputs.o}}/x && cat "${{outputs.o}}/x" && printf "%s|" ${{inputs.words}}'
        step = command("show", text, inputs={"x": data, "words": "two words"}, outputs={"o": "uri_folder"})
        result = workspace.run(pipeline(step))
        assert result.status == "Completed", result.steps
        assert result.steps["show"].log.read_text() == "seven\ntwo|words|"


def test_arguments_that_are_split_as_bash_does_keep_paths_whole() -> None:
    places = Places()
    assert shlex.split(places.fill(f"--x {places.mark(AWKWARD)} --y 1")) == ["--x", AWKWARD, "--y", "1"]
