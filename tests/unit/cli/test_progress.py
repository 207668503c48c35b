"""A run on a terminal: a table that is drawn again and again, and lines that stay above it."""

from __future__ import annotations

import errno
from io import StringIO

from tests.waiting import until
from tidemill.base.ids import JobName, StepName
from tidemill.cli.progress import Progress
from tidemill.run.events import FindingRaised, JobCreated, StepFinished, StepStarted
from tidemill.run.state import Status

JOB, NOW = JobName("calm_yawl_0123456789"), "2026-11-21T00:00:00Z"


class Terminal(StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_says_which_job_began_and_what_the_run_noticed() -> None:
    out = Terminal()
    finding = {"severity": "warning", "code": "TM-N107", "message": "80 % of the [budget] is spent"}
    with Progress(out=out) as progress:
        progress.saw([JobCreated(JOB, NOW, steps=({"name": "prep"},))])
        progress.saw([StepStarted(JOB, NOW, step=StepName("prep"), reason="it has not run before")])
        progress.saw([FindingRaised(JOB, NOW, step=StepName("prep"), finding=finding)])
    assert f"job {JOB}: 1 step" in out.getvalue()
    assert "warning TM-N107: 80 % of the [budget] is spent" in out.getvalue()


class Gone(StringIO):
    """A place for words that is gone after the first."""

    def write(self, text: str) -> int:
        if self.tell():
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_words_that_nobody_can_take_do_not_end_the_run() -> None:
    for logs in (False, True):
        with Progress(out=Gone(), stream_logs=logs) as progress:
            progress.saw([JobCreated(JOB, NOW, steps=({"name": "prep"},))])
            progress.saw([StepStarted(JOB, NOW, step=StepName("prep"), reason="it has not run before")])
            progress.wrote(StepName("prep"), "words")
            progress.saw([FindingRaised(JOB, NOW, step=StepName("prep"), finding={"message": "noticed"})])
            progress.saw([StepFinished(JOB, NOW, step=StepName("prep"), status=Status.COMPLETED)])


def test_a_step_shows_its_last_words_while_it_runs_and_why_it_ran_when_it_has_ended() -> None:
    out = Terminal()
    with Progress(out=out) as progress:
        progress.saw([JobCreated(JOB, NOW, steps=({"name": "prep"},))])
        progress.saw([StepStarted(JOB, NOW, step=StepName("prep"), reason="it has not run before")])
        progress.wrote(StepName("prep"), "epoch 7 of 9\n")
        until(lambda: "epoch 7 of 9" in out.getvalue())
        progress.saw([StepFinished(JOB, NOW, step=StepName("prep"), status=Status.COMPLETED)])
    assert "epoch" not in out.getvalue().splitlines()[-1]


def test_rounds_stand_below_their_loop_whenever_they_came() -> None:
    out = Terminal()
    with Progress(out=out) as progress:
        progress.saw([JobCreated(JOB, NOW, steps=({"name": "loop"}, {"name": "last"}))])
        progress.saw([StepStarted(JOB, NOW, step=StepName(name)) for name in ("loop", "last", "loop.1.add")])
    names = [line.split()[0] for line in out.getvalue().splitlines() if "Running" in line]
    assert names[-3:] == ["loop", "loop.1.add", "last"]


def test_nothing_is_drawn_of_a_run_that_does_not_begin() -> None:
    out = Terminal()
    with Progress(out=out):
        pass
    assert not out.getvalue()
