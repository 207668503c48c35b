"""Azure's real packages inside a step: what would ask the cloud about the workspace asks the local one."""

import time

import tidemill_step as step

WORKSPACE_SCOPES = ("management.azure.com", "ml.azure.com", "management.core.windows.net")


def wire(module):
    """`MLClient` becomes the local one; tokens for the workspace are made up, all others stay real."""
    if module.__name__ == "azure.ai.ml":
        from tidemill_mlclient import MLClient

        module.MLClient = MLClient
    else:
        for name in ("DefaultAzureCredential", "ManagedIdentityCredential", "AzureCliCredential"):
            credential = getattr(module, name, None)
            if credential is not None:
                _localise(credential)


def _localise(credential):
    get_token = credential.get_token

    def local_first(self, *scopes, **kwargs):
        if any(known in scope for scope in scopes for known in WORKSPACE_SCOPES):
            step.say("no token is needed for the local workspace: %s got a stand-in" % type(self).__name__)
            from azure.core.credentials import AccessToken

            return AccessToken("tidemill-local", int(time.time()) + 3600)
        return get_token(self, *scopes, **kwargs)

    credential.get_token = local_first
