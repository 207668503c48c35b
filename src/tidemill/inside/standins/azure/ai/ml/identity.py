"""Nobody signs in to a local workspace."""

from azure.identity import DefaultAzureCredential


class AzureMLOnBehalfOfCredential(DefaultAzureCredential):
    """Accepted, and not used."""


class CredentialUnavailableError(Exception):
    """Never raised here."""
