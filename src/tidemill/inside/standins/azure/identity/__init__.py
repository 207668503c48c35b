"""Credentials inside a step, where azure-identity is not installed: the local workspace asks for none."""

import collections
import time

AccessToken = collections.namedtuple("AccessToken", ["token", "expires_on"])


class DefaultAzureCredential:
    """Accepted; its token opens nothing."""

    def __init__(self, *args, **kwargs):
        self.arguments = kwargs

    def get_token(self, *scopes, **kwargs):
        return AccessToken("tidemill-local", int(time.time()) + 3600)

    def close(self):
        return None

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()


class ManagedIdentityCredential(DefaultAzureCredential):
    """Accepted; its token opens nothing."""


class AzureCliCredential(DefaultAzureCredential):
    """Accepted; its token opens nothing."""


class InteractiveBrowserCredential(DefaultAzureCredential):
    """Accepted; its token opens nothing."""


class ClientSecretCredential(DefaultAzureCredential):
    """Accepted; its token opens nothing."""


class EnvironmentCredential(DefaultAzureCredential):
    """Accepted; its token opens nothing."""


class CredentialUnavailableError(Exception):
    """Never raised here."""
