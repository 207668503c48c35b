"""Images put together layer by layer and pushed by the distribution protocol: no daemon, same inputs, same digest."""

from tidemill.backends.builders.oci.builder import OciBuilder, open_builder

__all__ = ["OciBuilder", "open_builder"]
