"""Tokens for Azure: the one that is given, else what `azure-identity` finds."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from tidemill.base.errors import BackendError, UsageError
from tidemill.base.imports import import_late

MANAGEMENT_SCOPE = "https://management.azure.com/.default"
STORAGE_SCOPE = "https://storage.azure.com/.default"
TOKEN = "TIDEMILL_AZURE_TOKEN"  # noqa: S105 - the name of the variable
HINT = f"Log in with `az login`, or set {TOKEN}; the account needs `AzureML Data Scientist` on the workspace."


def find_token(scope: str = MANAGEMENT_SCOPE) -> str:
    """A token for that audience; one that is given in the environment is for the management interface alone."""
    given = os.environ.get(TOKEN)
    if given and scope == MANAGEMENT_SCOPE:
        return given
    credential = _credential()
    refused = import_late("azure.core.exceptions").ClientAuthenticationError
    try:
        return str(credential.get_token(scope).token)
    except refused as exc:
        raise BackendError("Nobody is logged in to Azure", hint=f"Run `az login`, or set {TOKEN}.") from exc


@functools.cache
def _credential() -> Any:  # noqa: ANN401 - an SDK's object, which keeps tokens until they expire
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # it tells of each way that is closed
    try:
        return import_late("azure.identity").DefaultAzureCredential()
    except ModuleNotFoundError as exc:
        raise UsageError(
            f"Azure ML needs a login: {TOKEN} is not set", hint="pip install 'tidemill[azure]' and `az login`"
        ) from exc
