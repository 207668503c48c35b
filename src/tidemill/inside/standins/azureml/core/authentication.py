"""Nobody signs in to a local workspace."""


class _Nobody:
    def __init__(self, *args, **kwargs):
        self.arguments = kwargs

    def get_authentication_header(self):
        return {}


class ServicePrincipalAuthentication(_Nobody):
    """Accepted, and not used."""


class InteractiveLoginAuthentication(_Nobody):
    """Accepted, and not used."""


class MsiAuthentication(_Nobody):
    """Accepted, and not used."""


class AzureCliAuthentication(_Nobody):
    """Accepted, and not used."""
