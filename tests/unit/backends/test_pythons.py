"""Conda's ways to ask for a Python."""

from __future__ import annotations

import pytest

from tidemill.backends.environments.pythons import choose_python


@pytest.mark.parametrize(
    ("pin", "python"),
    [
        ("", ""),
        ("==3.10.*", "3.10"),
        ("==3.10.13", "3.10"),
        ("==3.12.*", "3.12"),
        ("==3.11.*", "3.11"),
        ("==2.7.*", "2.7"),
        ("==3.*", ""),
        (">=3.9", ""),
        (">=3.8,<3.11", "3.10"),
        (">=3.8, <3.12", ""),
        ("<3.9", "3.8"),
        ("<3.10.5", "3.10"),
        ("<=3.10", "3.10"),
        (">3.11", "3.12"),
        (">3.11.2", ""),
        (">=3.12", "3.12"),
        ("!=3.11", "3.12"),
        ("!=3.11.4", ""),
        ("~=3.9", ""),
        ("~=3.9.1", "3.9"),
        ("3.8|3.9", "3.9"),
        ("<3", "<3"),
    ],
)
def test_a_range_gives_this_python_or_the_nearest_in_it(pin: str, python: str) -> None:
    assert choose_python(pin, (3, 11)) == python
