"""What running needs from outside, and the values that cross those borders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NewType, Protocol, runtime_checkable

from tidemill.base.frozen import frozen
from tidemill.base.ids import JobName, StepName
from tidemill.run.models import ModelRequest, ModelSearch, ModelVersion

if TYPE_CHECKING:
    from tidemill.base.findings import Finding
    from tidemill.base.hashing import StampCache, TreeEntry
    from tidemill.plan.graph import DataRef, EnvironmentRef, Resources, Step
    from tidemill.run.events import RunEvent

Ticket = NewType("Ticket", str)
Say = Callable[[str], None]
LOCAL = "local"


@frozen
class PreparedEnvironment:
    """An interpreter and what to add around it. `key` is its content; `relaxed` names pins that were loosened.

    `version` is the Python (`3.11`) that its packages were made for where the interpreter is an image's own.
    """

    python: Path
    path_prefix: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    key: str = "host"
    relaxed: tuple[str, ...] = ()
    image: str | None = None
    version: str = ""


@frozen
class Task:
    """One command to run to its end, staged on this machine.

    Everything the command may read is below `folder` or is in `reads` (links that lead out of it); everything it
    may write is below `folder`. `command` is shell text for `bash -c` in `cwd`, or `argv` is exact. It is started
    once per mapping in `processes`, each added to `env`. An executor elsewhere gives it the same paths, and brings
    `writes` and `log` back before it says that the task ended. `left` are handles of what a killed run started for the
    same step: an executor that `TakesUp` goes on with one of those. `apart` is a part of something that several
    machines are to share. `grows` are files of lines it appends to, brought back while it runs by all but Azure ML.
    One with a `search` has no command, for an executor that `SearchesModels`.
    """

    ticket: Ticket
    job: JobName
    step: StepName
    folder: Path
    cwd: Path
    command: str
    env: Mapping[str, str]
    log: Path
    environment: PreparedEnvironment
    resources: Resources
    argv: tuple[str, ...] = ()
    reads: Mapping[str, Path] = field(default_factory=dict)
    writes: tuple[Path, ...] = ()
    processes: tuple[Mapping[str, str], ...] = ({},)
    timeout_s: float | None = None
    secrets: tuple[str, ...] = ()
    compute: str | None = None
    left: tuple[str, ...] = ()
    apart: bool = False
    grows: tuple[Path, ...] = ()
    search: ModelSearch | None = None


@frozen
class TaskEnd:
    """How a task ended. `lost` means the machine or cluster went away, so that trying again makes sense."""

    exit_code: int | None
    canceled: bool = False
    timed_out: bool = False
    lost: bool = False
    message: str = ""
    usage: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.exit_code == 0 and not (self.canceled or self.timed_out or self.lost)


@frozen
class TaskWatch:
    """Who hears of a task, from any thread: its handle (once), each line if `wrote` is given, its end (once)."""

    started: Callable[[str], None]
    ended: Callable[[TaskEnd], None]
    wrote: Callable[[str], None] | None = None


class Executor(Protocol):
    """Somewhere commands run."""

    @property
    def slots(self) -> int:
        """How many tasks may usefully run at once."""
        ...

    def submit(self, task: Task, watch: TaskWatch) -> None:
        """Start `task` and return at once.

        `watch.started` gets a handle that `reap` understands; `watch.ended` is called exactly once, also when the
        task could not start or was canceled.
        """
        ...

    def cancel(self, ticket: Ticket) -> None:
        """Ask the task to end, politely first, then by force; safe to repeat, unknown tickets are ignored."""
        ...

    def reap(self, job: JobName, handles: Iterable[str], spare: Collection[str] = ()) -> int:
        """End whatever a killed run of `job` left behind, but for the handles in `spare`; how many were found."""
        ...

    def close(self) -> None:
        """End everything still running."""
        ...


@frozen
class Artifact:
    """An output kept by content: `ref` is `folder:<sha256>` or `file:<sha256>`."""

    ref: str
    size_bytes: int
    file_count: int


class ArtifactStore(Protocol):
    """Bytes written once and addressed by digest."""

    def keep(self, path: Path, *, copy: bool = False) -> Artifact:
        """Take in a folder or file. Its files may become read-only links to what is kept, unless `copy`."""
        ...

    def place(self, ref: str, target: Path, *, writable: bool = False) -> None:
        """Make the artifact appear at `target`, by links (copies if `writable`); `KeyError` if it is not whole."""
        ...

    def is_whole(self, ref: str) -> bool:
        """Whether everything is there and unchanged; what is corrupt is dropped, so that it can be kept anew."""
        ...

    def entries(self, ref: str) -> tuple[TreeEntry, ...] | None:
        """The files of a kept or remembered folder, sorted by path; None if unknown."""
        ...

    def remember(self, entries: Sequence[TreeEntry]) -> str:
        """Keep only a folder's list of files, so that a later change can be explained; its ref."""
        ...

    def in_use(self) -> AbstractContextManager[None]:
        """While it is held, nothing that was kept or found whole is collected as garbage."""
        ...


@frozen
class Remembered:
    """Outputs of a step that completed under the same key, and what was noticed then."""

    job: str
    step: str
    outputs: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    findings: Sequence[Mapping[str, Any]] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


