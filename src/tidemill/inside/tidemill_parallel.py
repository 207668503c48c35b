"""The head of a parallel step, run by the step's own Python: splits the data, feeds workers, counts what failed."""

import json
import os
import queue
import select
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from tidemill_split import Refused, split  # noqa: E402 - it lies beside this script, wherever that is

WORKER = os.path.join(HERE, "tidemill_worker.py")
READ_BYTES = 1 << 16
LOOK_S = 0.5
LAST_S = 10  # from the end of the pipe to the end of the process
INIT_FAILED, TOO_MANY_FAILED = 3, 4


def say(words):
    """A line in the step's log that is marked as ours."""
    sys.stderr.write("tidemill: %s\n" % words)
    sys.stderr.flush()


class Worker:
    """One process with the entry script loaded; it answers in lines of JSON on a pipe of its own."""

    def __init__(self, config_file, environment):
        ask_in, self._ask = os.pipe()
        self._answer, answer_out = os.pipe()
        self._rest = b""
        self.is_gone = False
        self._process = subprocess.Popen(
            [sys.executable, WORKER, config_file, str(ask_in), str(answer_out)],
            pass_fds=(ask_in, answer_out), stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        os.close(ask_in)
        os.close(answer_out)

    def ask(self, message):
        """Hand over a mini batch."""
        try:
            _write_all(self._ask, (json.dumps(message) + "\n").encode())
        except BrokenPipeError:
            pass  # the silence that follows says it

    def hear(self, patience_s, is_over):
        """The next answer; None when the time is over, the process is gone, or the whole step `is_over`."""
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or is_over():
                return None
            if not select.select([self._answer], [], [], min(left, LOOK_S))[0]:
                continue
            read = os.read(self._answer, READ_BYTES)
            if not read:
                self.is_gone = True
                return None
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line.decode())

    def end(self, patience_s):
        """Let it shut down; insist when it takes too long. Its exit code."""
        os.close(self._ask)
        try:
            self._process.wait(LAST_S if self.is_gone else patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answer)
        return self._process.returncode


def _write_all(handle, data):
    while data:
        data = data[os.write(handle, data) :]


