"""`.env` files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.dotenv import parse_dotenv, read_dotenv
from tidemill.base.errors import UsageError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A=1\nB = two words # why\n\n# c\nexport C=x#y\n", {"A": "1", "B": "two words", "C": "x#y"}),
        ("A='$(rm -rf /) `x` $HOME'", {"A": "$(rm -rf /) `x` $HOME"}),
        ('A="line\\none \\"q\\""  # note\nB=2', {"A": 'line\none "q"', "B": "2"}),
        (
            'KEY="-----BEGIN-----\nMIIE\n-----END-----"\nB=1\n',
            {"KEY": "-----BEGIN-----\nMIIE\n-----END-----", "B": "1"},
        ),
        ("URL=postgres://u:p@h/db?x=1&y=2", {"URL": "postgres://u:p@h/db?x=1&y=2"}),
        ("A=\nB=#\n   ", {"A": "", "B": ""}),
        ("\r\n".replace("\r", "") + "A=1", {"A": "1"}),
    ],
)
def test_values_are_taken_as_they_are_written(text: str, wanted: dict[str, str]) -> None:
    assert parse_dotenv(text) == wanted


@pytest.mark.parametrize(("text", "line"), [("A=1\nwords\n", 2), ("A='open\nB=1", 1), ("\n1A=2", 2), ('A="x" y', 1)])
def test_what_is_no_variable_is_an_error_at_its_line(text: str, line: int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_dotenv(text)
    assert caught.value.at is not None
    assert caught.value.at.line == line


def test_no_file_is_no_variables(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == {}
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfA=1\r\nB=2\r\n")
    assert read_dotenv(tmp_path / ".env") == {"A": "1", "B": "2"}
