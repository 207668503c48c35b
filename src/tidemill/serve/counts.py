"""Counts of several processes behind one port: each keeps its own in a file, and whoever is asked adds them up.

What a process that ended had counted stays in the sums: a counter that falls would be read as one that began again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.base.files import locked
from tidemill.base.proc import is_alive

ENDING, ENDED = ".counts", "ended.counts"
MANY_ENDED = 16
SUMMED = {"counter", "histogram", "summary"}


@dataclass(slots=True)
class Family:
    """One metric: what is said of it, and its samples by name and labels."""

    about: list[str] = field(default_factory=list)
    kind: str = "gauge"
    samples: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SharedCounts:
    """The folder of the files, and the name of this process's own."""

    folder: Path
    name: str = field(default_factory=lambda: f"{os.getpid()}-{time.monotonic_ns()}{ENDING}")

    def keep(self, text: bytes) -> None:
        """Replace this process's file."""
        new = self.folder / f"{self.name}.new"
        new.write_bytes(text)
        new.replace(self.folder / self.name)

    def total(self, own: bytes) -> bytes:
        """The sums over all processes, this one's as they are now."""
        self.keep(own)
        with locked(self.folder / "lock"):
            living, ended = self._files()
            if len(ended) > MANY_ENDED:
                ended = [self._together(ended)]
            texts = [(path.read_text(encoding="utf-8"), True) for path in living]
            texts += [(path.read_text(encoding="utf-8"), False) for path in ended]
        return write(add_up(texts)).encode()

    def _files(self) -> tuple[list[Path], list[Path]]:
        living: list[Path] = []
        ended: list[Path] = []
        for path in sorted(self.folder.glob(f"*{ENDING}")):
            pid = path.name.partition("-")[0]
            (living if pid.isdigit() and is_alive(int(pid)) else ended).append(path)
        return living, ended

    def _together(self, ended: list[Path]) -> Path:
        """One file in place of many. The lock is held."""
        text = write(add_up((path.read_text(encoding="utf-8"), False) for path in ended))
        for path in ended:
            path.unlink()
        kept = self.folder / ENDED
        kept.write_text(text, encoding="utf-8")
        return kept


def add_up(texts: Iterable[tuple[str, bool]]) -> dict[str, Family]:
    """Expositions, each with whether its process lives, as one: counts are added, states are those of the living."""
    found: dict[str, Family] = {}
    for text, lives in texts:
        for family, kind, name, value in _samples(text, found):
            if kind in SUMMED:
                family.samples[name] = family.samples.get(name, 0.0) + value
            elif name.partition("{")[0].endswith("_created"):
                family.samples[name] = min(family.samples.get(name, math.inf), value)
            elif lives and name.partition("{")[0].endswith("_info"):
                family.samples[name] = value
            elif lives:
                family.samples[name] = family.samples.get(name, 0.0) + value
    return found


def _samples(text: str, found: dict[str, Family]) -> Iterator[tuple[Family, str, str, float]]:
    """Each sample with its family, which is made when it is met first."""
    family, fresh = Family(), False
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            fresh = name not in found
            family = found.setdefault(name, Family())
        if line.startswith("#"):
            if line.startswith("# TYPE "):
                family.kind = line.rsplit(" ", 1)[1]
            if fresh:
                family.about.append(line)
        elif line:
            series, _, value = line.rpartition(" ")
            yield family, family.kind, series, float(value)


def write(families: dict[str, Family]) -> str:
    """As Prometheus reads it."""
    lines: list[str] = []
    for family in families.values():
        lines += [*family.about, *(f"{name} {_number(value)}" for name, value in family.samples.items())]
    return "".join(f"{line}\n" for line in lines)


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