class Head:
    """The counts, the queue, and a thread for each worker."""

    def __init__(self, config_file, config, batches):
        self._file, self._config, self._batches = config_file, config, batches
        self._queue = queue.Queue()  # SimpleQueue.get with a timeout may wait for ever when several threads get
        self._lock = threading.Lock()
        part, parts = config.get("part", (0, 1))
        mine = range(part, len(batches), parts)
        self._left = self._mine = len(mine)
        self.count = {
            "mini_batches": len(mine),
            "completed": 0,
            "failed": 0,
            "items": 0,
            "failed_items": 0,
            "retries": 0,
        }
        self.refusal = None
        self.last = ""
        self.code = 0
        for index in mine:
            items = self._done_before(index)
            if items is None:
                self._queue.put((index, 0))
            else:
                self.count["completed"] += 1
                self._note_items(items, 0)

    def run(self):
        """Work until every mini batch has ended or too many have failed."""
        workers = min(max(1, self._config["workers"]), self._left)
        before = self._mine - self._left
        known = ", %d were done before" % before if before else ""
        say("%d mini batches for %d workers%s" % (self._mine, workers, known))
        threads = [threading.Thread(target=self._work, args=(n,)) for n in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        percent = 100.0 * self.count["failed"] / max(1, self._mine)
        if "part" in self._config:
            return  # what all parts together may fail is judged where they come together
        if not self.refusal and percent > self._config["allowed_failed_percent"]:
            self._refuse(
                "%.0f%% of the mini batches failed; %d%% are allowed"
                % (percent, self._config["allowed_failed_percent"]),
                TOO_MANY_FAILED,
            )

    def _work(self, number):
        worker = None
        try:
            while not self.refusal:
                try:
                    index, tried = self._queue.get(timeout=0.05)
                except queue.Empty:
                    if self._left <= 0:
                        break
                    continue
                worker = worker or self._start(number)
                if worker is None:
                    break
                worker = self._try(worker, index, tried)
        finally:
            if worker:
                worker.end(self._config["shutdown_s"])

    def _is_over(self):
        return self.refusal is not None

    def _start(self, number):
        environment = dict(os.environ, AZUREML_PARALLEL_WORKER=str(number))
        worker = Worker(self._file, environment)
        answer = worker.hear(self._config["init_s"], self._is_over)
        if answer and answer.get("ready"):
            return worker
        if self.refusal:
            worker.end(0)
            return None
        code = worker.end(0 if answer is None else self._config["shutdown_s"])
        if answer:
            self._refuse("init() failed: %s" % answer["error"], INIT_FAILED)
        elif worker.is_gone:
            self._refuse("the entry script ended with exit code %d before it was ready" % code, INIT_FAILED)
        else:
            self._refuse("init() did not end within %g s" % self._config["init_s"], INIT_FAILED)
        return None

    def _try(self, worker, index, tried):
        """One mini batch on one worker; the worker, or None if it is no good any more."""
        worker.ask(dict(self._batches[index], index=index))
        loaded = worker.hear(self._config["overhead_s"], self._is_over)
        if loaded is None or "error" in loaded:
            alive = self._keep(worker, loaded)
            self._failed(index, tried, 1, _why(loaded, "its data could not be loaded"))
            return alive
        answer = worker.hear(self._config["timeout_s"], self._is_over)
        if answer is None or "error" in answer:
            alive = self._keep(worker, answer)
            self._failed(
                index,
                tried,
                loaded["items"],
                _why(answer, "run() did not end within %g s, or its process died" % self._config["timeout_s"]),
            )
            return alive
        self._completed(index, loaded["items"], answer["returned"])
        return worker

    def _keep(self, worker, answer):
        if answer is not None:
            return worker
        worker.end(0)
        return None

    def _failed(self, index, tried, items, why):
        with self._lock:
            if self.refusal:
                return
            if tried < self._config["max_retries"]:
                self.count["retries"] += 1
                say("mini batch %d failed (%s); it is tried again" % (index, why))
                self._queue.put((index, tried + 1))
                return
            say("mini batch %d failed: %s" % (index, why))
            self.count["failed"] += 1
            self._note_items(items, items)
        self._judge(why)

    def _completed(self, index, items, returned):
        missing = max(0, items - returned)
        with self._lock:
            self.count["failed" if missing else "completed"] += 1
            self._note_items(items, missing)
        if not missing:
            self._note_done(index, items)
        if missing:
            say("mini batch %d gave %d results for %d items" % (index, returned, items))
            self._judge("run() gave fewer results than items")

    def _mark(self, index):
        return os.path.join(self._config["work"], "done-%d" % index)

    def _done_before(self, index):
        """Items of a mini batch that completed before the step was interrupted."""
        try:
            with open(self._mark(index)) as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def _note_done(self, index, items):
        with open(self._mark(index) + ".part", "w") as file:
            file.write(str(items))
        os.replace(self._mark(index) + ".part", self._mark(index))

    def _note_items(self, items, failed):
        self.count["items"] += items
        self.count["failed_items"] += failed
        self._left -= 1

    def _judge(self, why):
        """Stop when more has failed than may."""
        self.last = why
        for name, counted in (("mini_batch_error_threshold", "failed"), ("error_threshold", "failed_items")):
            limit = self._config[name]
            if 0 <= limit < self.count[counted]:
                what = "mini batches" if counted == "failed" else "items"
                self._refuse(
                    "%d %s failed, `%s` is %d; the last: %s" % (self.count[counted], what, name, limit, why),
                    TOO_MANY_FAILED,
                )

    def _refuse(self, why, code):
        with self._lock:
            if self.refusal is None:
                self.refusal, self.code = why, code


def _why(answer, otherwise):
    return answer["error"] if answer else otherwise


def gather(config, count):
    """All results in the order of the mini batches, whoever was first."""
    target = config["append_to"]
    if not target:
        return
    if os.path.isdir(target):
        target = os.path.join(target, config["append_name"])
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as out:
        for index in range(count):
            path = os.path.join(config["work"], "result-%d" % index)
            if os.path.exists(path):
                with open(path, "rb") as part:
                    out.write(part.read())


def main(config_file):
    """Run the whole step; the exit code says how it went, `summary.json` why."""
    with open(config_file) as file:
        config = json.load(file)
    summary = {"error": None}
    try:
        batches = split(config)
        if not batches:
            raise Refused("`%s` holds no data" % config["input"])
        head = Head(config_file, config, batches)
        head.run()
        summary.update(head.count, error=head.refusal)
        code = head.code
        summary.update(all=len(batches), last=head.last)
        if not code and "part" not in config:
            gather(config, len(batches))
    except Refused as exc:
        summary["error"], code = str(exc), INIT_FAILED
    with open(config["summary"], "w") as file:
        json.dump(summary, file)
    say(summary["error"] or "%(completed)d of %(mini_batches)d mini batches completed, %(failed)d failed" % summary)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
