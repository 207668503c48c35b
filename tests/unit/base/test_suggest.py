"""Did you mean …?"""

from __future__ import annotations

import pytest

from tidemill.base.suggest import is_slip


@pytest.mark.parametrize(
    "name", ["trian-env", "train-en", "tran-env", "train-envv", "xrain-env", "train_env", "ttrain-env", "rain-env"]
)
def test_one_letter_off_is_a_slip(name: str) -> None:
    assert is_slip(name, "train-env")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("train-env", "train-env"),
        ("train-env-gpu", "train-env"),
        ("digit-1", "digit-2"),
        ("digit-1", "digit-12"),
        ("data-cats", "data-dogs"),
        ("cats", "cat"),
        ("", "train"),
    ],
)
def test_another_name_is_none(name: str, meant: str) -> None:
    assert not is_slip(name, meant)
    assert not is_slip(meant, name)
