from __future__ import annotations

import re
from pathlib import Path

import tidemill
from tidemill.spec.codes import CODES, ROWS

SOURCES = Path(tidemill.__file__).parent
CODE = re.compile(r"\"(TM-[A-Z]\d{2,3})\"")


def test_every_code_stands_once_and_says_everything() -> None:
    assert len(CODES) == len(ROWS)
    for row in ROWS:
        assert all(row), row.code


def test_every_code_the_product_gives_is_explained() -> None:
    given = {code for path in SOURCES.rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}
    assert given <= set(CODES)
