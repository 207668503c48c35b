"""A real PostgreSQL server of a test's own: made, started, stopped."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port
from tidemill.base import proc

PASSWORD = "s3cr@t:pass/word"
QUOTED = "s3cr%40t%3Apass%2Fword"


@dataclass(frozen=True)
class Server:
    """Where it is, and how to stop and start it."""

    folder: Path
    programs: Path
    port: int

    def url(self, database: str = "postgres", password: str = QUOTED) -> str:
        return f"postgresql://tidemill:{password}@127.0.0.1:{self.port}/{database}"

    def ctl(self, *words: str) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        base = [str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log")]
        _as_owner([*base, "-o", options, *words])

    def restart(self) -> None:
        self.ctl("restart", "-m", "immediate")


@contextmanager
def running_server() -> Iterator[Server]:
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="tmpg", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    (folder / "pw").write_text(PASSWORD)
    (folder / "pw").chmod(0o644)
    server = Server(folder, programs, free_port())
    try:
        words = ["-U", "tidemill", "--pwfile", str(folder / "pw"), "-A", "scram-sha-256", "--no-sync"]
        _as_owner([str(programs / "initdb"), "-D", str(folder / "data"), *words])
        server.ctl("start")
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.ctl("stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.get_exec_path())]
    for place in places:
        if (place / "initdb").exists():
            return place
    pytest.skip("PostgreSQL's programs are not installed")


def _as_owner(argv: list[str]) -> None:
    """PostgreSQL refuses to run as root."""
    done = proc.run(["runuser", "-u", "postgres", "--", *argv] if os.geteuid() == 0 else argv, cwd=Path("/tmp"))
    assert done.returncode == 0, done.stdout + done.stderr
