"""Circles in a graph of names."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def find_cycle(edges: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The first circle, in order; empty when there is none. Iterative, since graphs may be ten thousand deep."""
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                on_trail.discard(trail.pop())
                done.add(name)
                continue
            if name in on_trail:
                return tuple(trail[trail.index(name) :])
            if name in done or name not in edges:
                continue
            trail.append(name)
            on_trail.add(name)
            stack.append((name, True))
            stack += [(n, False) for n in sorted(edges[name], reverse=True)]
    return ()
