"""Why pods end or do not come, in words a user can act on."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.models.core_v1 import ContainerStatus
from lightkube.resources.core_v1 import Event, Pod

from tidemill.backends.targets.causes import container_words, events_of, how_it_ended, memory_hint


def status(**state: Any) -> ContainerStatus:
    about = {"name": "server", "image": "i", "imageID": "", "ready": False, "restartCount": 2, **state}
    return ContainerStatus.from_dict(about)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ({"reason": "OOMKilled", "exitCode": 137}, "OOMKilled, exit code 137 (SIGKILL)"),
        ({"reason": "Error", "exitCode": 1}, "exit code 1"),
        ({"reason": "Error", "exitCode": 139}, "exit code 139 (SIGSEGV)"),
        ({"reason": "StartError", "exitCode": 128, "message": "no such file"}, "StartError, exit code 128: no such file"),
        ({"reason": "Completed", "exitCode": 0}, ""),
    ],
)  # fmt: skip
def test_how_a_container_ended_is_read_from_its_last_life_when_it_waits_for_the_next(
    ended: dict[str, Any], words: str
) -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert how_it_ended(status(state=waiting, lastState={"terminated": ended})) == words
    assert how_it_ended(status(state={"terminated": ended})) == words


def test_out_of_memory_names_the_limit_and_the_way_out() -> None:
    assert memory_hint("OOMKilled, exit code 137", "24Mi") == ". Its memory limit is 24Mi: raise `memory`."
    assert memory_hint("exit code 1", "24Mi") == ""


def make_pod(name: str, *, node: str = "", **more: Any) -> Pod:
    about = {"name": name, "creationTimestamp": "2026-01-01T10:00:00Z"}
    return Pod.from_dict({"metadata": about, "spec": {"containers": [], "nodeName": node or None}, "status": more})


def event(kind: str, name: str, reason: str, minute: int) -> Event:
    return Event.from_dict(
        {
            "metadata": {"name": f"e{minute}"},
            "involvedObject": {"kind": kind, "name": name},
            "reason": reason,
            "message": f"at {minute}",
            "lastTimestamp": f"2026-01-01T10:{minute:02d}:00Z",
        }
    )


def test_a_pod_without_a_node_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu"}
    assert container_words(make_pod("a", conditions=[condition]), []) == [
        "no node takes it: 0/1 nodes: Insufficient cpu"
    ]
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    words = container_words(make_pod("a"), [status(state=waiting, lastState={"terminated": {"exitCode": 3}})])
    assert words == ["container server: CrashLoopBackOff: back-off; ended 2 times, last: exit code 3"]


def test_events_are_this_versions_newest_last_and_only_what_still_matters() -> None:
    pods = [make_pod("d-blue-3-7f-x", node="n1"), make_pod("d-blue-3-7f-y")]
    events = [
        event("Pod", "d-blue-3-7f-y", "FailedScheduling", 9),
        event("Pod", "d-blue-3-7f-x", "FailedScheduling", 8),
        event("Pod", "d-blue-3-5d0c3e-7f-z", "BackOff", 7),
        event("Pod", "d-blue-3-7f-gone", "BackOff", 6),
        event("ReplicaSet", "d-blue-3-7f", "FailedCreate", 5),
        event("ReplicaSet", "d-blue-3-5d0c3e-7f", "FailedCreate", 4),
        event("Pod", "d-blue-3-7f-x", "Unhealthy", 3),
    ]
    found = events_of(events, "d-blue-3", pods)
    assert found == ["event Unhealthy: at 3", "event FailedCreate: at 5", "event FailedScheduling: at 9"]
