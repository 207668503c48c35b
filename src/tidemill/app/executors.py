"""Where steps run: this machine, unless a compute is mapped elsewhere or the command says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from tidemill.backends.table import known, load
from tidemill.base.errors import UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.run.ports import EnvironmentProvider, Executor
from tidemill.spec.project import ComputeMapping

LOCAL = "local"
OUTLIVING = ("azureml", "kubernetes")  # where what a killed run left goes on running


class Executors(Mapping[str, Executor]):
    """Executors by name, each opened when the first step wants it: `local`, and one for each compute that is mapped.

    `workspace` is its home, and what makes environments on this machine. `chosen` is what `--executor` said: everything
    runs there.
    """

    def __init__(
        self,
        local: Callable[[], Executor],
        mapped: Mapping[str, ComputeMapping],
        stack: ExitStack,
        workspace: tuple[Path, EnvironmentProvider],
        chosen: str = "",
    ) -> None:
        if chosen and chosen not in known("executors"):
            raise UsageError(f"There is no executor `{chosen}`", hint=did_you_mean(chosen, known("executors")))
        self._local = local
        self._mapped = {n: m for n, m in mapped.items() if m.executor != LOCAL}
        self._stack = stack
        self._workspace = workspace
        self._chosen = chosen
        self._opened: dict[str, Executor] = {}

    def place(self, compute: str | None) -> str:
        """The name of the executor that runs what is meant for a compute."""
        if self._chosen:
            return self._chosen
        name = (compute or "").removeprefix("azureml:").partition("@")[0]
        return name if name in self._mapped else LOCAL

    def of_kind(self, kind: str) -> Iterator[Executor]:
        """Those of the computes that are mapped to it; one by the environment's settings when none is."""
        names = [n for n, m in self._mapped.items() if m.executor == kind]
        return (self[name] for name in names or [kind])

    def __getitem__(self, name: str) -> Executor:
        """Opened now if it was not yet; `BackendError` when what it runs on does not answer."""
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter({LOCAL, *self._mapped, *filter(None, [self._chosen])})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _open(self, name: str) -> Executor:
        if name == LOCAL:
            return self._local()
        settings = self._mapped.get(name) or self._like(name)
        kind = settings.executor if name in self._mapped else name
        opened: Executor = self._stack.enter_context(closing(load("executors", kind)(settings, *self._workspace)))
        return opened

    def _like(self, kind: str) -> ComputeMapping:
        """For `--executor KIND`: the settings of the first compute that is mapped to it, else the environment's."""
        found = next((m for m in self._mapped.values() if m.executor == kind), None)
        return found or ComputeMapping(address=os.environ.get("RAY_ADDRESS") if kind == "ray" else None)
