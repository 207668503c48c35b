"""Calls of a model that exits."""

from __future__ import annotations

import sys

import pytest

from tidemill.serve.hang import Calls, ModelExitError


def test_a_model_that_exits_has_failed_on_the_request_and_not_ended_the_server() -> None:
    calls = Calls(1.0)
    with pytest.raises(ModelExitError, match=r"raised SystemExit\(3\)"):
        calls.watched(sys.exit)(3)
    with pytest.raises(ModelExitError, match=r"raised SystemExit\(4\)"):
        calls.on_loop(sys.exit, 4)
    assert not calls.hang()
