"""AutoML's trials as processes of their own: so many at once, each on its share of the cores, ended when its time is over."""

import ctypes
import multiprocessing
import signal
import sys
import time
from multiprocessing.connection import wait

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Pool:
    """Runs at most `workers` measurements at once. Nothing is learned in this process, so that it can be forked safely."""

    def __init__(self, workers, threads):
        self.workers, self._threads = workers, threads
        # a fork shares the tables; elsewhere than on Linux libraries forbid it, and they are sent
        self._kind = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._running = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for key in list(self._running):
            self._end(key)

    @property
    def free(self):
        """How many more may start now."""
        return self.workers - len(self._running)

    def start(self, key, function, args, timeout_s=None):
        """Have `function(*args)` called; `ended` tells of it under its key."""
        here, there = self._kind.Pipe(duplex=False)
        process = self._kind.Process(target=_call, args=(there, self._threads, function, args), daemon=True)
        now = time.monotonic()
        process.start()
        there.close()
        self._running[key] = (process, here, now, now + timeout_s if timeout_s else None)

    def ended(self, until):
        """Key, seconds and outcome of those that have ended, as soon as one has: what was returned, and an error's text.

        Empty when nothing runs, or nothing has ended by `until`.
        """
        found = []
        while self._running and not found:
            limits = [limit for *_, limit in self._running.values() if limit is not None]
            left = max(0.0, min([until, *limits]) - time.monotonic())
            ready = wait([pipe for _, pipe, *_ in self._running.values()], left)
            found = [self._take(key, pipe in ready) for key, (_, pipe, *_) in list(self._running.items())]
            found = [one for one in found if one is not None]
            if time.monotonic() >= until:
                break
        return found

    def _take(self, key, is_ready):
        process, pipe, started, limit = self._running[key]
        now = time.monotonic()
        late = limit is not None and now >= limit
        if not is_ready and not late:
            return None
        value, error = None, "it took longer than %.0f s" % (now - started)
        if is_ready:
            try:
                value, error = pipe.recv()
            except EOFError:
                process.join()
                error = "its process was killed by signal %d" % -process.exitcode
        self._end(key)
        return key, now - started, value, error

    def _end(self, key):
        process, pipe, *_ = self._running.pop(key)
        process.kill()
        process.join()
        pipe.close()


def _call(pipe, threads, function, args):
    """What a process does: answer once."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(threads):
            answer = (function(*args), "")
    except Exception as exc:  # a model that cannot be trained is a trial that failed, whatever its library raises
        answer = (None, "%s: %s" % (type(exc).__name__, str(exc).strip().split("\n")[0][:200]))
    pipe.send(answer)
    pipe.close()
