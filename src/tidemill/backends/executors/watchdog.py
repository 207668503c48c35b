"""A tiny process that ends what a killed run leaves behind, at once."""

from __future__ import annotations

import contextlib
import threading

from tidemill.base import proc

# Reads `= 0 tag` before something is started, `+ group tag mark` once it was, and `- group` when it has ended; when the pipe
# closes, the writer is gone, and what is still listed must go too: what was just being started, the groups, and whatever left
# them but carries the tag (a limit) or the mark (a variable). The mark is the job's: it is looked for once, at once, since
# whoever takes the job up again starts processes that bear it, too. A tag is of one writer.
SCRIPT = r"""
trap '' TERM INT HUP
groups=() tags=() marks=() soon=()
while read -r op group tag mark; do
  case $op in
    =) soon[$tag]=1 ;;
    +) unset "soon[$tag]"; groups[$group]=1 tags[$group]=$tag marks[$group]=$mark ;;
    -) unset "groups[$group]" ;;
  esac
done
[ "${#groups[@]} ${#soon[@]}" = "0 0" ] && exit 0
tagged() {
  grep -lE "^Max file locks +$1 " /proc/[0-9]*/limits 2>/dev/null | tr -cd '0-9
'
}
list() {
  for tag in "${!soon[@]}"; do tagged "$tag"; done
  for group in "${!groups[@]}"; do
    kill -0 -- "-$group" && echo "-$group"
    tagged "${tags[$group]}"
  done 2>/dev/null
}
marked() {
  for group in "${!groups[@]}"; do
    grep -lzxF "TIDEMILL_TASK_OF=${marks[$group]}" /proc/[0-9]*/environ | tr -cd '0-9
'
  done 2>/dev/null
}
known=$(marked)
left="$(list) $known"
kill -TERM -- $left 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
  left=$(list; for one in $known; do kill -0 "$one" && echo "$one"; done 2>/dev/null)
  [ -z "$left" ] && exit 0
  sleep 0.2
done
kill -KILL -- $left 2>/dev/null
"""


class Watchdog:
    """Is told which process groups run; outlives this process just long enough to end them."""

    def __init__(self) -> None:
        self._process: proc.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def expect(self, tag: int) -> None:
        """Something that carries `tag` is about to be started, and must not outlive this process from its first moment on."""
        with self._lock:
            if self._process is None:
                self._process = proc.start(["bash", "-c", SCRIPT], stdout=proc.DEVNULL, stdin=proc.PIPE)
            self._tell(f"= 0 {tag}\n")

    def watch(self, group: int, tag: int, mark: str) -> None:
        """It was started: from now on `group`, and all that carries `tag` or `mark`, must not outlive this process."""
        with self._lock:
            self._tell(f"+ {group} {tag} {mark}\n")

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
