"""Values a step hands to `MLClient`."""


class _Entity:
    def __init__(self, **fields):
        self.tags, self.properties = {}, {}
        self.name = self.version = self.type = self.path = self.description = None
        self.__dict__.update(fields)


class Model(_Entity):
    """A model to register."""


class Data(_Entity):
    """A data asset to register."""


class Environment(_Entity):
    """An environment to register."""
