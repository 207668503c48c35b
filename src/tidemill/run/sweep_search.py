"""Where the values of the next trial come from: chance, a grid, or a search that learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tidemill.base.errors import FailedError
from tidemill.run.ports import RunPorts, SearchRequest, TrialSearch
from tidemill.run.sweep_settings import Sweep
from tidemill.run.sweep_space import draw_values, grid, list_dimensions, random_point

Drawn = tuple[Mapping[str, Any], Mapping[str, float]]


class Search(Protocol):
    """Draws the values of trials, in the order of their numbers."""

    def draw(self, number: int) -> Drawn | None:
        """Values of trial `number` and the point they stand at; None when there are no more."""
        ...

    def learn(self, number: int, point: Mapping[str, float], score: float | None) -> None:
        """Hear how a trial ended."""
        ...


def make_search(sweep: Sweep, ports: RunPorts) -> Search:
    """The search a document asks for."""
    if sweep.sampling == "random":
        return _Random(sweep)
    if sweep.sampling == "grid":
        return _Grid(sweep)
    if ports.searches is None:
        raise FailedError(f"Nothing is set up for {sweep.sampling} sampling", hint="pip install 'tidemill[sweep]'")
    request = SearchRequest(list_dimensions(sweep.space), sweep.sampling, sweep.seed, sweep.maximize)
    return _Learning(sweep, ports.searches(request))


class _Random:
    """Trial by trial independent, so that a longer sweep begins with the trials of a shorter one."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._dimensions = list_dimensions(sweep.space)

    def draw(self, number: int) -> Drawn | None:
        """By the seed and the number alone."""
        point = random_point(self._dimensions, self._sweep.seed, number)
        return draw_values(self._sweep.space, point), point

    def learn(self, number: int, point: Mapping[str, float], score: float | None) -> None:
        """Chance learns nothing."""


class _Grid:
    """Every combination once."""

    def __init__(self, sweep: Sweep) -> None:
        self._rest: Iterator[dict[str, Any]] = grid(sweep.space)

    def draw(self, number: int) -> Drawn | None:
        """The next combination; numbers come in order."""
        del number
        values = next(self._rest, None)
        return None if values is None else (values, {})

    def learn(self, number: int, point: Mapping[str, float], score: float | None) -> None:
        """A grid learns nothing."""


class _Learning:
    """A search behind the port."""

    def __init__(self, sweep: Sweep, search: TrialSearch) -> None:
        self._space = sweep.space
        self._search = search

    def draw(self, number: int) -> Drawn | None:
        """What the search thinks promising."""
        point = self._search.ask(number)
        return draw_values(self._space, point), point

    def learn(self, number: int, point: Mapping[str, float], score: float | None) -> None:
        """Tell the search."""
        self._search.tell(number, point, score)
