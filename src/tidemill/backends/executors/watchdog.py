"""A tiny process that ends what a killed run leaves behind, at once."""

from __future__ import annotations

import contextlib
import threading

from tidemill.base import proc

# Reads `+ group` and `- group`; when the pipe closes, the writer is gone, and what is still listed must go too.
SCRIPT = r"""
trap '' TERM INT HUP
declare -A groups
while read -r op group; do
  if [ "$op" = + ]; then groups[$group]=1; else unset "groups[$group]"; fi
done
[ "${#groups[@]}" = 0 ] && exit 0
for group in "${!groups[@]}"; do kill -TERM -- "-$group"; done 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
  alive=
  for group in "${!groups[@]}"; do kill -0 -- "-$group" 2>/dev/null && alive=1; done
  [ -z "$alive" ] && exit 0
  sleep 0.2
done
for group in "${!groups[@]}"; do kill -KILL -- "-$group"; done 2>/dev/null
"""


class Watchdog:
    """Is told which process groups run; outlives this process just long enough to end them."""

    def __init__(self) -> None:
        self._process: proc.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def watch(self, group: int) -> None:
        """From now on `group` must not outlive this process."""
        with self._lock:
            if self._process is None:
                self._process = proc.start(["bash", "-c", SCRIPT], stdout=proc.DEVNULL, stdin=proc.PIPE)
            self._tell(f"+ {group}\n")

    def unwatch(self, group: int) -> None:
        """`group` has ended."""
        with self._lock:
            self._tell(f"- {group}\n")

    def close(self) -> None:
        """Nothing is left to watch."""
        with self._lock:
            process, self._process = self._process, None
        if process and process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()

    def _tell(self, line: str) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()
