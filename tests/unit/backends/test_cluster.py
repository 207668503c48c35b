"""What back ends share that speak to a cluster."""

from __future__ import annotations

import sys

from tidemill.base import proc

MANY = """
import sys, threading
from lightkube.core.decoders import decode_list
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod
from tidemill.backends.cluster import learn_kinds
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
def use():
    start.wait()
    learn_kinds(Job, Pod)
    for kind in (Job, Pod):
        kind.from_dict({"metadata": {"name": "x"}})
        decode_list(b'{"items": [{}]}', kind)
threads = [threading.Thread(target=use) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print("all there")
"""


def test_threads_that_speak_to_a_cluster_for_the_first_time_at_once_do_not_crash_the_interpreter() -> None:
    done = proc.run([sys.executable, "-c", MANY], timeout_s=60)
    assert (done.returncode, done.stdout) == (0, "all there\n"), done.stderr
