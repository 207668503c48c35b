"""Started by every Python of a step, before the user's code: MLflow is wired to the step's run when, and only when, it is imported."""

import importlib.abc
import importlib.util
import os
import sys


class _AfterMlflow(importlib.abc.MetaPathFinder):
    """Finds `mlflow` as everybody else does, and wires it once it has been executed."""

    def find_spec(self, name, path=None, target=None):
        if name != "mlflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            import tidemill_mlflow

            tidemill_mlflow.wire(module)

        spec.loader.exec_module = exec_module
        return spec


def _sorted_listings():
    """Folders list their files sorted, as a mount on Azure does; real scripts rely on it."""
    listdir = os.listdir
    os.listdir = lambda *a, **k: sorted(listdir(*a, **k))


def _chain():
    """The environment's own sitecustomize still runs."""
    here = os.path.dirname(os.path.abspath(__file__))
    for folder in sys.path:
        path = os.path.join(folder, "sitecustomize.py")
        if os.path.abspath(folder or ".") != here and os.path.isfile(path):
            spec = importlib.util.spec_from_file_location("_environment_sitecustomize", path)
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
            return


if os.environ.get("TIDEMILL_STEP_FOLDER"):
    sys.meta_path.insert(0, _AfterMlflow())
    _sorted_listings()
_chain()