class StepCache(Protocol):
    """What past runs know about steps."""

    def find(self, key: str) -> Remembered | None:
        """Outputs kept under that key."""
        ...

    def forget(self, key: str) -> None:
        """Drop an entry that proved broken."""
        ...

    def last_parts(self, scope: str, step: str) -> Mapping[str, str] | None:
        """What the key of that step was made of the last time it completed in that pipeline."""
        ...


class RunObserver(Protocol):
    """Hears every fact, in order, in batches, from one thread at a time."""

    def saw(self, events: Sequence[RunEvent]) -> None: ...


@runtime_checkable
class LogObserver(Protocol):
    """Hears each line a step writes; called from many threads. An observer that has no `wrote` is not asked."""

    def wrote(self, step: StepName, line: str) -> None: ...


class EnvironmentProvider(Protocol):
    """Makes environments ready; the same one is built once even if ten steps ask at the same time."""

    def prepare(self, environment: EnvironmentRef, say: Say) -> PreparedEnvironment:
        """Build it or find it. Progress goes to `say`."""
        ...

    def key(self, environment: EnvironmentRef) -> str:
        """What decides whether a step in it can be reused, without building anything."""
        ...


@runtime_checkable
class ComparesEnvironments(Protocol):
    """An `EnvironmentProvider` that remembers what it built."""

    def compare(self, before: str, environment: EnvironmentRef) -> str:
        """What is other in it than in the one with that key, in a few words; empty when that is not known."""
        ...


class ModelRegistrar(Protocol):
    """Registers models for `register_model` steps."""

    def register(self, request: ModelRequest) -> ModelVersion: ...


class DataAccess(Protocol):
    """Turns what documents call data into paths on this machine."""

    def find_local(self, uri: str) -> Path | None:
        """The path of this machine that is meant, whether or not anything is there; None for what is elsewhere. Asks nobody."""
        ...

    def fetch(self, ref: DataRef, say: Say) -> Path:
        """A local path with the bytes (downloaded and verified if need be)."""
        ...

    def mirror(self, uri: str, say: Say) -> Path:
        """A folder of files that never change once they are there, as it is there now; only new ones are brought."""
        ...

    def send(self, source: Path, uri: str) -> None:
        """Write a file to a URL."""
        ...

    def publish(self, ref: str, destination: str, artifacts: ArtifactStore) -> None:
        """Put an output where the document sends it."""
        ...


class Tracker(Protocol):
    """Experiment tracking inside steps. Must cost nothing to a step that does not use it."""

    def begin(self, job: JobName, step: Step, folder: Path) -> Mapping[str, str]:
        """Environment variables that make `mlflow` and `azureml.core.Run` reach the step's run."""
        ...

    def end(self, job: JobName, step: Step, folder: Path, *, ok: bool) -> Mapping[str, float]:
        """The last value of each metric the step logged."""
        ...

    def values(self, folder: Path, metric: str) -> Sequence[float]:
        """Each value of a metric that the step in `folder` has logged so far, also while it runs."""
        ...


@frozen
class SearchRequest:
    """A search by `bayesian` or `sobol`. `dimensions` have so many choices each, or 0 for a number in (0, 1)."""

    dimensions: Mapping[str, int]
    method: str
    seed: int
    maximize: bool


class TrialSearch(Protocol):
    """Chooses trials by what earlier ones measured."""

    def ask(self, number: int) -> Mapping[str, float]:
        """The point of trial `number`: an index for choices, a number in (0, 1) for the rest."""
        ...

    def tell(self, number: int, point: Mapping[str, float], score: float | None) -> None:
        """How a trial ended, asked for here or before a crash; no score means that it failed."""
        ...


class DataRegistrar(Protocol):
    """Registers outputs that the document names as data assets."""

    def register_data(self, name: str, version: str | None, ref: str, path: Path, kind: str) -> str:
        """The version it got."""
        ...


class Meter(Protocol):
    """Knows what computes cost."""

    def check(self, step: Step) -> Finding | None:
        """Whether a step may still start: `FailedError` once the budget is spent; a finding, once, when it nearly is."""
        ...

    def cost(self, step: Step, duration_s: float) -> float | None:
        """What a step that took so long cost; None where its compute has no price."""
        ...


class WorkspaceLocks(Protocol):
    """Mutual exclusion across processes of one workspace; a lock goes with its process."""

    def job(self, job: JobName) -> AbstractContextManager[None]:
        """Held while a job is driven; `ConflictError` at once if another process drives it."""
        ...

    def step(self, key: str, give_up: Callable[[], bool]) -> AbstractContextManager[None]:
        """Held while a step with that key runs; waits, since the other run's result can then be reused.

        `ConflictError` when `give_up` says so while it waits.
        """
        ...


@frozen
class RunPorts:
    """Everything `execute` is handed."""

    home: Path
    executors: Mapping[str, Executor]
    artifacts: ArtifactStore
    cache: StepCache
    environments: EnvironmentProvider
    data: DataAccess
    locks: WorkspaceLocks
    stamps: Callable[[Path], AbstractContextManager[StampCache]]
    observers: tuple[RunObserver, ...] = ()
    log_observers: tuple[LogObserver, ...] = ()
    models: ModelRegistrar | None = None
    datasets: DataRegistrar | None = None
    tracker: Tracker | None = None
    meter: Meter | None = None
    searches: Callable[[SearchRequest], TrialSearch] | None = None
    place_compute: Callable[[str | None], str] = lambda _: LOCAL
    gpus: Callable[[], Sequence[str]] = tuple
