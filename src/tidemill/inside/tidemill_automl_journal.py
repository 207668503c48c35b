"""What an AutoML search has done, line by line: one that is interrupted goes on where it was, with the time it has left."""

import json
import os
import time


class Journal:
    """Measurements that have ended, by what was measured, and the seconds that the search has taken so far."""

    def __init__(self, path):
        self._path = path
        lines = _whole_lines(path)
        self._before_s = max([line["spent_s"] for line in lines], default=0.0)
        self._ended = {line["what"]: line for line in lines if "what" in line}
        self._began = time.monotonic()

    @property
    def spent_s(self):
        """Seconds that the search has taken, those before it was interrupted included."""
        return self._before_s + time.monotonic() - self._began

    @property
    def kept(self):
        """How many measurements of before are not taken up yet."""
        return len(self._ended)

    def take(self, what):
        """Seconds, metrics and error of what had been measured before, once; None if it has to be measured."""
        line = self._ended.pop(what, None)
        return line and (line["seconds"], line["metrics"], line["error"])

    def note(self, what, seconds, metrics, error):
        """A measurement has ended."""
        self._write({"what": what, "seconds": seconds, "metrics": metrics, "error": error})

    def tick(self):
        """So much time has passed: what is killed now has taken it."""
        self._write({})

    def _write(self, line):
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"spent_s": self.spent_s, **line}, default=_plain) + "\n")


def name_of(lane, config):
    """What a trial measures: a configuration of one algorithm's search."""
    return "%d %s" % (lane, json.dumps(config, sort_keys=True, default=_plain))


def _whole_lines(path):
    """The lines that were written to their end; what a kill left of another one is cut off."""
    if not os.path.exists(path):
        return []
    with open(path, "rb+") as file:
        data = file.read()
        end = data.rfind(b"\n") + 1
        file.truncate(end)
    return [json.loads(line) for line in data[:end].splitlines()]


def _plain(value):
    """Numbers of numpy's as Python's."""
    return value.item()
