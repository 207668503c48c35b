"""Finds the user's own application: a module of theirs, a name in it, perhaps a function that makes it; else says what is there."""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.failures import missing, place
from tidemill.serve.hosted import Application
from tidemill.serve.wsgi import as_asgi

FORM = "MODULE:NAME, as main:app, or MODULE:FACTORY()."
BESIDE = "beside the server"
SHOWN = 10


def load_application(name: str, folder: Path) -> Application:
    """`module:attribute`, or `module:factory()`, imported from `folder`; errors name the file and the line."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"`{name}` is no application", hint=FORM)
    if module_name.endswith(".py") or "/" in module_name:
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise UsageError(f"`{module_name}` is a file, not a module", hint=f"--app {dotted}:{attribute}")
    sys.path.insert(0, str(folder))
    module = _import(module_name, name, folder)
    found = _find(module, attribute.removesuffix("()"))
    if attribute.endswith("()") or _takes_nothing(found):
        found = _make(found, name, folder)
    if inspect.isclass(found) or not callable(found):
        hint = f"Make one of it: {module_name}:{attribute}()" if inspect.isclass(found) else _others(module)
        kind = "a class" if inspect.isclass(found) else type(found).__name__
        raise UsageError(f"`{attribute}` in {module.__file__} is {kind}, no application", hint=hint)
    return found if _is_asgi(found) else as_asgi(found)


def _import(module_name: str, name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as exc:
        absent = getattr(exc, "name", None) if isinstance(exc, ModuleNotFoundError) else None
        if absent and f"{module_name}.".startswith(f"{absent}."):
            raise UsageError(f"There is no module `{absent}` in {folder}", hint=_modules(folder)) from exc
        hint = missing(exc, BESIDE)
        if isinstance(exc, ImportError) and "no known parent package" in str(exc):
            hint = f"Serve from the folder above, as a package: --app {folder.name}.{name}"
        raise FailedError(f"{name} cannot be imported: {place(exc, folder)}", hint=hint) from exc


def _modules(folder: Path) -> str:
    found = [p.stem for p in sorted(folder.glob("*.py"))] + [
        p.parent.name for p in sorted(folder.glob("*/__init__.py"))
    ]
    return f"There is: {', '.join(found[:SHOWN]) or 'no module at all'}"


def _find(module: ModuleType, attribute: str) -> Any:  # noqa: ANN401 - anything a module holds
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise UsageError(f"{module.__file__} has no application `{attribute}`", hint=_others(module)) from None


def _others(module: ModuleType) -> str:
    names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_") and not inspect.isclass(v)]
    return f"There is: {', '.join(names[:SHOWN]) or 'nothing'}"


def _takes_nothing(found: Any) -> bool:  # noqa: ANN401
    """Whether it can only be a factory: an application takes two arguments, or three."""
    return inspect.isfunction(found) and _takes(found, 0) and not _takes(found, 2) and not _takes(found, 3)


def _takes(found: Any, count: int) -> bool:  # noqa: ANN401
    try:
        inspect.signature(found).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _make(factory: Any, name: str, folder: Path) -> Any:  # noqa: ANN401
    try:
        made = factory()
    except (Exception, SystemExit) as exc:
        raise FailedError(f"{name} failed: {place(exc, folder)}", hint=missing(exc, BESIDE)) from exc
    if inspect.iscoroutine(made):
        made.close()
        raise UsageError(
            f"{name} is asynchronous", hint="A factory is called before the server runs: def, not async def."
        )
    return made


def _is_asgi(application: Any) -> bool:  # noqa: ANN401
    """Asynchronous, or called with three arguments; WSGI has two."""
    if inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(type(application).__call__):
        return True
    return _takes(application, 3) and not _takes(application, 2)
