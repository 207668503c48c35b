"""What a log may show of a secret."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from tidemill.base.spellings import spellings

SECRET = 's3cr3t/välue+"1"'


def mask(text: str) -> str:
    for form in spellings([SECRET], shortest=6):
        text = text.replace(form, "***")
    return text


@pytest.mark.parametrize(
    "text", [SECRET, json.dumps([SECRET]), json.dumps([SECRET], ensure_ascii=False), f"x?sig={quote(SECRET, safe='')}"]
)
def test_a_secret_is_known_as_json_and_urls_write_it(text: str) -> None:
    assert "s3cr3t" not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize("before", ["", "u", "me", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "\n", "ab", "abc"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_is_known_in_base64_wherever_it_stands(before: str, after: str, encode: object) -> None:
    text = encode((before + SECRET + after).encode()).decode()  # type: ignore[operator]
    shown = mask(text)
    assert "***" in shown
    assert len(shown) <= len(before) * 4 // 3 + len(after) * 4 // 3 + 3 + 6


def test_what_is_too_short_to_be_told_from_words_is_left_out() -> None:
    assert all(len(form) >= 6 for form in spellings(["abcdef", "ab"], shortest=6))
