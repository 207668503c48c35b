"""Started by every Python of a step, before the user's code: nothing is imported until the user's code asks for it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
STANDINS = os.path.join(HERE, "standins")
# modules to be wired once they have been executed, and who does it
WIRED = {
    "mlflow": "tidemill_mlflow",
    "azure.ai.ml": "tidemill_azure",
    "azure.identity": "tidemill_azure",
    "shutil": "tidemill_copies",
}


class Finder:
    """Finds modules as everybody else does; wires some of them, and serves Azure's packages where they are absent."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in WIRED:
            spec = _ask_others(name, path, target)
            if spec is None:
                return _stand_in(name)
            is_real = spec.loader is not None and not (spec.origin or "").startswith(STANDINS)
            return _wire_afterwards(spec, WIRED[name]) if is_real else spec
        if name == "azureml" or name == "azure" or name.startswith(("azureml.", "azure.ai")):
            return _ask_others(name, path, target) or _stand_in(name)
        return None


def _ask_others(name, path, target):
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if finder is not Finder and find is not None:
            spec = find(name, path, target)
            if spec is not None:
                return spec
    return None


def _wire_afterwards(spec, wirer):
    execute = spec.loader.exec_module

    def exec_module(module):
        execute(module)
        __import__(wirer).wire(module)

    try:
        spec.loader.exec_module = exec_module
    except AttributeError:
        sys.stderr.write("tidemill: %s comes from where it cannot be wired to the job\n" % spec.name)
    return spec


def _stand_in(name):
    base = os.path.join(STANDINS, *name.split("."))
    package = os.path.join(base, "__init__.py")
    path = package if os.path.isfile(package) else base + ".py"
    if not os.path.isfile(path):
        return None
    from importlib.util import spec_from_file_location

    return spec_from_file_location(name, path, submodule_search_locations=[base] if path == package else None)


class _SortedEntries:
    """What `os.scandir` gives, in order of name."""

    def __init__(self, entries):
        with entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()

    def close(self):
        self._entries = iter(())


def _sort_listings():
    """Folders list their files sorted, as a mount on Azure does; real scripts rely on it."""
    listdir, scandir = os.listdir, os.scandir

    def sorted_listdir(path=None):
        return sorted(listdir(path) if path is not None else listdir())

    def sorted_scandir(path=None):
        return _SortedEntries(scandir(path) if path is not None else scandir())

    os.listdir, os.scandir = sorted_listdir, sorted_scandir
    for able in (os.supports_fd, os.supports_follow_symlinks):
        if listdir in able:
            able.add(sorted_listdir)
        if scandir in able:
            able.add(sorted_scandir)


def _chain():
    """The environment's own sitecustomize still runs."""
    for folder in sys.path:
        path = os.path.join(folder, "sitecustomize.py")
        if os.path.abspath(folder or ".") != HERE and os.path.isfile(path):
            from importlib.util import module_from_spec, spec_from_file_location

            spec = spec_from_file_location("_environment_sitecustomize", path)
            spec.loader.exec_module(module_from_spec(spec))
            return


if os.environ.get("TIDEMILL_STEP_FOLDER"):
    sys.meta_path.insert(0, Finder)
    _sort_listings()
    __import__("tidemill_outside").watch(os.path.abspath(os.environ["TIDEMILL_STEP_FOLDER"]))
_chain()
