"""Steps in an order that can be run; a cycle is named, not stumbled over. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet


def sort_steps(depends_on: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Names so that each comes after what it depends on, otherwise in the order given.

    Names inside a cycle, and what hangs on them, are left out: see `find_cycle`.
    """
    place = {name: i for i, name in enumerate(depends_on)}
    names = list(depends_on)
    waiting = {name: sum(d in place for d in needs) for name, needs in depends_on.items()}
    users = invert(depends_on)
    ready = [place[name] for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    ordered: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        ordered.append(name)
        for user in users.get(name, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, place[user])
    return ordered


def invert(depends_on: Mapping[str, AbstractSet[str]]) -> dict[str, list[str]]:
    """Who depends on each name, in the order given."""
    users: dict[str, list[str]] = {}
    for name, needs in depends_on.items():
        for need in needs:
            users.setdefault(need, []).append(name)
    return users


def find_cycle(depends_on: Mapping[str, AbstractSet[str]]) -> Sequence[str]:
    """One cycle as `a, b, a`, or nothing."""
    stuck = set(depends_on) - set(sort_steps(depends_on))
    if not stuck:
        return ()
    seen: dict[str, int] = {}
    path: list[str] = []
    name = min(stuck)
    while name not in seen:
        seen[name] = len(path)
        path.append(name)
        name = min(n for n in depends_on[name] if n in stuck)
    return [*path[seen[name] :], name]
