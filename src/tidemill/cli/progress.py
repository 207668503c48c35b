"""A run as people watch it: a live table on a terminal, plain lines when piped, each step's log when asked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from io import StringIO
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from tidemill.base.frozen import slotted
from tidemill.base.ids import StepName
from tidemill.run.events import (
    FindingRaised,
    JobCreated,
    JobResumed,
    RunEvent,
    StepFinished,
    StepPreparing,
    StepReused,
    StepStarted,
)
from tidemill.run.state import Status

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

COLOURS = {
    Status.RUNNING: "cyan",
    Status.PREPARING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "bold red",
    Status.CANCELED: "yellow",
}
LINE_WIDTH = 100


@slotted
class Row:
    """What is shown of one step."""

    status: Status = Status.NOT_STARTED
    began: float = 0.0
    took_s: float | None = None
    note: str = ""
    reason: str = ""
    reused: bool = False

    def seconds(self) -> str:
        """How long it has been, or took."""
        if self.took_s is not None:
            return f"{self.took_s:.1f}s"
        return f"{monotonic() - self.began:.0f}s" if self.began else ""


class Progress:
    """A `RunObserver` and `LogObserver` that draws; use as a context manager around the run."""

    def __init__(self, *, stream_logs: bool = False, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr or StringIO()  # there is none where a caller closed it
        self._blind = False
        self._logs = stream_logs
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def _begin(self) -> None:
        """Show the table, where a person looks, as soon as there is something in it."""
        if self._live is None and self._out.isatty() and not self._logs:
            from rich.console import Console  # noqa: PLC0415 - 60 ms that a piped run need not pay
            from rich.live import Live as RichLive  # noqa: PLC0415

            self._live = RichLive(
                console=Console(file=self._out), get_renderable=self._draw, refresh_per_second=8, transient=False
            )
            self._show(self._live.start)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._show(self._live.stop)
            self._live = None

    def saw(self, events: Sequence[RunEvent]) -> None:
        """Take the facts in; say those worth a line."""
        with self._lock:
            if any(isinstance(event, JobCreated | JobResumed) for event in events):
                self._begin()
            for event in events:
                self._take(event)

    def wrote(self, step: StepName, line: str) -> None:
        """A step's line: the last one stands in the table; with `stream_logs` every one is printed."""
        text = line.rstrip()
        if self._logs:
            self._say(f"[{step}] {text}")
        elif text and step in self._rows:
            self._rows[step].note = text[:LINE_WIDTH]

    def _take(self, event: RunEvent) -> None:
        if isinstance(event, JobCreated):
            self._rows.update({str(s["name"]): Row() for s in event.steps if "name" in s})
            self._announce(f"job {event.job}: {len(event.steps)} step{'' if len(event.steps) == 1 else 's'}")
        elif isinstance(event, JobResumed):
            self._announce(f"job {event.job}: taken up again")
        elif isinstance(event, StepPreparing):
            self._row(event.step, Status.PREPARING).note = event.note
            self._say(f"{event.step}: {event.note}")
        elif isinstance(event, StepStarted):
            row = self._row(event.step, Status.RUNNING)
            row.note = row.reason = event.reason
            self._say(f"{event.step}: started ({event.reason})" if event.reason else f"{event.step}: started")
        elif isinstance(event, StepReused):
            row = self._row(event.step, Status.COMPLETED)
            row.reused, row.took_s, row.note = True, 0.0, f"reused from {event.source_job}"
            self._say(f"{event.step}: reused from {event.source_job}")
        elif isinstance(event, StepFinished):
            row = self._row(event.step, event.status)
            row.took_s = event.duration_s
            row.note = event.message.splitlines()[0][:LINE_WIDTH] if event.message else row.reason
            self._say(f"{event.step}: {event.status} in {event.duration_s:.1f}s")
        elif isinstance(event, FindingRaised):
            self._announce(
                f"{event.finding.get('severity', '')} {event.finding.get('code', '')}: {event.finding.get('message', '')}"
            )

    def _row(self, step: StepName, status: Status) -> Row:
        row = self._rows.setdefault(step, Row())
        row.status = status
        row.began = row.began or monotonic()
        return row

    def _say(self, text: str) -> None:
        """A plain line; on a terminal the table says it."""
        if self._live is None:
            self._show(lambda: print(text, file=self._out, flush=True))

    def _show(self, draw: Callable[[], object]) -> None:
        """As long as somebody may look: a terminal that went, a closed pipe or a full disk must not end a run."""
        if not self._blind:
            try:
                draw()
            except (OSError, ValueError):
                self._blind = True

    def _announce(self, text: str) -> None:
        """A line that no table has room for: on a terminal it stands above the table, and stays."""
        if self._live:
            console = self._live.console
            self._show(lambda: console.print(text, markup=False, highlight=False, soft_wrap=True))
        self._say(text)

    def _draw(self) -> Table:
        from rich.table import Table as RichTable  # noqa: PLC0415

        table = RichTable(box=None, pad_edge=False)
        for heading in ("Step", "Status", "Time", ""):
            table.add_column(heading, no_wrap=True)
        for name, row in _in_families(list(self._rows.items())):
            word = "Reused" if row.reused else str(row.status)
            colour = COLOURS.get(row.status, "dim")
            table.add_row(name, f"[{colour}]{word}[/{colour}]", row.seconds(), _plain(row.note))
        return table


def _in_families(rows: Sequence[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """The rounds of a loop and the items of a fan-out below it, whenever they came."""
    places = {name: place for place, (name, _) in enumerate(rows)}
    return sorted(rows, key=lambda row: places.get(row[0].partition(".")[0], places[row[0]]))


def _plain(text: str) -> str:
    """Text a log wrote must not be read as markup."""
    return text.replace("[", "\\[")
