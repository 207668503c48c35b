"""What planning needs to know from outside: which assets exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tidemill.plan.graph import DataRef, EnvironmentRef, Resources

if TYPE_CHECKING:
    from tidemill.spec.load import Loaded


class AssetLookup(Protocol):
    """Finds named assets: the project file's mappings first, then documents of the repository, then what is registered.

    Exactly one of `version` and `label` is given, or neither (any version, the newest).
    """

    def find_data(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        """Where the bytes of `azureml:name:version` are."""
        ...

    def find_component(self, name: str, version: str | None, label: str | None) -> Loaded | None:
        """The component's document."""
        ...

    def find_environment(self, name: str, version: str | None, label: str | None) -> EnvironmentRef | None:
        """What stands for the environment on this machine; None when nothing is known of it."""
        ...

    def find_model(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        """Where the model's bytes are."""
        ...

    def of_registry(self, name: str) -> AssetLookup | None:
        """Where assets of that registry are found; None when it is not kept here."""
        ...

    def reserve(self, compute: str | None) -> Resources:
        """What a step reserves on that compute unless its document says more."""
        ...

    def known(self, kind: str) -> list[str]:
        """Names (`name:version`) of that kind (`data`, `component`, `environment`, `model`), for suggestions."""
        ...
