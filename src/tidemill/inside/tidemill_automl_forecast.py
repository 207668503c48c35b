"""Forecasting."""

from tidemill_split import Refused


class Forecast:
    """A forecast."""

    def __init__(self, config, say):
        raise Refused("Forecasting is not done here yet")
