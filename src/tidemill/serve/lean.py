"""scikit-learn without what it imports only in case: most of its seconds and a third of its memory, at a server's first start."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

# Tables as pandas has them, and bars of progress in a terminal: a server hands scikit-learn arrays, and nobody fits there.
SPARED = ("pandas", "rich")
# Tests and distributions, most of them for fitting: imported when one of them is called.
LATER = "scipy.stats"
# The modules of scikit-learn that ask for pandas and rich, and do without.
ASKING = ("sklearn.utils.fixes", "sklearn.callback._progressbar")
NAMED = re.compile(rb"sklearn(?:\.\w+)+")


def import_sklearn(pickled: bytes) -> None:
    """Import the part that every estimator needs, and the modules that a pickle's bytes name; what is imported later is so as ever."""
    named = [name.decode() for name in dict.fromkeys(NAMED.findall(pickled))]
    with _as_if_missing(SPARED), _put_off():
        for name in (*ASKING, *named):
            # What is no module, or needs the real ones while it is imported, is left to whoever imports it later.
            with contextlib.suppress(ImportError, TypeError, AttributeError):
                importlib.import_module(name)


@contextlib.contextmanager
def _as_if_missing(names: tuple[str, ...]) -> Iterator[None]:
    """What is imported already stays; `None` in `sys.modules` is how Python itself says that there is no such module."""
    absent = [n for n in names if n not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


class _Name:
    """Something of a module that is imported when it is used."""

    def __init__(self, module: _Later, name: str) -> None:
        self._module, self._name = module, name

    def _get(self) -> Any:  # noqa: ANN401
        return getattr(self._module.real(), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the real one
        return self._get()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._get(), name)


class _Later(ModuleType):
    """Stands for a module while others are imported."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        if name.startswith("__"):
            raise AttributeError(name)
        return _Name(self, name) if sys.modules.get(self.__name__) is self else getattr(self.real(), name)

    def real(self) -> ModuleType:
        """The module itself, from now on for everybody."""
        self.leave()
        return importlib.import_module(self.__name__)

    def leave(self) -> None:
        """Whoever imports the module next gets the real one."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


@contextlib.contextmanager
def _put_off() -> Iterator[None]:
    later = _Later(LATER)
    sys.modules.setdefault(LATER, later)
    try:
        yield
    finally:
        later.leave()
