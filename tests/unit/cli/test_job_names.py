"""Every verb of a job takes its name as az does, and bare."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run

VERBS = ("show", "stream", "download", "cancel", "resume", "archive", "restore", "update", "show-services")


@pytest.mark.parametrize("verb", VERBS)
def test_a_job_is_named_by_option_or_bare(tidemill: Run, verb: str) -> None:
    for words in (("-n", "x"), ("--name", "x"), ("x",)):
        assert "There is no job `x`" in tidemill("job", verb, *words, code=1).stderr
    assert "Which job?" in tidemill("job", verb, code=2).stderr
    assert "Two names: `x` and `-n y`" in tidemill("job", verb, "x", "-n", "y", code=2).stderr
